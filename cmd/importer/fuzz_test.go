package importer

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// neverOpen checks that no route is public where nothing in the description
// can mean so.
func neverOpen(t *testing.T, res *Result, may bool) {
	t.Helper()
	sound(t, res)
	for _, r := range res.Table.Routes {
		if !may && slices.Contains(r.Accept, "public") {
			t.Errorf("%s is public", r)
		}
	}
}

func FuzzProto(f *testing.F) {
	f.Add(`rpc Do (M) returns (M) { option (google.api.http) = { get: "/v1/{id}" additional_bindings { custom { kind: "*" path: "/v1/{id=a/*/**}:x" } } }; option (acme.auth.kind) = KEY; option (acme.auth.scopes) = Things_Get; }`)
	f.Add(`rpc Do (M) returns (M) { option (google.api.http) = { post: "/v1/{user_app_id.user_id}/{user_id}/*" }; option (acme.auth.kind) = OPEN; option (acme.auth.scopes) = 77; }`)
	f.Add(`option (acme.auth.service_kind) = STAFF; rpc Do (stream M) returns (stream M); } message X { message Y {} enum E { Z = 0; } map<string, X> m = 1; oneof o { int32 a = 2; } `)
	f.Fuzz(func(t *testing.T, rpcs string) {
		o := acme()
		o.Sources, o.Files = service(rpcs), []string{"acme/api.proto"}
		if res, err := Proto(t.Context(), o); err == nil {
			neverOpen(t, res, strings.Contains(rpcs, "kind"))
		}
	})
}

func FuzzDescriptorSet(f *testing.F) {
	o := acme()
	compiled, err := compile(f.Context(), service(`rpc Do (M) returns (M) { option (google.api.http) = { get: "/v1/{id}" }; option (acme.auth.kind) = KEY; option (acme.auth.scopes) = Things_Get; }`), []string{"acme/api.proto"})
	if err != nil {
		f.Fatal(err)
	}
	wire, err := proto.Marshal(compiled)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Add(descriptorSet(f, 3, 3, 3))
	f.Fuzz(func(t *testing.T, wire []byte) {
		o.DescriptorSet = wire
		for _, o := range []ProtoOptions{o, {DescriptorSet: wire}} {
			if res, err := Proto(t.Context(), o); err == nil {
				neverOpen(t, res, true)
			}
		}
	})
}

func FuzzOpenAPI(f *testing.F) {
	f.Add([]byte(v30 + `
security: [{}, {oauth: [read], key: []}]
servers: [{url: "https://{a}.example/{b}", variables: {b: {default: x, enum: [y, z]}}}]
paths:
  /a/{id}:x: {get: {x-required-scopes: [one]}, $ref: "#/paths/~1b"}
  /b/{a}.{b}: {post: {security: []}, put: {security: [{oidc: [read]}]}}
`))
	f.Add([]byte(`{"swagger": "2.0", "basePath": "/v1", "securityDefinitions": {"a": {"type": "oauth2", "scopes": {"read": "x"}}}, "paths": {"/a": {"get": {"security": [{"a": ["read"]}]}}}}`))
	f.Add([]byte("openapi: 3.1.0\nx: &x {get: &g {security: [*g]}}\npaths: {/a: *x, /b: {$ref: '#/x'}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if res, err := OpenAPI(data, OpenAPIOptions{}); err == nil {
			neverOpen(t, res, strings.Contains(string(data), "security") || strings.Contains(string(data), `\`))
		}
	})
}

// scan has to be right about what the parser then finds.
func FuzzScan(f *testing.F) {
	f.Add("message M { /* { */ // {\n string a = 1 [(x) = '{\\'{', (y) = { b: <c: 1> }]; }")
	f.Add("\"\\\x890") // the parser panics
	f.Fuzz(func(t *testing.T, source string) {
		depth, tokens := scan([]byte(source))
		if depth > tokens || tokens > len(source) {
			t.Errorf("%d deep, with %d words and signs in %d bytes", depth, tokens, len(source))
		}
		src := &sources{folders: folder("a.proto", source)}
		if tree, err := src.find("a.proto"); err == nil && tree.AST == nil {
			t.Error("neither a tree nor an error")
		}
	})
}

func FuzzVariables(f *testing.F) {
	f.Add("user_app_id.user_id", "user_id", "path")
	f.Add("1", "", "a-b")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		n := namesOf(Shared{}, clarifaiOwner, clarifaiApp)
		names := n.variables([]string{a, b, c})
		pattern := "/{" + strings.Join(names, "}/{") + "}"
		if _, err := checkPattern(pattern); err != nil && len(pattern) < MaxPattern {
			t.Errorf("%q %q %q become %s: %v", a, b, c, pattern, err)
		}
	})
}

// Folders are read through fs.FS, so that no import leads out of them.
func TestImportsStayInTheirFolders(t *testing.T) {
	for _, path := range []string{"../a.proto", "/etc/passwd", "a/../../b.proto", ""} {
		src := &sources{folders: folder("a.proto", "")}
		if _, err := src.find(path); err == nil {
			t.Errorf("%q was opened", path)
		}
	}
}
