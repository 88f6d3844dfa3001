package importer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestTableNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := []struct {
		name   string
		scopes []string
		want   []string
	}{
		{"names that can stay", []string{"Inputs:Get", "write:pets", "a.b-c_d"}, []string{"Inputs:Get", "write:pets", "a.b-c_d"}},
		{"URLs", []string{"https://x.example/auth/a.b", "urn:a:b"}, []string{"x.example:auth:a.b", "urn:a:b"}},
		{"signs", []string{"a b", "*", "é", ":a:"}, []string{"a_b", "scope-09b9265b", "scope-0e048d3e", "a"}},
		{"two that would be one", []string{"a/b", "a:b", "https://a/b"}, []string{"a:b-07f4401c", "a:b", "a:b-443990f4"}},
		{"too long", []string{long}, []string{long[:128]}},
		{"two that are too long", []string{long + "1", long + "2"}, []string{long[:119] + "-", long[:119] + "-"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			scopes := map[string]*policy.Scope{}
			for _, name := range test.scopes {
				scopes[name] = &policy.Scope{Name: name}
			}
			names := tableNames(scopes)
			taken := map[string]bool{}
			for i, scope := range test.scopes {
				name := names[scope]
				if !strings.HasPrefix(name, test.want[i]) || policy.CheckScopeName(name) != nil || taken[name] {
					t.Errorf("%q becomes %q, want %q", scope, name, test.want[i])
				}
				taken[name] = true
			}
		})
	}
}

func TestTextOfOthersIsHarmless(t *testing.T) {
	tests := []struct{ text, plain, clean string }{
		{" Read\n\tthings. ", "Read things.", "Read things."},
		{"{$SECRET} {path} `x` \\", "{$SECRET} {path} `x` \\", "($SECRET) (path) 'x' '"},
		{"a\x00\x1b[31m\u202eb\u200b", "a[31mb", "a[31mb"},
		{"\xff", "?", "?"},
		{strings.Repeat("é", 200), strings.Repeat("é", 98) + "…", strings.Repeat("é", 98) + "…"},
	}
	for _, test := range tests {
		if got := plain(test.text); got != test.plain {
			t.Errorf("plain(%q) = %q, want %q", test.text, got, test.plain)
		}
		if got := clean(test.text); got != test.clean {
			t.Errorf("clean(%q) = %q, want %q", test.text, got, test.clean)
		}
	}
	if got := describe("\n First\n line.\n \n Second."); got != "First line" {
		t.Errorf("describe: %q", got)
	}
}

// Importing again gives the same text if only the order of the source changed.
func TestTextIsStable(t *testing.T) {
	rpcs := []string{
		`rpc A (M) returns (M) { option (google.api.http) = { get: "/v1/{id}" }; option (acme.auth.scopes) = Things_Get; }`,
		`rpc B (M) returns (M) { option (google.api.http) = { get: "/v1/{a}" }; option (acme.auth.scopes) = Secret; }`,
		`rpc C (M) returns (M);`,
		`rpc D (M) returns (M) { option (acme.auth.kind) = OPEN; }`,
	}
	var first string
	for range len(rpcs) {
		rpcs = append(rpcs[1:], rpcs[0])
		o := acme()
		o.Sources, o.Files = service(strings.Join(rpcs, "\n")), []string{"acme/api.proto"}
		res, err := Proto(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		text := sound(t, res)
		if first == "" {
			first = text
		}
		if text != first {
			t.Errorf("got\n%s\nwant\n%s", text, first)
		}
	}
}

// The folders are tried in order.
func TestImportPaths(t *testing.T) {
	files := slices.Concat(folder("b.proto", `syntax = "proto3"; message M {}`), folder("b.proto", "broken", "a.proto", `syntax = "proto3"; import "b.proto"; service A { rpc Do (M) returns (M); }`))
	files = append(files, fstest.MapFS{})
	if _, err := Proto(t.Context(), ProtoOptions{Sources: files, Files: []string{"a.proto"}}); err != nil {
		t.Error(err)
	}
}

// 5,000 routes of 2,500 methods.
func BenchmarkProto(b *testing.B) {
	var rpcs strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&rpcs, `rpc M%d (M) returns (M) { option (google.api.http) = { get: "/v1/m%d/{id}" }; option (acme.auth.kind) = KEY; option (acme.auth.scopes) = Things_Get; }`+"\n", i, i)
	}
	o := acme()
	o.Sources, o.Files = service(rpcs.String()), []string{"acme/api.proto"}
	for b.Loop() {
		res, err := Proto(b.Context(), o)
		if err != nil || len(res.Table.Routes) != 5000 {
			b.Fatal(len(res.Table.Routes), err)
		}
	}
}

// 5,000 routes of as many operations.
func BenchmarkOpenAPI(b *testing.B) {
	var doc strings.Builder
	doc.WriteString(v30 + "security: [{oauth: [read]}]\npaths:\n")
	for i := range 2500 {
		fmt.Fprintf(&doc, "  /v1/m%d/{id}:\n    get: {}\n    put: {security: [{oauth: [write]}]}\n", i)
	}
	for b.Loop() {
		res, err := OpenAPI([]byte(doc.String()), OpenAPIOptions{})
		if err != nil || len(res.Table.Routes) != 5000 {
			b.Fatal(err)
		}
	}
}
