package caddymodule

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	for name, c := range map[string]struct {
		input, want, err string
	}{
		"default":        {"bbolt", "", ""},
		"path":           {"bbolt /a/keys.db", "/a/keys.db", ""},
		"quoted":         {`bbolt "/a b/keys.db"`, "/a b/keys.db", ""},
		"block":          {"bbolt {\n path /a/keys.db\n}", "/a/keys.db", ""},
		"empty block":    {"bbolt {\n}", "", ""},
		"two":            {"bbolt /a /b", "", `unexpected "/b" after the path`},
		"two in block":   {"bbolt {\n path /a /b\n}", "", `unexpected "/b" after the path`},
		"none in block":  {"bbolt {\n path\n}", "", "write path FILE"},
		"repeated":       {"bbolt /a {\n path /a\n}", "", "the path is given twice"},
		"twice in block": {"bbolt {\n path /a\n path /a\n}", "", "the path is given twice"},
		"unknown":        {"bbolt {\n size 1\n}", "", `unknown option "size" of the store bbolt: use path`},
		"empty":          {`bbolt ""`, "", "the path is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			var b BoltStore
			err := b.UnmarshalCaddyfile(caddyfile.NewTestDispenser(c.input))
			switch {
			case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("got the error %v, want %q", err, c.err)
			case err == nil && b.Path != c.want:
				t.Errorf("got the path %q, want %q", b.Path, c.want)
			}
		})
	}
}

// provision does what Caddy does, and nothing to any file.
func provision(t *testing.T, path string) (*BoltStore, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	b := &BoltStore{Path: path}
	return b, b.Provision(ctx)
}

func TestProvision(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	t.Setenv("KEYS_FOLDER", "/srv/keys")
	for name, c := range map[string]struct{ path, want string }{
		"default":     {"", filepath.Join(data, "caddy", "api_keys", "keys.db")},
		"path":        {"/srv/keys.db", "/srv/keys.db"},
		"placeholder": {"{env.KEYS_FOLDER}/keys.db", "/srv/keys/keys.db"},
	} {
		b, err := provision(t, c.path)
		if err != nil || b.Path != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, b.Path, err, c.want)
		}
	}
	for _, path := range []string{"{env.KEYS_NO_SUCH}/keys.db", "{http.request.host}.db"} {
		if b, err := provision(t, path); err == nil {
			t.Errorf("%s: got %q, want an error", path, b.Path)
		}
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) != 0 {
		t.Errorf("provisioning made %v, %v", entries, err)
	}
}
