package boltstore

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

// All paths to one file are one store, before the file is made and after.
func TestKey(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	must(0, os.Mkdir("real", 0o700))
	for link, target := range map[string]string{
		"folder":      "real",
		"real/latest": "keys/a.db", // to a file that is still to be made
		"absolute.db": filepath.Join(folder, "real/keys/a.db"),
		"chain.db":    "folder/latest",
		"up.db":       "folder/../real/keys/a.db",
		"loop":        "loop",
	} {
		must(0, os.Symlink(target, link))
	}
	paths := []string{
		"real/keys/a.db", "./real//keys/../keys/a.db", filepath.Join(folder, "real", "keys", "a.db"),
		"folder/keys/a.db", "real/latest", "folder/latest", "absolute.db", "chain.db", "up.db",
	}
	want := "bbolt:" + filepath.Join(folder, "real", "keys", "a.db")
	wantKeys := func() {
		t.Helper()
		for _, path := range paths {
			if got, err := (&BoltStore{Path: path}).Key(); err != nil || got != want {
				t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
			}
		}
		if got, err := (&BoltStore{Path: "real/keys/b.db"}).Key(); err != nil || got == want {
			t.Errorf("another file: got %q, %v", got, err)
		}
		if got, err := (&BoltStore{Path: "loop"}).Key(); err == nil {
			t.Errorf("a link to itself: got %q, want an error", got)
		}
	}
	wantKeys()
	if _, err := os.Stat("real/keys"); !os.IsNotExist(err) {
		t.Errorf("the key made the folder: %v", err)
	}

	s, err := (&BoltStore{Path: "chain.db"}).Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat("real/keys/a.db"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("it was opened elsewhere: %v", err)
	}
	wantKeys()
}
