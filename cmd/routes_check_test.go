package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestRoutesCheck(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.routes", "scope A\nroute GET /a A {\n\tendpoint /api/getA\n}\nroute GET /b {\n\taccept public\n}\n")
	warns := file("warns.routes", "scope A\nscope B\nroute GET /a/{other_user_id} A\n")
	wrong := file("wrong.routes", "scope A\nroute GET /a B\n")
	folded := file("folded.routes", "route GET /a/．． A\n")
	sites := file("Caddyfile", `a.example.com {
	api_keys {
		scope A
		scope B
		route GET /a/{app_id} A
		owner account app_id
		route GET /b/{account} A
	}
}
b.example.com {
	api_keys {
		route GET /c B
	}
}
`)
	empty := file("empty.caddyfile", ":80 {\nrespond x\n}\n")
	proto := file("api.proto", `syntax = "proto3";
package p;
import "google/protobuf/empty.proto";
service S {
  rpc M(google.protobuf.Empty) returns (google.protobuf.Empty);
}
`)
	openAPI := file("api.yaml", `openapi: 3.0.3
info: {title: x, version: "1"}
paths:
  /a:
    get:
      operationId: getA
      security: [{oauth: [A]}]
      responses: {"200": {description: ok}}
  /b:
    get:
      operationId: getB
      security: []
      responses: {"200": {description: ok}}
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows: {clientCredentials: {tokenUrl: https://example.com, scopes: {A: "a"}}}
`)
	leftOut := file("leftout.yaml", `openapi: 3.0.3
components: {securitySchemes: {oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: https://example.com, scopes: {read: r, admin: a}}}}}}
paths:
  /items: {get: {security: [{oauth: [read]}]}}
  /items?all=true: {get: {security: [{oauth: [admin]}]}}
  /status.{fmt}: {get: {security: []}}
  /secret: {$ref: other.yaml}
  /a: {query: {security: []}}
`)
	weaker := file("weaker.routes", "scope read\nscope admin\nroute GET /items read\nroute GET /{page} {\n\taccept public\n}\n")
	leftOutProto := file("left.proto", `syntax = "proto3";
package p;
import "google/api/annotations.proto";
message M { string name = 1; }
service S {
  rpc Get(M) returns (M) { option (google.api.http) = { get: "/v1/{name=docs/**}" }; }
  rpc GetSecret(M) returns (M) { option (google.api.http) = { get: "/v1/{name=docs/**}/secrets" }; }
}
`)
	weakerProto := file("weakerproto.routes", "route grpc /p.S/Get\nroute grpc /p.S/GetSecret\nroute GET /v1/{name=docs/**} {\n\tendpoint /p.S/Get\n}\n")
	imported := file("left.routes", run(t, "", "routes", "import", "openapi", leftOut).out)
	for _, tt := range []struct {
		name  string
		args  []string
		fails bool
		parts []string
	}{
		{"what an import left out", []string{imported, "--description", leftOut}, true, []string{
			"error: leftout.yaml:5: GET /items?all=true is left out: its path has a query or a fragment\n", "GET /status.{fmt} is left out",
			"path /secret is left out: its operations are elsewhere", "QUERY /a is left out",
		}},
		{"weaker routes next to a left-out operation", []string{weaker, "--description", leftOut}, true, []string{
			"GET /items?all=true is left out: its path has a query or a fragment; its requests can come to route GET /items at weaker.routes:3, which demands less",
			"path /secret is left out: its operations are elsewhere: \"other.yaml\" is not in this document: bundle it first; its requests can come to route GET /{page} at weaker.routes:4, which demands less",
		}},
		{"the same of protobuf", []string{weakerProto, "--description", leftOutProto, "--import-path", folder, "--unstated", "app_key,pat,session"}, true, []string{
			"GetSecret is left out", "its requests can come to route GET /v1/{name=docs/**} at weakerproto.routes:3, which demands less",
		}},
		{"good", []string{good}, false, []string{"note: good.routes:5: route GET /b requires no credential", "2 routes, 1 scope, 1 finding"}},
		{"warnings", []string{warns}, false, []string{"warning: warns.routes:2: scope B", "{other_user_id}"}},
		{"warnings, strictly", []string{warns, "--strict"}, true, []string{"warning: "}},
		{"errors", []string{wrong}, true, []string{"error: wrong.routes:2: route GET /a needs B"}},
		{"a literal that is refused", []string{folded}, true, []string{"is never reached: the path has a segment that is . or .."}},
		{"sites", []string{sites}, false, []string{"a.example.com:\n", "b.example.com:\n", "2 routes, 2 scopes, 0 findings"}},
		{"the program's own table", []string{"../module/policy/tables/clarifai.routes"}, false, []string{"120 scopes"}},
		{"drift from protobuf", []string{good, "--description", proto, "--import-path", folder}, true, []string{"route GET /a is no longer in the description", "route grpc /p.S/M is in the description only"}},
		{"drift from OpenAPI", []string{warns, "--description", openAPI}, true, []string{"route GET /a is in the description only", "scope B is no longer in the description"}},
		{"two documents", []string{good, "--description", openAPI, "--description", openAPI}, true, nil},
		{"no description there", []string{good, "--description", openAPI + ".json"}, true, nil},
		{"no gate", []string{empty, "--adapter", "caddyfile"}, true, nil},
		{"no file", []string{good + ".routes"}, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := run(t, "", append([]string{"routes", "check"}, tt.args...)...)
			if (out.err != nil) != tt.fails {
				t.Errorf("ended with %v", out.err)
			}
			contains(t, out.out, tt.parts...)
		})
	}

	out := run(t, "", "routes", "check", wrong, "-o", "json")
	var got struct {
		Sites []struct{ Findings []policy.Finding }
	}
	if err := json.Unmarshal([]byte(out.out), &got); err != nil || len(got.Sites) != 1 || len(got.Sites[0].Findings) != 1 || out.err == nil {
		t.Errorf("printed %s, %v", out.out, err)
	}

	// A fresh import has no drift.
	table := filepath.Join(folder, "imported.routes")
	if out := run(t, "", "routes", "import", "openapi", openAPI, "--out", table); out.err != nil {
		t.Fatal(out.err)
	}
	if out := run(t, "", "routes", "check", table, "--description", openAPI); out.err != nil {
		t.Errorf("it has drifted: %v %s", out.err, out.out)
	}
}
