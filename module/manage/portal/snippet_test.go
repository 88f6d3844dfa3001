package portal

import (
	"net/http/httptest"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The programs for a new key make a call that the key can make.
func TestSnippetsMakeACallThatTheKeyCanMake(t *testing.T) {
	table, err := policy.NewTable([]policy.Route{
		{Method: "GET", Pattern: "/v2/inputs/{input_id}", Scopes: []string{"Inputs:Get"}, Endpoint: []string{"/a.V2/GetInput"}},
		{Method: "GET", Pattern: "/v2/users/{user_id}/apps/{app_id}/inputs", Scopes: []string{"Inputs:Get"}, Endpoint: []string{"/a.V2/ListInputs"}},
		{Method: "GET", Pattern: "/v2/users/{user_id}/models", Scopes: []string{"Models:Get"}, Endpoint: []string{"/a.V2/ListModels"}},
		{Method: "POST", Pattern: "/v2/outputs", Scopes: []string{"Predict"}, Endpoint: []string{"/a.V2/PostOutputs"}},
		{Method: "GET", Pattern: "/v2/myscopes", Accept: []string{"app_key", "pat", "session"}},
		{Method: "GET", Pattern: "/healthz", Accept: []string{"public"}},
	}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	site := authz.NewSite([]string{"example.com"}, table.Rules())
	for i := range site.Operations {
		o := &site.Operations[i]
		o.Managed = o.Resource == "myscopes"
	}
	elsewhere := site
	elsewhere.Hosts = []string{"other.example"}
	shop := &manage.App{ID: "shop", UserID: "ada"}
	for _, c := range []struct {
		name   string
		scopes []string
		app    *manage.App
		site   authz.Site
		call   string
		curl   string
	}{
		{"a key", []string{"Inputs:Get"}, shop, site, "GET /v2/users/{user_id}/apps/{app_id}/inputs", "/v2/users/ada/apps/shop/inputs"},
		{"a token, which has no app", []string{"Inputs:Get"}, nil, site, "GET /v2/myscopes", "/v2/myscopes"},
		{"a token", []string{"Models:Get"}, nil, site, "GET /v2/users/{user_id}/models", "/v2/users/ada/models"},
		{"a key that reads nothing", []string{"Predict"}, shop, site, "GET /v2/myscopes", "/v2/myscopes"},
		{"another site", []string{"Models:Get"}, nil, elsewhere, "GET /v2/myscopes", "/v2/myscopes"},
	} {
		s := newTestPortal(t)
		s.portal.sites = func() []authz.Site { return []authz.Site{c.site} }
		v := &visit{portal: s.portal, r: httptest.NewRequest("GET", "/portal/x", nil), user: &manage.User{ID: "ada"}}
		got := v.snippetsOf(&manage.Key{ID: "cak_1", Scopes: c.scopes}, c.app)
		if want := "curl -H 'Authorization: Key cak_1' 'https://example.com" + c.curl + "'"; got.Call != c.call || got.Curl != want {
			t.Errorf("%s: %s by %s", c.name, got.Call, got.Curl)
		}
		if c.name != "a key" {
			continue
		}
		const python = "import urllib.request\n\nrequest = urllib.request.Request(\"https://example.com/v2/users/ada/apps/shop/inputs\")\n" +
			"request.add_header(\"Authorization\", \"Key cak_1\")\nprint(urllib.request.urlopen(request).read().decode())\n"
		const script = "const answer = await fetch(\"https://example.com/v2/users/ada/apps/shop/inputs\", {\n" +
			"  headers: { Authorization: \"Key cak_1\" },\n});\nconsole.log(answer.status, await answer.text());\n"
		if got.Python != python || got.JavaScript != script {
			t.Errorf("%s\n%s", got.Python, got.JavaScript)
		}
	}
}
