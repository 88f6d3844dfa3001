package cmd

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const ownPath = "github.com/caddy-api-keys/gateway/"

// goList returns the lines that go list prints.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// ownImports returns, by folder name, the packages of ours that each package
// of ours imports, without packages that tests alone use.
func ownImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	for _, line := range goList(t, "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../cmd/caddy", "../module/memstore") {
		names := slices.DeleteFunc(strings.Fields(line), func(name string) bool { return !strings.HasPrefix(name, ownPath) })
		if strings.HasPrefix(line, ownPath) {
			for _, name := range names[1:] {
				imports[path.Base(names[0])] = append(imports[path.Base(names[0])], path.Base(name))
			}
		}
	}
	return imports
}

var arrow = regexp.MustCompile(`(?m)^\t(\w+) --> ([\w &]+)$`)

// Each arrow of the picture in CONTRIBUTING.md is an import, and each import
// follows one arrow or several.
func TestImports(t *testing.T) {
	text, err := os.ReadFile("../.github/CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	imports, drawn := ownImports(t), map[string][]string{}
	for _, m := range arrow.FindAllStringSubmatch(string(text), -1) {
		for to := range strings.SplitSeq(m[2], " & ") {
			if !slices.Contains(imports[m[1]], to) {
				t.Fatalf("an arrow leads from %s to %s, which it doesn't import", m[1], to)
			}
			drawn[m[1]] = append(drawn[m[1]], to)
		}
	}
	var leads func(from, to string) bool
	leads = func(from, to string) bool {
		return slices.ContainsFunc(drawn[from], func(next string) bool { return next == to || leads(next, to) })
	}
	for from, list := range imports {
		for _, to := range list {
			if !leads(from, to) {
				t.Errorf("%s imports %s, and no arrow leads there", from, to)
			}
		}
	}
}

// The imports that CONTRIBUTING.md forbids next to its picture.
func TestForbiddenImports(t *testing.T) {
	imports := ownImports(t)
	for from, allowed := range map[string][]string{
		"authz": {"policy", "keys", "credential"},
		"wire":  {"tenant"}, "shadowlog": nil, "policy": nil, "turns": nil, "protowalk": nil, "migrate": nil,
	} {
		for _, to := range imports[from] {
			if !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", from, to)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(without)) {
		for _, dependency := range goList(t, "-deps", "../"+name) {
			for _, forbidden := range without[name] {
				if strings.HasPrefix(dependency, forbidden) {
					t.Errorf("%s needs %s", name, dependency)
				}
			}
		}
	}
}

const (
	caddyPath = "github.com/caddyserver/"
	boltPath  = "go.etcd.io/bbolt"
)

// without are packages that do without others, in all that they import.
var without = map[string][]string{
	"module/authz":          {caddyPath, boltPath},
	"module/manage":         {caddyPath, boltPath},
	"module/keys":           {caddyPath, boltPath},
	"module/directory":      {caddyPath, boltPath},
	"module/records":        {caddyPath, boltPath},
	"module/memstore":       {caddyPath, boltPath},
	"module/boltstore":      {caddyPath},
	"module/gateway/source": {caddyPath, boltPath},
	"module/gateway/tenant": {caddyPath, boltPath},
	"module/gateway/wire":   {caddyPath, boltPath},
	"cmd/caddy":             {"net/http/httptest", "testing"},
}
