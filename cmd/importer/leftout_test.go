package importer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// demands is what the table of an import asks of a request: scopes with spaces
// between, public, closed, or unknown where no route matches.
func demands(t *testing.T, res *Result, request string) string {
	t.Helper()
	table, err := policy.NewTable(res.Table.Routes, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	method, path, _ := strings.Cut(request, " ")
	r := table.Find(method, false, path)
	switch {
	case r == nil:
		return "unknown"
	case r.Accepts() == policy.AcceptNone:
		return "closed"
	case r.Accepts().Public():
		return "public"
	}
	return strings.Join(r.Scopes, " ")
}

// An operation that can't be written as a route is not decided by another one
// that demands less, and opens nothing that is not described.
func TestLeftOutOperations(t *testing.T) {
	const read, admin, public = "{security: [{oauth: [read]}]}", "{security: [{oauth: [admin]}]}", "{security: []}"
	tests := []struct {
		name, paths string
		asked       map[string]string // what a request is asked for
		left        []string          // operations
	}{
		{
			"a query", "/items: {get: " + read + "}\n'/items?all=true': {get: " + admin + "}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /items": "admin read", "GET /about": "public"}, []string{"GET /items?all=true"},
		},
		{
			"a query, with no other route", "'/items?all=true': {get: " + public + "}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /items": "closed", "GET /about": "public"}, []string{"GET /items?all=true"},
		},
		{
			"a fragment", "/a/{id}: {delete: " + read + "}\n'/a/{id}#purge': {delete: " + admin + "}\n/b: {delete: " + read + "}\n'/b#purge': {delete: " + admin + "}",
			map[string]string{"DELETE /a/1": "admin read", "DELETE /b": "admin read"}, []string{"DELETE /a/{id}#purge", "DELETE /b#purge"},
		},
		{
			"a query template", "'/items{?all}': {get: " + admin + "}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /items": "admin", "GET /about": "public"}, nil,
		},
		{
			"a variable verb", "/v1/{name}:{verb}: {post: " + admin + "}\n/v1/{name}:run: {post: " + read + "}\n/v2/{id}: {post: " + read + "}\n/v2/{name}:a:b: {post: " + admin + "}",
			map[string]string{"POST /v1/x": "closed", "POST /v1/x:y": "closed", "POST /v1/x:run": "admin read", "POST /v2/x": "read", "POST /v2/x:a:b": "unknown"},
			[]string{"POST /v1/{name}:{verb}", "POST /v2/{name}:a:b"},
		},
		{
			"a segment that is variable in part", "/status.{fmt}: {get: " + public + "}\n/users: {get: " + admin + "}\n/status.json: {get: " + read + "}",
			map[string]string{"GET /status.xml": "closed", "GET /anything": "closed", "GET /users": "admin", "GET /status.json": "read", "GET /a:b": "closed"},
			[]string{"GET /status.{fmt}"},
		},
		{
			"one next to weaker neighbours", "/f/{a}-{b}: {get: " + admin + "}\n/f/{id}: {get: " + read + "}\n/f/x-y: {get: " + read + "}\n/f/z: {get: " + read + "}\n'/{all=**}': {get: " + public + "}",
			map[string]string{"GET /f/1-2": "admin read", "GET /f/1": "admin read", "GET /f/x-y": "admin read", "GET /f/z": "read", "GET /f": "public"},
			[]string{"GET /f/{a}-{b}"},
		},
		{
			"a sign before a variable", "/@{user}: {get: " + public + "}",
			map[string]string{"GET /@ada": "closed", "GET /ada": "closed"}, []string{"GET /@{user}"},
		},
		{
			"a variable in the middle that takes the rest", "'/v1/{name=docs/**}/secrets': {get: " + admin + "}\n'/v1/{name=docs/**}': {get: " + read + "}\n/v1/docs/{id}: {get: " + read + "}\n/v1/docs/{id}/secrets: {get: " + read + "}",
			map[string]string{"GET /v1/docs/a/b/secrets": "admin read", "GET /v1/docs/a": "admin read", "GET /v1/docs/a/secrets": "admin read"},
			[]string{"GET /v1/{name=docs/**}/secrets"},
		},
		{
			"operations in other files", "/admin: {$ref: other.yaml}\n/a/{id}: {$ref: 'x.yaml#/y'}\n/{page}: {get: " + public + ", delete: " + public + "}",
			map[string]string{"GET /admin": "closed", "DELETE /admin": "closed", "POST /admin": "closed", "GET /a/1": "closed", "GET /page": "public"},
			[]string{"path /admin", "path /a/{id}"},
		},
		{
			"an operation in another file", "/admin: {get: {$ref: other.yaml}}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /admin": "closed", "GET /page": "public"}, []string{"GET /admin"},
		},
		{
			"a path without operations", "/admin: {}\n/null:\n/parameters: {parameters: []}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /admin": "closed", "GET /null": "closed", "GET /parameters": "closed"},
			[]string{"path /admin", "path /null", "path /parameters"},
		},
		{
			"a path that takes the rest, in another file", "'/{proxy+}': {$ref: other.yaml}\n/a: {get: " + public + "}",
			map[string]string{"GET /a": "public", "POST /a": "closed", "GET /b/c": "closed"}, []string{"path /{proxy+}"},
		},
		{
			"methods in capitals", "/admin: {GET: " + admin + "}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /admin": "closed"}, []string{"GET /admin"},
		},
		{
			"additional operations", "/a: {get: " + read + ", additionalOperations: {COPY: " + admin + ", POST: " + admin + ", get: " + admin + "}, query: " + read + ", trace: " + read + "}",
			map[string]string{"GET /a": "read", "POST /a": "admin"}, []string{"COPY /a", "get /a", "QUERY /a", "TRACE /a"},
		},
		{
			"all methods, as AWS writes it", "'/{proxy+}': {x-amazon-apigateway-any-method: " + admin + "}\n/a: {get: " + public + "}",
			map[string]string{"GET /a": "public", "POST /a": "admin", "DELETE /a/b/c": "admin", "GET /": "unknown"}, nil,
		},
		{
			"literals that are escaped or have a space", "'/caf%C3%A9': {get: " + admin + "}\n/café: {get: " + read + "}\n'/a b': {get: " + admin + "}\n'/a%20b/c': {get: " + admin + "}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /caf%C3%A9": "admin read", "GET /a%20b": "admin", "GET /a%20b/c": "admin"}, nil,
		},
		{
			"literals that no pattern has", "'/a*b': {get: " + admin + "}\n'/c%3Fd': {get: " + admin + "}\n'/e;v=1': {get: " + admin + "}\n'/g%2Fh': {get: " + admin + "}\n/{page}: {get: " + read + "}\n'/{p=**}': {get: " + public + "}",
			map[string]string{"GET /a*b": "admin read", "GET /axb": "admin read", "GET /e": "closed", "GET /g": "admin read"},
			[]string{"GET /a*b", "GET /c%3Fd", "GET /e;v=1", "GET /g%2Fh"},
		},
		{
			"a star for the rest", "'/files/*': {get: " + admin + "}\n/files/{id}: {get: " + read + "}\n'/{p=**}': {get: " + public + "}",
			map[string]string{"GET /files/a": "admin read", "GET /files/a/b": "closed"}, []string{"GET /files/*"},
		},
		{
			"paths that clients change", "'//admin': {get: " + admin + "}\n'/x/../secret': {get: " + admin + "}\n'/./c': {get: " + admin + "}\n/c: {get: " + read + "}\n/{page}: {get: " + public + "}",
			map[string]string{"GET /admin": "closed", "GET /secret": "closed", "GET /c": "admin read"},
			[]string{"GET //admin", "GET /x/../secret", "GET /./c"},
		},
		{
			"a path without its slash, and braces that don't match", "admin: {get: " + admin + "}\n'/f/{id': {get: " + admin + "}\n'/g}': {get: " + admin + "}\n'/{page}': {get: " + public + "}\n'/{a}/{b}': {get: " + public + "}",
			map[string]string{"GET /admin": "closed", "GET /f/x": "closed", "GET /f/{id": "closed", "GET /g}": "admin", "GET /other/x": "public"},
			[]string{"GET admin", "GET /f/{id", "GET /g}"},
		},
		{
			"constraints", "'/users/{id:int}': {get: " + admin + "}\n/users/me: {get: " + public + "}\n'/f/{path:path}': {get: " + admin + "}\n'/g/{x: .+}': {get: " + admin + "}\n'/h/{x:[^/]+}/y': {get: " + admin + "}\n/{a}/{b}: {get: " + public + "}\n/{a}/{b}/y: {get: " + public + "}",
			map[string]string{"GET /users/1": "closed", "GET /users/me": "public", "GET /f/a/b": "admin", "GET /g/a": "admin", "GET /g": "unknown", "GET /h/1/y": "closed", "GET /x/y": "public", "GET /x/1/y": "public"},
			[]string{"GET /users/{id:int}", "GET /h/{x:[^/]+}/y"},
		},
		{
			"greedy variables", "'/a/{p+}': {get: " + admin + "}\n'/b/{*p}': {get: " + admin + "}\n'/c/{p...}': {get: " + admin + "}\n'/d/{+p}': {get: " + admin + "}\n'/e/{p+}/x': {get: " + admin + "}\n/{x}: {get: " + public + "}\n'/e/{x=**}': {get: " + public + "}",
			map[string]string{"GET /a/1/2": "admin", "GET /a": "public", "GET /b/1/2": "admin", "GET /c/1/2": "admin", "GET /d/1/2": "admin", "GET /e/1/2/x": "admin", "GET /e/1": "admin"},
			[]string{"GET /e/{p+}/x"},
		},
		{
			"Azure's paths and parameters", "'/a/{scope}/x': {get: {security: [{oauth: [admin]}], parameters: [{in: path, name: scope, x-ms-skip-url-encoding: true}]}}\n'/b/{scope}': {parameters: [{$ref: '#/x-p'}], get: " + admin + "}\n/a/{b}/{c}: {get: " + public + "}\n/b/{b}/{c}: {get: " + read + "}",
			map[string]string{"GET /a/1/2/x": "closed", "GET /a/1/x": "admin", "GET /b/1/2": "read", "GET /b/1/2/3": "admin"},
			[]string{"GET /a/{scope}/x"},
		},
		{
			"security of a path", "/a: {security: [{oauth: [admin]}], get: {}, put: " + read + ", tags: [x]}",
			map[string]string{"GET /a": "admin", "PUT /a": "read"}, nil,
		},
		{
			"names of variables that differ", "/a/{x}: {get: " + read + "}\n/a/{y}: {get: " + admin + "}\n/a/{z}/: {get: " + admin + "}",
			map[string]string{"GET /a/1": "admin read", "GET /a/1/": "admin"}, nil,
		},
		{
			"HEAD", "/a.{b}: {head: " + admin + "}\n/a.b: {get: " + read + "}\n/{page}: {get: " + public + "}",
			map[string]string{"HEAD /a.x": "closed", "HEAD /a.b": "admin read", "GET /a.x": "public"}, []string{"HEAD /a.{b}"},
		},
		{
			"an owner that a neighbour can't check", "'/{user_id}/x?all': {get: " + read + "}\n/@{user_id}: {get: " + read + "}\n/{page}: {get: " + read + "}",
			map[string]string{"GET /page": "closed", "GET /ada/x": "closed"}, []string{"GET /{user_id}/x?all", "GET /@{user_id}"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res, err := OpenAPI([]byte(v30+"x-p: {in: path, name: scope, x-ms-skip-url-encoding: true}\npaths:\n  "+strings.ReplaceAll(test.paths, "\n", "\n  ")), OpenAPIOptions{})
			if err != nil {
				t.Fatal(err)
			}
			text := sound(t, res)
			for request, want := range test.asked {
				if got := demands(t, res, request); got != want {
					t.Errorf("%s is asked for %q, want %q", request, got, want)
				}
			}
			var left []string
			for _, l := range res.LeftOut {
				left = append(left, l.Operation)
				if !slices.ContainsFunc(res.Warnings, func(w Warning) bool { return strings.Contains(w.Text, plain(l.Operation)+" is left out") }) {
					t.Errorf("no warning for %s, which is left out", l.Operation)
				}
				if !strings.Contains(text, clean(l.Operation)) {
					t.Errorf("the table has no comment on %s", l.Operation)
				}
			}
			if !slices.Equal(left, test.left) {
				t.Errorf("left out are %q, want %q", left, test.left)
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// For routes next to an operation that the import left out, the check of the table names
// the routes that demand less.
func TestLeftOutDrift(t *testing.T) {
	doc := v30 + "paths:\n  /items: {get: {security: [{oauth: [read]}]}}\n  /items?all=true: {get: {security: [{oauth: [admin]}]}}"
	res, err := OpenAPI([]byte(doc), OpenAPIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Checked{Scopes: res.Table.Scopes, Routes: res.Table.Routes, Owner: "user_id", App: "app_id", LeftOut: res.LeftOut}
	have := want
	have.LeftOut = nil
	if found := policy.Drift(have, want); len(found) != 1 || found[0].Kind != policy.FindingLeftOut || strings.Contains(found[0].Text, "demands less") {
		t.Errorf("of what was imported: %v", found)
	}
	have.Routes = []policy.Route{{Method: "GET", Pattern: "/{page}", Scopes: []string{"read"}, Place: "x.routes:1"}}
	found := policy.Drift(have, want)
	if !slices.ContainsFunc(found, func(f policy.Finding) bool {
		return strings.Contains(f.Text, "GET /items?all=true is left out") && strings.Contains(f.Text, "route GET /{page} at x.routes:1, which demands less")
	}) {
		t.Errorf("of a weaker neighbour: %v", found)
	}
}

// A credential that lists endpoints needs the one of the method that is left
// out, too.
func TestLeftOutProto(t *testing.T) {
	o := acme()
	o.Sources, o.Files = service(`
rpc Get (M) returns (M) { option (google.api.http) = { get: "/v1/{id=docs/**}" }; option (acme.auth.kind) = KEY; option (acme.auth.scopes) = Things_Get; }
rpc GetSecret (M) returns (M) { option (google.api.http) = { get: "/v1/{id=docs/**}/secrets" }; option (acme.auth.kind) = STAFF; option (acme.auth.scopes) = Secret; }
rpc Other (M) returns (M) { option (google.api.http) = { get: "/v1/docs/{id}" }; option (acme.auth.kind) = OPEN; }
rpc Last (M) returns (M) { option (google.api.http) = { get: "/v1/docs/a/{id}" }; option (acme.auth.kind) = OPEN; }`), []string{"acme/api.proto"}
	res, err := Proto(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := `# Demands what GetSecret does too, which is left out: pattern "/v1/(id=docs/**)/secrets": ** takes the rest of the path, so nothing may follow it but a :verb.
route GET /v1/docs/a/{id} Secret {
	endpoint /acme.API/GetSecret /acme.API/Last
	accept session
}
# Demands what GetSecret does too, which is left out: pattern "/v1/(id=docs/**)/secrets": ** takes the rest of the path, so nothing may follow it but a :verb.
route GET /v1/docs/{id} Secret {
	endpoint /acme.API/GetSecret /acme.API/Other
	accept session
}
# Demands what GetSecret does too, which is left out: pattern "/v1/(id=docs/**)/secrets": ** takes the rest of the path, so nothing may follow it but a :verb.
route GET /v1/{id=docs/**} Secret Things:Get {
	endpoint /acme.API/Get /acme.API/GetSecret
	accept session
}`
	if got := sound(t, res); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(res.LeftOut) != 1 || res.LeftOut[0].Operation != "GetSecret" {
		t.Errorf("left out are %v", res.LeftOut)
	}
}

// templateParts are what TestLeftOutIsNeverWeaker builds paths of: a part of a
// template, and what a client may send for it.
var templateParts = []struct{ template, sent string }{
	{"a", "a"}, {"b", "b"}, {"{x}", "v"}, {"{x}", "a"}, {"{x}.{y}", "v.w"}, {"{x}.{y}", "a.b"}, {"a.{y}", "a.b"}, {"a.b", "a.b"}, {"@{x}", "@v"},
	{"{x}-b", "a-b"}, {"{x+}", "v/a"}, {"{x+}", "b"}, {"{x*}", "a/b"}, {"{x=**}", "b"}, {"{x=a/*}", "a/v"}, {"*", "v"}, {"a*", "a/b"}, {"a;v=1", "a"}, {"%61", "a"},
	{"a%2Fb", "a/b"}, {".", ""}, {"a\\b", "a/b"}, {"{x:[0-9]+}", "7"}, {"{x:.*}", "a/b"}, {"a{/x}", "a/v"}, {"a{.x}", "a.v"}, {"", ""},
}

// Whatever paths a description has, a request of an operation that is left out
// for its path is asked for all that it demands, unless its path without the
// query is described on its own too.
func TestLeftOutIsNeverWeaker(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	asked := 0
	for range 3000 {
		var doc strings.Builder
		doc.WriteString(v30 + "paths:\n")
		sent := map[string]string{} // by operation
		templates := map[string]bool{}
		for i := range 2 + random.IntN(6) {
			template, path := "", ""
			for n := random.IntN(3); n >= 0; n-- {
				part := templateParts[random.IntN(len(templateParts))]
				template += "/" + part.template
				if part.sent != "" || n == 0 {
					path += "/" + part.sent
				}
			}
			if random.IntN(4) == 0 {
				suffix := [...][2]string{{":run", ":run"}, {"?x=1", ""}, {"#x", ""}, {":{v}", ":w"}, {":a:b", ":a:b"}}[random.IntN(5)]
				template, path = template+suffix[0], path+suffix[1]
			}
			if templates[template] {
				continue
			}
			templates[template] = true
			id := fmt.Sprint("op", i)
			sent[id] = path
			security := fmt.Sprintf("[{oauth: [scope%d]}]", i)
			if random.IntN(3) == 0 {
				security = "[]"
			}
			fmt.Fprintf(&doc, "  %q: {get: {operationId: %s, security: %s}}\n", template, id, security)
		}
		res, err := OpenAPI([]byte(doc.String()), OpenAPIOptions{})
		if err != nil {
			t.Fatal(err, doc.String())
		}
		text := sound(t, res)
		for _, l := range res.LeftOut {
			if l.Exact || sent[l.Operation] == "" {
				continue
			}
			asked++
			got := demands(t, res, "GET "+sent[l.Operation])
			weaker := got == "public" && !l.Accept.Public()
			for _, s := range l.Scopes {
				weaker = weaker || got != "closed" && got != "unknown" && !slices.Contains(strings.Fields(got), s)
			}
			if weaker {
				t.Fatalf("GET %s of %s is asked for %q, and it demands %v (%v)\n%s\n%s", sent[l.Operation], l.Operation, got, l.Scopes, l.Cover, doc.String(), text)
			}
		}
	}
	if asked < 1000 {
		t.Errorf("only %d requests were asked about", asked)
	}
}
