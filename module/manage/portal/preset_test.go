package portal

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// sampleCatalogue is what the form for a token offers on the sample sites.
func sampleCatalogue(t *testing.T) *catalogue {
	c := *sample
	c.sites = sampleSites(t)
	c.full = &authz.Holder{Standing: keys.Active, Caller: policy.Caller{Kind: policy.PAT, UserID: "ada", Grant: policy.Everything()}}
	return &c
}

// Presets are defined by operations. Where scopes alone would permit others too,
// they are limited to endpoints: "read" doesn't patch languages, which needs only
// scopes that read.
func TestPresets(t *testing.T) {
	c := sampleCatalogue(t)
	for name, want := range map[string][2]string{
		"all":     {"All", ""},
		"none":    {"", ""},
		"unknown": {"", ""},
		"read":    {"Inputs:Get Models:Get", "ListInputs ListModels"},
		"predict": {"Models:Get Predict", "ListModels PostModelOutputs"},
	} {
		p := c.Preset(name)
		var endpoints []string
		for _, e := range p.Endpoints {
			endpoints = append(endpoints, shortEndpoint(e))
		}
		if got := [2]string{strings.Join(p.Scopes, " "), strings.Join(endpoints, " ")}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Operations select the fewest scopes, with those that the scopes need, and limit
// the key if the form says so.
func TestChoosingOperations(t *testing.T) {
	const service = "/clarifai.api.V2/"
	for _, row := range []struct {
		name string
		form url.Values
		want string
	}{
		{"one operation", url.Values{"operation": {service + "ListInputs"}}, "Inputs:Get Models:Get"},
		{"two, with a scope", url.Values{"operation": {service + "ListInputs", service + "PostInputs"}, "scope": {"Predict"}}, "Inputs:Add Inputs:Get Models:Get Predict"},
		{"only what they need", url.Values{"operation": {service + "ListInputs"}, "scope": {"Predict"}, "preset": {"operations"}}, "Inputs:Get Models:Get"},
		{"exactly these", url.Values{"operation": {service + "ListInputs"}, "exact": {"1"}}, "Inputs:Get Models:Get limited to ListInputs"},
		{"added to a limit", url.Values{"operation": {service + "ListInputs"}, "endpoint": {service + "ListModels"}}, "Inputs:Get Models:Get limited to ListInputs ListModels"},
		{"all scopes", url.Values{"operation": {service + "ListInputs"}, "scope": {"All"}}, "All"},
		{"unknown ones", url.Values{"operation": {"nothing"}, "exact": {"1"}}, ""},
		{"a level", url.Values{"level.Inputs": {"read"}, "was.Inputs": {"none"}}, "Inputs:Get"},
		{"another level", url.Values{"level.Inputs": {"read"}, "was.Inputs": {"write"}, "scope": {"Inputs:Add", "Inputs:Get", "Predict"}}, "Inputs:Get Predict"},
		{"no level", url.Values{"level.Inputs": {"none"}, "was.Inputs": {"write"}, "scope": {"Inputs:Add", "Inputs:Get"}}, ""},
		{"a level that stayed", url.Values{"level.Inputs": {"write"}, "was.Inputs": {"write"}, "scope": {"Inputs:Get"}}, "Inputs:Get"},
		{"a level of scopes one by one", url.Values{"level.Inputs": {"custom"}, "was.Inputs": {"write"}, "scope": {"Inputs:Get"}}, "Inputs:Get"},
	} {
		c := sampleCatalogue(t)
		c.Groups = []group{{"Inputs", "", scopesNamed("Inputs:Add", "Inputs:Delete", "Inputs:Get")}, {"Models", "", scopesNamed("Models:Get")}}
		f := &keyForm{Catalogue: c}
		f.read(row.form)
		got := strings.Join(f.Scopes, " ")
		if len(f.Endpoints) > 0 {
			got += " limited to"
			for _, e := range f.Endpoints {
				got += " " + shortEndpoint(e)
			}
		}
		if got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

// Operations without endpoints can't limit a key, and it isn't made without the
// limit.
func TestOperationsThatCantLimit(t *testing.T) {
	table, err := policy.NewTable([]policy.Route{{Method: "GET", Pattern: "/inputs", Scopes: []string{"Inputs:Get"}}}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	s := newTestPortal(t)
	s.portal.sites = func() []authz.Site { return []authz.Site{authz.NewSite(nil, table.Rules())} }
	for _, step := range []string{"review", "done"} {
		_, _, page := s.send("/apps/shop/new", url.Values{"operation": {"GET /inputs"}, "exact": {"1"}, "step": {step}, "expires": {"30d"}})
		if len(s.changed) > 0 || !strings.Contains(page, "These operations have no endpoints") {
			t.Errorf("%s: changed %v: %s", step, s.changed, page)
		}
	}
}

func scopesNamed(names ...string) (list []manage.Scope) {
	for _, name := range names {
		list = append(list, manage.Scope{Scope: name})
	}
	return list
}
