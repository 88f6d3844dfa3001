package caddyfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-api-keys/gateway/module"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const (
	folder    = "../testdata/adapt"
	extension = ".caddyfiletest"
	separator = "\n----------\n"
)

var update = flag.Bool("update", false, "rewrite what the golden files expect")

// golden is a file as Caddy's own are: a Caddyfile, a line of dashes, and the
// JSON or the error that it leads to.
type golden struct {
	name, caddyfile, want string
}

// goldens reads them all.
func goldens(tb testing.TB) []golden {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*"+extension))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no golden files: %v", err)
	}
	var list []golden
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		input, want, _ := strings.Cut(string(text), separator)
		list = append(list, golden{
			name:      strings.TrimSuffix(filepath.Base(path), extension),
			caddyfile: strings.TrimSpace(input) + "\n",
			want:      strings.TrimSpace(want),
		})
	}
	return list
}

// mistake is true if the golden file shows an error.
func (g golden) mistake() bool { return strings.HasPrefix(g.name, "mistake_") }

// adapt adapts the Caddyfile as if it stood in the folder of the golden files,
// whose path is taken out of errors.
func (g golden) adapt() ([]byte, []caddyconfig.Warning, error) {
	here, err := filepath.Abs(folder)
	if err != nil {
		return nil, nil, err
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(g.caddyfile),
		map[string]any{"filename": filepath.Join(here, "Caddyfile")})
	if err != nil {
		err = errors.New(strings.NewReplacer(here+"/", "", filepath.Dir(here)+"/", "testdata/").Replace(err.Error()))
	}
	return config, warnings, err
}

// testdata is the folder around that of the golden files.
func testdata(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Dir(folder))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAdapt(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			var got string
			config, warnings, err := g.adapt()
			if err != nil {
				got = err.Error()
			} else {
				// Files are named by their whole path.
				got = strings.ReplaceAll(indented(t, config), testdata(t)+"/", "testdata/")
			}
			for _, w := range warnings {
				t.Errorf("warning: %s", w)
			}
			if (err != nil) != g.mistake() {
				t.Errorf("got %v; by its name it should be the opposite", err)
			}
			if *update {
				text := g.caddyfile + separator[1:] + got + "\n"
				if err := os.WriteFile(filepath.Join(folder, g.name+extension), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != g.want {
				t.Errorf("got\n%s\nwant\n%s", got, g.want)
			}
		})
	}
}

// A mistake says where it is.
func TestMistakesNamePlaces(t *testing.T) {
	for _, g := range goldens(t) {
		if g.mistake() && !strings.Contains(g.want, "Caddyfile:") && !strings.Contains(g.want, ".routes:") {
			t.Errorf("%s names no file and line: %s", g.name, g.want)
		}
	}
}

// An adapted configuration loads, and validating it makes no store.
func TestValidate(t *testing.T) {
	for _, g := range goldens(t) {
		if g.mistake() {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			data := t.TempDir()
			t.Setenv("XDG_DATA_HOME", data)
			config, _, err := g.adapt()
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(config, filepath.Join(data, "keys.db")); err != nil {
				t.Fatal(err)
			}
			if made, err := os.ReadDir(data); err != nil || len(made) > 0 {
				t.Errorf("it made %v, %v", made, err)
			}
		})
	}
}

// A name that is misspelt in JSON is an error, at every depth.
func TestUnknownFields(t *testing.T) {
	const handler = `{"apps": {"http": {"servers": {"s": {"routes": [{"handle": [%]}]}}}}}`
	for name, config := range map[string]string{
		"of the app":        `{"apps": {"api_keys": {"chache": "off"}}}`,
		"of the store":      `{"apps": {"api_keys": {"store": {"module": "bbolt", "file": "keys.db"}}}}`,
		"of the gate":       strings.Replace(handler, "%", `{"handler": "api_keys", "routes": []}`, 1),
		"of a route":        strings.Replace(handler, "%", `{"handler": "api_keys", "route": [{"method": "GET", "path": "/"}]}`, 1),
		"of a scope":        strings.Replace(handler, "%", `{"handler": "api_keys", "scope": [{"name": "A", "need": ["B"]}]}`, 1),
		"of a credential":   strings.Replace(handler, "%", `{"handler": "api_keys", "credential": [{"in": "header", "header": "K"}]}`, 1),
		"of the CORS lines": strings.Replace(handler, "%", `{"handler": "api_keys", "cors": {"origin": ["*"]}}`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			err := validate([]byte(config), filepath.Join(t.TempDir(), "keys.db"))
			if err == nil || !strings.Contains(err.Error(), "unknown field") {
				t.Errorf("got %v, want an unknown field", err)
			}
		})
	}
}

// validate does what caddy validate does, without an admin endpoint and with
// the store, where one is named, at path.
func validate(config []byte, path string) error {
	var cfg caddy.Config
	if err := json.Unmarshal(config, &cfg); err != nil {
		return err
	}
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	var app map[string]json.RawMessage
	if raw := cfg.AppsRaw["api_keys"]; raw != nil {
		if err := json.Unmarshal(raw, &app); err != nil {
			return err
		}
	}
	var store map[string]any
	if raw := app["store"]; raw != nil {
		if err := json.Unmarshal(raw, &store); err != nil {
			return err
		}
		file := map[any]string{"bbolt": "path", "etcd": "mirror"}[store["module"]]
		store[file] = path
		app["store"] = caddyconfig.JSON(store, nil)
		cfg.AppsRaw["api_keys"] = caddyconfig.JSON(app, nil)
	}
	return caddy.Validate(&cfg)
}

func indented(t *testing.T, config []byte) string {
	t.Helper()
	var text bytes.Buffer
	if err := json.Indent(&text, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// Every name that a variable may not have is one that Caddy replaces.
func TestReservedNames(t *testing.T) {
	shorthands := httpcaddyfile.NewShorthandReplacer()
	for _, name := range policy.ReservedNames() {
		segment := caddyfile.Segment{{Text: "{" + name + "}"}}
		shorthands.ApplyToSegment(&segment)
		if !strings.HasPrefix(segment[0].Text, "{http.") {
			t.Errorf("{%s} reaches us as %s", name, segment[0].Text)
		}
	}
}
