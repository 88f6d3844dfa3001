package cmd

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// At a gate with an imported table an operation that no route expresses is not
// reached by a weaker key, and nothing that is not described is open.
func TestImportedRoutesAtTheGate(t *testing.T) {
	const head = `openapi: 3.0.3
info: {title: t, version: "1"}
components: {securitySchemes: {oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://x/t", scopes: {read: r, admin: a}}}}}}
security: [{oauth: [read]}]
`
	sites := []struct {
		name, doc string
		// asked are the answers to nobody, to a key with read, and to one with
		// read and admin.
		asked map[string][3]int
	}{
		{"colonseg", "paths:\n  /v1/{name}:{verb}: {post: {}}\n  /items: {get: {}}\n  /items?all=true: {get: {security: [{oauth: [admin]}]}}\n  /things/{id}: {delete: {}}\n  /things/{id}#purge: {delete: {security: [{oauth: [admin]}]}}\n", map[string][3]int{
			"POST /v1/x": {401, 403, 403}, "POST /v1/x:run": {401, 403, 403}, "GET /items?all=true": {401, 403, 200}, "GET /items": {401, 403, 200}, "DELETE /things/1": {401, 403, 200},
		}},
		{"mixed", "paths:\n  /status.{fmt}: {get: {security: []}}\n  /users: {get: {}}\n", map[string][3]int{
			"GET /users": {401, 200, 200}, "GET /other": {401, 403, 403}, "GET /status.json": {401, 403, 403},
		}},
		{"files", "paths:\n  /admin: {$ref: admin.yaml}\n  /{page}: {get: {security: []}}\n  /caf%C3%A9: {get: {security: [{oauth: [admin]}]}}\n  /a b: {get: {security: [{oauth: [admin]}]}}\n", map[string][3]int{
			"GET /admin": {401, 403, 403}, "GET /about": {200, 200, 200}, "GET /caf%C3%A9": {401, 403, 200}, "GET /a%20b": {401, 403, 200},
		}},
		{"server", "servers: [{url: \"{server}/api\", variables: {server: {default: \"https://x.example.com/pre\"}}}]\nsecurity: []\npaths:\n  /ping: {get: {}}\n  /gw/{proxy+}: {get: {security: [{oauth: [read]}]}}\n", map[string][3]int{
			"GET /pre/api/ping": {200, 200, 200}, "GET /ping": {401, 404, 404}, "GET /pre/api/gw/a/b": {401, 200, 200}, "GET /pre/api/gw": {401, 404, 404},
		}},
	}
	folder := t.TempDir()
	site := machine.FreeAddress(t)
	socket, store := filepath.Join(folder, "caddy.sock"), filepath.Join(folder, "keys.db")
	config := fmt.Sprintf("{\n\tadmin \"unix/%s|0600\"\n\tpersist_config off\n\tapi_keys {\n\t\tstore bbolt %s\n\t}\n}\n", socket, store)
	port := site[strings.LastIndexByte(site, ':'):]
	for _, s := range sites {
		file := dump(t, s.name+".yaml", strings.Replace(head, "security:", "x-security:", strings.Count(s.doc, "\nsecurity: []"))+s.doc)
		table := filepath.Join(folder, s.name+".routes")
		if r := run(t, "", "routes", "import", "openapi", file, "--out", table); r.err != nil {
			t.Fatal(r.err, r.errOut)
		}
		config += fmt.Sprintf("http://%s.test%s {\n\tbind 127.0.0.1\n\tapi_keys {\n\t\timport %s\n\t\tcredential header apikey\n\t}\n\trespond through\n}\n", s.name, port, table)
	}
	file := filepath.Join(folder, "Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": file})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	sh := &shell{t: t, where: []string{"--address", "unix/" + socket + "|0600"}, secrets: []string{foreign, otherForeign}}
	kong := dump(t, "kong.yaml", "consumers:\n- username: ada\n  keyauth_credentials:\n  - key: "+foreign+"\n")
	contains(t, sh.must("", "key", "import", kong, "--format", "kong", "--app", "main", "--scopes", "read", "--create-missing"), "\tcredential header apikey\n")
	kong = dump(t, "kong.yaml", "consumers:\n- username: ada\n  keyauth_credentials:\n  - key: "+otherForeign+"\n")
	sh.must("", "key", "import", kong, "--format", "kong", "--app", "main", "--scopes", "read,admin", "--create-missing")
	for _, s := range sites {
		for request, want := range s.asked {
			method, path, _ := strings.Cut(request, " ")
			for i, credential := range []string{"", foreign, otherForeign} {
				r, err := http.NewRequestWithContext(t.Context(), method, "http://"+site+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = s.name + ".test"
				if credential != "" {
					r.Header.Set("apikey", credential)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != want[i] {
					t.Errorf("%s: %s by caller %d is answered %d, want %d", s.name, request, i, resp.StatusCode, want[i])
				}
			}
		}
	}
}
