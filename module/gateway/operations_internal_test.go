package gateway

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Operations are listed by site. Where the management API answers a path, the
// gate's route of that path is not reached, and isn't listed.
func TestOperationsOfSites(t *testing.T) {
	gate := func(host string, routes ...policy.Route) *Site {
		s, err := Compile(&Gate{Route: routes})
		if err != nil {
			t.Fatal(err)
		}
		s.place.Hosts = []string{host}
		return s
	}
	inputs := policy.Route{Method: "GET", Pattern: "/v2/users/{user_id}/inputs", Scopes: []string{"Inputs:Get"}}
	users := policy.Route{Method: "POST", Pattern: "/v2/users/{user_id}", Scopes: []string{"Users:Add"}}
	mount := manage.NewMount(manage.DefaultBase)
	s, err := managementSite(mount)
	if err != nil {
		t.Fatal(err)
	}
	managed := managedSite{hosts: []string{"api"}, mount: mount, site: s}
	find := func(sites []authz.Site, host, route string) *authz.Operation {
		for _, s := range sites {
			for i, o := range s.Operations {
				if s.Hosts[0] == host && o.String() == route {
					return &s.Operations[i]
				}
			}
		}
		return nil
	}
	sites := operationsOf([]*Site{gate("api", inputs, users), gate("other", inputs, users)}, []managedSite{managed})
	if len(sites) != 2 {
		t.Fatalf("%d sites", len(sites))
	}
	for _, row := range []struct {
		host, route string
		want        bool
	}{
		{"api", inputs.String(), true},
		{"api", users.String(), false},
		{"api", "GET /v2/users/{user_id}", true},
		{"other", inputs.String(), true},
		{"other", users.String(), true},
		{"other", "GET /v2/users/{user_id}", false},
	} {
		if found := find(sites, row.host, row.route); (found != nil) != row.want {
			t.Errorf("%s at %s is listed: %v", row.route, row.host, found != nil)
		}
	}
	if o := find(sites, "api", "DELETE /v2/users/{user_id}/apps/{app_id}"); o == nil || !o.OwnerOnly {
		t.Errorf("the deletion of an app is %+v, want one for its owner alone", o)
	}
}

// The operations that a limited key can call agree with the decisions of its gate, if
// two gates of the same hosts share a table, and for the management API.
func TestOperationsOfLimitedKeys(t *testing.T) {
	gate := func(resources []policy.Resource, routes ...policy.Route) *Site {
		s, err := Compile(&Gate{Route: routes, Resource: resources})
		if err != nil {
			t.Fatal(err)
		}
		s.place.Hosts = []string{"api"}
		return s
	}
	models := policy.Route{Method: "GET", Pattern: "/models/{model_id}"}
	call := policy.Route{Method: "grpc", Pattern: "/pkg.Service/Method"}
	mount := manage.NewMount(manage.DefaultBase)
	site, err := managementSite(mount)
	if err != nil {
		t.Fatal(err)
	}
	model := []policy.Resource{{Name: "model", Path: []string{"model_id"}}}
	sites := operationsOf([]*Site{gate(model, models, call), gate(nil, models, call)}, []managedSite{{hosts: []string{"api"}, mount: mount, site: site}})
	if len(sites) != 1 {
		t.Fatalf("%d sites", len(sites))
	}
	all := sites[0].Operations
	for _, row := range []struct {
		values policy.Values
		want   []authz.Reason // of the four operations of the gates
	}{
		{nil, []authz.Reason{authz.Allowed, authz.Allowed, authz.Allowed, authz.Allowed}},
		{policy.Values{"model": {"x"}}, []authz.Reason{authz.Allowed, authz.Resource, authz.Resource, authz.Resource}},
		{policy.Values{"model": {}}, []authz.Reason{authz.Resource, authz.Resource, authz.Resource, authz.Resource}},
	} {
		h := authz.Holder{Standing: keys.Active, Caller: policy.Caller{
			Kind: policy.PAT, UserID: "alice", Grant: policy.Everything(), Resources: row.values,
		}}
		for i, want := range row.want {
			if got := all[i].Call(&h); got.Reason != want {
				t.Errorf("%v: %s is decided %s, want %s", row.values, all[i].Route, got.Reason, want)
			}
		}
		for i := range all[len(row.want):] {
			if o := &all[len(row.want)+i]; o.Call(&h).Reason == authz.Resource {
				t.Errorf("%v: %s of the management API is refused", row.values, o.Route)
			}
		}
	}
}

// A gate may declare a scope of a table that it includes, as the table does:
// without our description.
func TestScopesDeclaredNextToAnInclude(t *testing.T) {
	s, err := Compile(&Gate{Include: []string{"clarifai"}, Scope: []policy.Scope{{Name: "Inputs:Get"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range s.catalogue.List() {
		if described := scope.Description != ""; described != (scope.Name != "Inputs:Get") {
			t.Errorf("scope %s is described as %q", scope.Name, scope.Description)
		}
	}
}
