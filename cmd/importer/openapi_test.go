package importer

import (
	"strings"
	"testing"
)

const v30 = `openapi: 3.0.3
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows:
        implicit: {authorizationUrl: x, scopes: {"read": "Read it", write: Write it}}
        clientCredentials: {tokenUrl: x, scopes: {admin: ""}}
    oidc: {type: openIdConnect, openIdConnectUrl: x}
    key: {type: apiKey, name: X-Key, in: header}
`

func TestOpenAPI(t *testing.T) {
	tests := []struct {
		name, doc string // behind the schemes of v30
		change    func(*OpenAPIOptions)
		routes    string
		warnings  []string
	}{
		{
			name: "security of the document, of operations, and what [] and {} mean",
			doc: `
security: [{oauth: [read]}]
paths:
  /absent: {get: {}}
  /own: {get: {security: [{oauth: [write, read]}]}}
  /and: {get: {security: [{oauth: [write], oidc: [openid]}]}}
  /public: {get: {security: []}}
  /public2: {get: {security: [{}]}}
  /optional: {get: {security: [{}, {oauth: [read]}]}}
  /key: {get: {security: [{key: []}]}}
`,
			routes: `route GET /absent read
route GET /and openid write
route GET /key
route GET /optional read
route GET /own read write
route GET /public {
	accept public
}
route GET /public2 {
	accept public
}`,
			warnings: []string{"openapi:19: a credential is optional"},
		},
		{
			name: "nothing stated is never open",
			doc:  `paths: {/a: {get: {operationId: getA}, post: {}}}`,
			routes: `# getA states no demand.
route GET /a {
	accept none
}
# POST /a states no demand.
route POST /a {
	accept none
}`,
			warnings: []string{"getA states no demand", "POST /a states no demand"},
		},
		{
			name: "fields in another case are not the fields",
			doc: `
security: [{oauth: [read]}]
Security: []
paths: {/a: {get: {Security: [], X-Required-Scopes: [write]}}}`,
			routes: `route GET /a read`,
		},
		{
			name: "the whole document public",
			doc: `
security: []
paths: {/a: {get: {}}}`,
			routes: `route GET /a {
	accept public
}`,
		},
		{
			name: "alternatives are all demanded",
			doc: `
paths:
  /a: {get: {security: [{oauth: [read]}, {oauth: [admin]}]}}
  /b: {get: {security: [{oauth: [read]}, {oidc: [read]}]}}
  /c: {get: {security: [{oauth: [read]}, {key: []}]}}
`,
			routes: `route GET /a admin read
route GET /b read
route GET /c read`,
			warnings: []string{"openapi:13: 2 alternatives demand different scopes, which a table can't say: all of admin read", "openapi:15: 2 alternatives"},
		},
		{
			name: "the extension, of paths and operations",
			doc: `
paths:
  /a: {x-required-scopes: [one], get: {security: [{key: []}], x-required-scopes: [two, three]}, post: {}}
  /b: {get: {x-required-scopes: "two, three"}, put: {x-required-scopes: []}}
  /c: {get: {x-required-scopes: [one], security: []}}
  /d: {get: {x-required-scopes: {one: true}}, put: {x-required-scopes: [1], security: []}, post: {x-required-scopes: [""]}}
`,
			routes: `route GET /a one three two
route POST /a one
route GET /b three two
route PUT /b
route GET /c one
# GET /d has x-required-scopes in a form that can't be read.
route GET /d {
	accept none
}
# POST /d has x-required-scopes in a form that can't be read.
route POST /d {
	accept none
}
# PUT /d has x-required-scopes in a form that can't be read.
route PUT /d {
	accept none
}`,
			warnings: []string{"GET /c is public by its security", "x-required-scopes of GET /d", "x-required-scopes of PUT /d", "x-required-scopes of POST /d"},
		},
		{
			name:   "an extension of another name",
			change: func(o *OpenAPIOptions) { o.ScopesExtension = "x-scopes" },
			doc:    `paths: {/a: {get: {x-scopes: [one], x-required-scopes: [two]}}}`,
			routes: `route GET /a one`,
		},
		{
			name: "what can't be read is closed",
			doc: `
paths:
  /a: {get: {security: {key: []}}}
  /b: {get: {security: [key]}}
  /c: {get: {security: [{oauth: read}]}}
  /d: {get: {security: [{oauth: [[read]]}]}}
  /e: {get: {security: null}}
`,
			routes: `# Its security can't be read.
route GET /a {
	accept none
}
# Its security can't be read.
route GET /b {
	accept none
}
# Its security can't be read.
route GET /c {
	accept none
}
# Its security can't be read.
route GET /d {
	accept none
}
# Its security can't be read.
route GET /e {
	accept none
}`,
			warnings: []string{"openapi:13: security has to be a list", ":14: a security requirement", ":15: a security requirement", ":16: a security requirement", ":17: security has to be a list"},
		},
		{
			name: "schemes and scopes that are not declared, roles before 3.1",
			doc: `
paths:
  /a: {get: {security: [{nosuch: [x]}]}, put: {security: [{nosuch: [x]}]}}
  /b: {get: {security: [{oauth: [fresh]}]}}
  /c: {get: {security: [{key: [role]}]}}
`,
			routes: `route GET /a x
route PUT /a x
route GET /b fresh
route GET /c role`,
			warnings: []string{"scheme nosuch is not declared", "scope fresh is demanded, but not declared", "scheme key has roles"},
		},
		{
			name: "servers, the innermost",
			doc: `
security: [{key: []}]
servers:
  - url: https://{region}.example.com/v1/
    variables: {region: {default: eu}}
  - url: /v2
  - url: https://other.example.com/v1
  - url: https://example.com/{stage}/x
    variables: {stage: {default: a, enum: [a, b]}}
  - url: //example.com
paths:
  /a: {get: {}}
  /b: {servers: [{url: /path}], get: {}, put: {servers: [{url: "https://x.example/{base}", variables: {base: {default: op}}}]}}
  /c: {servers: [], get: {servers: [{url: here}]}}
`,
			routes: `route GET /a
route GET /a/x/a
route GET /b/x/a
route GET /here/c
route PUT /op/b
route GET /path/b
route GET /v1/a
route GET /v2/a`,
			warnings: []string{"variable base may have any value: taken as its default op", `"here" is relative`},
		},
		{
			name: "paths as they come",
			doc: `
security: [{key: []}]
paths:
  /: {get: {}}
  /a/{pet-id}/{1}: {get: {}}
  /b/{path}/: {get: {}}
  /c/{id}.json: {get: {}}
  /d/{a}-{b}/x: {get: {}}
  /e/{id}:cancel: {post: {}}
  /f/{id: {get: {}}
  /g/id}: {get: {}}
  /h?x=1: {get: {}}
  i: {get: {}}
  /j/é: {get: {}}
  "/k/a b": {get: {}}
  "/l/\u202ek": {get: {}}
  /m/{user_id}: {get: {}}
  x-note: {get: {}}
`,
			routes: `route GET /
route GET /a/{pet_id}/{_1}
route GET /b/{path_}/
# GET /c/(id).json is left out: its segment "(id).json" is variable only in part.
route GET /c/{id} {
	accept none
	allow colon
}
# GET /d/(a)-(b)/x is left out: its segment "(a)-(b)" is variable only in part.
route GET /d/{a_b}/x {
	accept none
}
route POST /e/{id}:cancel
# GET /f/(id is left out: it has a ( without a ), or without a name.
route GET /f/{rest=**} {
	accept none
	allow colon
}
# GET /g/id) is left out: it has a ) without a (.
route GET /g/{part_2} {
	accept none
	allow colon
}
# GET /h?x=1 is left out: its path has a query or a fragment.
route GET /h {
	accept none
}
# GET i is left out: its path must begin with /.
route GET /i {
	accept none
}
route GET /j/é
route GET "/k/a b"
# GET /l/k is left out: its path "/l/'u202ek" has an invisible character.
route GET /l/{any} {
	accept none
	allow colon
}
route GET /m/{user_id}`,
			warnings: []string{
				`"{id}.json" is variable only in part; closed by the route GET /c/{id}`, `"{a}-{b}"`, "{ without a }", "} without a {", "h?x=1", "must begin with /",
				"invisible character; closed by the route GET /l/{any}",
			},
		},
		{
			name:   "owner and app by name",
			change: func(o *OpenAPIOptions) { o.OwnerField, o.AppField = "name", "repo" },
			doc: `
security: [{key: []}]
paths: {"/r/{name}/{repo}/{user_id}/{app_id}": {get: {}}}`,
			routes: `route GET /r/{user_id}/{app_id}/{user_id_}/{app_id_}`,
		},
		{
			name: "owner twice in one path",
			doc: `
security: [{key: []}]
paths: {"/r/{user-id}/{user-id}": {get: {operationId: A}}}`,
			routes: `# A: it names the owner or the app twice (user-id), and one of them can't be checked.
route GET /r/{user_id}/{user_id_2} {
	accept none
}`,
			warnings: []string{"twice (user-id)"},
		},
		{
			name: "methods",
			doc: `
security: [{key: []}]
paths: {/a: {get: {}, put: {}, post: {}, delete: {}, options: {}, head: {}, patch: {}, trace: {}, GET: {}, summary: x, x-y: {}, parameters: [], query: {}, additionalOperations: {COPY: {}}}}`,
			routes: `route DELETE /a
# Demands what GET /a does too, which is left out: "GET" is not an operation of OpenAPI, whose methods are in lower case.
route GET /a {
	accept none
}
route HEAD /a
route OPTIONS /a
route PATCH /a
route POST /a
route PUT /a
# COPY /a is left out: its method "COPY" is refused in every request.
# QUERY /a is left out: its method "QUERY" is refused in every request.
# TRACE /a is left out: its method "TRACE" is refused in every request.`,
			warnings: []string{`method "TRACE"`, `"GET" is not an operation`, `method "QUERY"`, `method "COPY"`},
		},
		{
			name: "references of paths",
			doc: `
security: [{key: []}]
x-common: {get: {security: [{oauth: [read]}]}}
paths:
  /a: {$ref: "#/x-common", put: {}}
  /b: {$ref: "#/paths/~1a", get: {security: [{oauth: [write]}]}}
  /c: {$ref: other.yaml}
  /d: {$ref: "#/nosuch"}
  /e: {$ref: "#/paths/~1e"}
  /f: {$ref: "#/paths/~1g"}
  /g: {$ref: "#/paths/~1f", get: {$ref: "#/x-common/get"}}
`,
			routes: `route GET /a read
route PUT /a
# Demands all that GET /b and GET /b do.
route GET /b read write
route PUT /b
# path /c is left out: its operations are elsewhere: "other.yaml" is not in this document: bundle it first.
route * /c {
	accept none
}
# path /d is left out: its operations are elsewhere: "#/nosuch" is not in the document.
route * /d {
	accept none
}
# path /e is left out: its operations are elsewhere: it refers to itself, or follows too many references.
route * /e {
	accept none
}
# path /f is left out: its operations are elsewhere: it refers to itself, or follows too many references.
route * /f {
	accept none
}
# GET /f is left out: the value of GET is not an operation of OpenAPI.
route GET /f {
	accept none
}
# path /g is left out: its operations are elsewhere: it refers to itself, or follows too many references.
route * /g {
	accept none
}
# GET /g is left out: the value of GET is not an operation of OpenAPI.
route GET /g {
	accept none
}`,
			warnings: []string{"bundle it first; closed by the route * /c", `"#/nosuch" is not in`, "path /e is left out", "path /f is left out", "path /g is left out", "GET /b has the method and shape of GET /b",
				`GET /g is left out`, `GET /f is left out`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var o OpenAPIOptions
			if test.change != nil {
				test.change(&o)
			}
			res, err := OpenAPI([]byte(v30+test.doc), o)
			if err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(body(t, res), "\n\n")
			if got != test.routes {
				t.Errorf("got\n%s\n\nwant\n%s", got, test.routes)
			}
			warned(t, res, test.warnings...)
		})
	}
}

func TestOpenAPIVersions(t *testing.T) {
	tests := []struct{ name, doc, routes string }{
		{"3.1 has roles of keys", strings.Replace(v30, "3.0.3", "3.1.0", 1) + `paths: {/a: {get: {security: [{key: [role]}]}}}`, `route GET /a role`},
		{"2.0", `swagger: "2.0"
host: example.com
basePath: /v1/
schemes: [https]
securityDefinitions:
  oauth: {type: oauth2, flow: implicit, scopes: {read: Read it, x-note: none}}
  key: {type: apiKey}
security: [{oauth: [read]}, {key: []}]
paths:
  /a: {get: {}, post: {security: [{key: []}]}, put: {security: []}}
`, `route GET /v1/a read
route POST /v1/a
route PUT /v1/a {
	accept public
}`},
		{"2.0 without quotes", "swagger: 2.0\npaths: {/a: {get: {security: []}}}", `route GET /a {
	accept public
}`},
		{"JSON", `{"openapi": "3.0.0", "info": {"title": "\ud83d\ude00"}, "servers": [{"url": "\/v1"}], "paths": {"\/a": {"get": {"security": []}}}}`, `route GET /v1/a {
	accept public
}`},
		{"YAML aliases", `openapi: 3.0.0
x-op: &op {security: []}
paths: {/a: {get: *op}, /b: {get: *op}}`, `route GET /a {
	accept public
}
route GET /b {
	accept public
}`},
		{"schemes by reference", `openapi: 3.0.0
components:
  securitySchemes:
    a: {$ref: "#/components/securitySchemes/b"}
    b: {type: oauth2, flows: {implicit: {scopes: {read: ""}}}}
    c: {$ref: "#/components/securitySchemes/c"}
    d: {$ref: "x.yaml"}
paths: {/a: {get: {security: [{a: [read]}]}}}`, `route GET /a read`},
		{"places of JSON", "{\n\"swagger\": \"2.0\",\n\"paths\": {\"/a\":\n {\"get\": {}}}}", `# GET /a states no demand.
route GET /a {
	accept none
}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res, err := OpenAPI([]byte(test.doc), OpenAPIOptions{Name: "doc"})
			if err != nil {
				t.Fatal(err)
			}
			got := body(t, res)
			if i := strings.Index(got, "\n\n"); i >= 0 {
				got = got[i+2:]
			}
			if got != test.routes {
				t.Errorf("got\n%s\n\nwant\n%s", got, test.routes)
			}
			switch test.name {
			case "2.0":
				warned(t, res, "doc:8: 2 alternatives")
			case "schemes by reference":
				warned(t, res, "bundle it first")
			case "places of JSON":
				warned(t, res, "doc:4: GET /a")
			default:
				warned(t, res)
			}
		})
	}
}

func TestOpenAPIErrors(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"nothing", "", "neither JSON nor YAML"},
		{"no object", "[]", "not an OpenAPI document"},
		{"no version", "paths: {}", "can't be imported"},
		{"another version", `{"openapi": "4.0.0"}`, `"openapi 4.0.0"`},
		{"no operation", `{"openapi": "3.0.0", "paths": {}}`, "no operation"},
		{"webhooks only", `{"openapi": "3.1.0"}`, "no operation"},
		{"paths of another kind", "openapi: 3.0.0\npaths: []", "openapi:2: paths"},
		{"two documents", "openapi: 3.0.0\n---\na: b", "several"},
		{"a key twice", `{"openapi": "3.0.0", "paths": {}, "paths": {}}`, `"paths" occurs twice`},
		{"a path twice", `{"openapi": "3.0.0", "paths": {"/a": {}, "/a": {}}}`, `"/a" occurs twice`},
		{"an operation twice", `{"openapi": "3.0.0", "paths": {"/a": {"get": {}, "get": {}}}}`, `"get" twice`},
		{"security twice", `{"openapi": "3.0.0", "paths": {"/a": {"get": {"security": [{"a": []}], "security": []}}}}`, `"security" twice`},
		{"merge keys", "openapi: 3.0.0\nx: &x {security: []}\npaths: {/a: {get: {<<: *x}}}", "line 3: the merge key"},
		{"paths in another file", "openapi: 3.0.0\npaths: {$ref: paths.yaml, /a: {get: {}}}", "openapi:2: paths has a $ref"},
		{"a base path with a variable", "swagger: '2.0'\nbasePath: /{v}\npaths: {/a: {get: {}}}", "has a variable"},
		{"a base path that is a number", "swagger: '2.0'\nbasePath: 1\npaths: {/a: {get: {}}}", "basePath has to be a text"},
		{"broken", "{", "neither"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := OpenAPI([]byte(test.doc), OpenAPIOptions{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
	if _, err := OpenAPI([]byte(v30), OpenAPIOptions{Shared: Shared{Unstated: []string{"public"}}}); err == nil {
		t.Error("unstated public: no error")
	}
}
