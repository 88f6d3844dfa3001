package authz_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const service = "/items.v1.Items/"

func siteOf(t *testing.T, routes ...policy.Route) authz.Site {
	t.Helper()
	table, err := policy.NewTable(routes, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	site := authz.NewSite([]string{"api.example.com"}, table.Rules())
	for i := range site.Operations {
		o := &site.Operations[i]
		o.OwnerOnly = o.Method == "DELETE"
		o.Managed = o.Resource == "keys" || o.Resource == "figures"
	}
	return site
}

var items = []policy.Route{
	{Method: "GET", Pattern: "/v1/users/{user_id}/apps/{app_id}/items", Scopes: []string{"Items:Get"}, Endpoint: []string{service + "ListItems"}},
	{Method: "POST", Pattern: "/v1/users/{user_id}/apps/{app_id}/items", Scopes: []string{"Items:Add", "Items:Get"}, Endpoint: []string{service + "PostItems"}},
	{Method: "DELETE", Pattern: "/v1/users/{user_id}/apps/{app_id}", Scopes: []string{"Apps:Delete"}},
	{Method: "GET", Pattern: "/v1/users/{user_id}/keys", Scopes: []string{"Keys:Get"}, Accept: []string{"pat", "session"}},
	{Method: "GET", Pattern: "/v1/status", Accept: []string{"public"}},
	{Method: "POST", Pattern: "/v1/figures"},
	{Method: "grpc", Pattern: service + "ListItems", Scopes: []string{"Items:Get"}},
	{Method: "grpc", Pattern: service + "PostItems", Scopes: []string{"Items:Add", "Items:Get"}},
	{Method: "grpc", Pattern: service + "GetItemKind"},
	{Method: "GET", Pattern: "/v1/closed", Accept: []string{"none"}},
}

// What a holder can call is what the decision allows, with the reason otherwise.
func TestAHolderCalls(t *testing.T) {
	site := siteOf(t, items...)
	full := policy.Everything()
	list := policy.NewGrant([]string{"Items:Get"}, nil)
	holder := func(kind policy.Kind, standing keys.Standing, scopes string, endpoints ...string) authz.Holder {
		c := policy.Caller{Kind: kind, UserID: "alice", Grant: policy.NewGrant(strings.Fields(scopes), endpoints)}
		if kind == policy.AppKey {
			c.AppID = "shop"
		}
		return authz.Holder{Caller: c, Standing: standing}
	}
	shared := func(h authz.Holder, record *policy.Grant) authz.Holder {
		h.Shared = record
		return h
	}
	const always = "GET /v1/status"
	const free = "POST /v1/figures, grpc " + service + "GetItemKind"
	for _, row := range []struct {
		name   string
		holder authz.Holder
		calls  []string
	}{
		{"nothing granted", holder(policy.AppKey, keys.Active, ""), []string{always, free}},
		{"one scope", holder(policy.AppKey, keys.Active, "Items:Get"), []string{
			always, free, "GET /v1/users/{user_id}/apps/{app_id}/items", "grpc " + service + "ListItems",
		}},
		{"all scopes, limited to an endpoint", holder(policy.PAT, keys.Active, "All", service+"PostItems"), []string{
			always, "POST /v1/users/{user_id}/apps/{app_id}/items", "grpc " + service + "PostItems",
		}},
		{"a kind that isn't accepted", holder(policy.AppKey, keys.Active, "Keys:Get"), []string{always, free}},
		{"a kind that is", holder(policy.PAT, keys.Active, "Keys:Get"), []string{always, free, "GET /v1/users/{user_id}/keys"}},
		{"an endpoint that no route has", holder(policy.PAT, keys.Active, "All", service+"Nothing"), []string{always}},
		{"disabled", holder(policy.PAT, keys.Disabled, "All"), []string{always}},
		{"expired", holder(policy.PAT, keys.Expired, "All"), []string{always}},
		{"a collaborator, as far as the record permits", shared(holder(policy.PAT, keys.Active, "All"), &list), []string{
			always, free, "GET /v1/users/{user_id}/apps/{app_id}/items", "grpc " + service + "ListItems",
		}},
		{"a collaborator with everything, who isn't the owner", shared(holder(policy.PAT, keys.Active, "Apps:Delete Items:Get"), &full), []string{
			always, free, "GET /v1/users/{user_id}/apps/{app_id}/items", "grpc " + service + "ListItems",
		}},
		{"an app key in an app of someone else", shared(holder(policy.AppKey, keys.Active, "All"), &full), []string{always}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var calls []string
			for i := range site.Operations {
				o := &site.Operations[i]
				if out := o.Call(&row.holder); !out.Refused() {
					calls = append(calls, o.String())
				}
			}
			want := strings.Split(strings.Join(row.calls, ", "), ", ")
			slices.Sort(calls)
			slices.Sort(want)
			if !slices.Equal(calls, want) {
				t.Errorf("it calls\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// limited are facts by which every request may name another value of the resource.
type limited struct{ resource string }

func (limited) Address() (none netip.Addr) { return none }

func (l limited) Beyond(values policy.Values) string {
	if _, found := values[l.resource]; found {
		return l.resource
	}
	return ""
}

// A holder that is limited to values of a resource can't call operations whose
// requests may name others. Addresses don't matter here.
func TestALimitedHolderCalls(t *testing.T) {
	site := siteOf(t, items...)
	site.Operations[0].Facts = limited{"model"}
	for _, row := range []struct {
		values policy.Values
		first  authz.Reason
	}{
		{nil, authz.Allowed},
		{policy.Values{"voice": {"x"}}, authz.Allowed},
		{policy.Values{"model": {"x"}}, authz.Resource},
	} {
		h := authz.Holder{Standing: keys.Active, Caller: policy.Caller{
			Kind: policy.PAT, UserID: "alice", Grant: policy.Everything(), Resources: row.values,
			Addresses: policy.Addresses{netip.MustParsePrefix("192.0.2.0/24")},
		}}
		first, second := site.Operations[0].Call(&h), site.Operations[1].Call(&h)
		if first.Reason != row.first || second.Reason != authz.Allowed {
			t.Errorf("%v: decided %s and %s, want %s and allowed", row.values, first.Reason, second.Reason, row.first)
		}
		if h.Caller.Addresses == nil {
			t.Error("the holder was changed")
		}
	}
}

// A refusal says what is lacking.
func TestAHolderLacks(t *testing.T) {
	site := siteOf(t, items...)
	h := authz.Holder{Standing: keys.Active, Caller: policy.Caller{
		Kind: policy.PAT, UserID: "alice", Grant: policy.NewGrant([]string{"Items:Get"}, []string{service + "ListItems"}),
	}}
	out := site.Operations[1].Call(&h)
	if out.Reason != authz.Scopes || strings.Join(out.Lack.Scopes, " ") != "Items:Add" || strings.Join(out.Lack.Endpoints, " ") != service+"PostItems" {
		t.Errorf("decided %+v", out)
	}
}

func TestOperationsOfASite(t *testing.T) {
	site := siteOf(t, append(slices.Clone(items),
		policy.Route{Method: "PUT", Pattern: "/v1/both", Endpoint: []string{service + "Both"}},
		policy.Route{Method: "GET", Pattern: "/v1/both", Endpoint: []string{service + "Both"}},
		policy.Route{Method: "GET", Pattern: "/v1/users/{user_id}"},
		policy.Route{Method: "*", Pattern: "/{rest=**}"},
		policy.Route{Method: "POST", Pattern: "/things/{id}:run"},
	)...)
	want := map[string]string{
		"GET /v1/users/{user_id}/apps/{app_id}/items":  "items reads",
		"POST /v1/users/{user_id}/apps/{app_id}/items": "items changes",
		"DELETE /v1/users/{user_id}/apps/{app_id}":     "apps changes owner",
		"GET /v1/users/{user_id}/keys":                 "keys reads",
		"GET /v1/status":                               "status reads",
		"POST /v1/figures":                             "figures changes",
		"grpc " + service + "ListItems":                "items reads",
		"grpc " + service + "PostItems":                "items changes",
		"grpc " + service + "GetItemKind":              "Items reads",
		"GET /v1/closed":                               "closed reads",
		"PUT /v1/both":                                 "both changes",
		"GET /v1/both":                                 "both changes",
		"GET /v1/users/{user_id}":                      "users reads",
		"* /{rest=**}":                                 " changes",
		"POST /things/{id}:run":                        "things changes",
	}
	for _, o := range site.Operations {
		got := o.Resource + map[bool]string{true: " reads", false: " changes"}[o.Reads]
		if o.OwnerOnly {
			got += " owner"
		}
		if got != want[o.String()] {
			t.Errorf("%s: %q, want %q", o, got, want[o.String()])
		}
	}
	if len(site.Operations) != len(want) {
		t.Errorf("%d operations, want %d", len(site.Operations), len(want))
	}
}

// What a holder lacks little for is near: it has all scopes of the operation's
// own resource, or all but one.
func TestNearOperations(t *testing.T) {
	site := siteOf(t,
		policy.Route{Method: "GET", Pattern: "/inputs", Scopes: []string{"Annotations:Get", "Concepts:Get", "Inputs:Get"}, Endpoint: []string{service + "ListInputs"}},
		policy.Route{Method: "POST", Pattern: "/inputs", Scopes: []string{"Inputs:Add", "Inputs:Get"}, Endpoint: []string{service + "PostInputs"}},
		policy.Route{Method: "GET", Pattern: "/model_types", Scopes: []string{"Apps:Get", "ModelTypes:Get"}},
		policy.Route{Method: "GET", Pattern: "/workflows", Scopes: []string{"Apps:Get", "Inputs:Get", "Workflows:Get"}},
	)
	for _, row := range []struct {
		scopes, endpoints string
		near              string
	}{
		{"", "", ""},
		{"Inputs:Get", "", "GET /inputs also needs Annotations:Get Concepts:Get"},
		{"ModelTypes:Get", "", "GET /model_types also needs Apps:Get"},
		{"Apps:Get", "", ""},
		{"Apps:Get Inputs:Get", "", "GET /inputs also needs Annotations:Get Concepts:Get; GET /workflows also needs Workflows:Get"},
		{"Inputs:Get ModelTypes:Get", service + "ListInputs", "GET /inputs also needs Annotations:Get Concepts:Get"},
		{"All", service + "PostInputs", ""},
	} {
		h := authz.Holder{Standing: keys.Active, Caller: policy.Caller{Kind: policy.PAT, UserID: "alice"}}
		var endpoints []string
		if row.endpoints != "" {
			endpoints = []string{row.endpoints}
		}
		h.Caller.Grant = policy.NewGrant(strings.Fields(row.scopes), endpoints)
		var near []string
		for _, d := range h.Callable([]authz.Site{site}).Near {
			near = append(near, d.String()+" also needs "+strings.Join(d.Lack.Scopes, " "))
		}
		if got := strings.Join(near, "; "); got != row.near {
			t.Errorf("%q %q: near are %q, want %q", row.scopes, row.endpoints, got, row.near)
		}
	}
}

// A credential is useless if it can call nothing. Calls of the management API
// that need no scope don't count, and neither do public operations.
func TestUselessCredentials(t *testing.T) {
	for scopes, want := range map[string]bool{"": false, "Items:Get": false, "Nothing": false} {
		h := authz.Holder{Standing: keys.Active, Caller: policy.Caller{Kind: policy.PAT, UserID: "alice", Grant: policy.NewGrant(strings.Fields(scopes), nil)}}
		if can := h.Callable([]authz.Site{siteOf(t, items...)}); can.Useless() != want {
			t.Errorf("%q: useless is %v", scopes, !want)
		}
	}
	for scopes, want := range map[string]bool{"": true, "Keys:Get": false, "Nothing": true} {
		h := authz.Holder{Standing: keys.Active, Caller: policy.Caller{Kind: policy.PAT, UserID: "alice", Grant: policy.NewGrant(strings.Fields(scopes), nil)}}
		if can := h.Callable([]authz.Site{siteOf(t, items[2:6]...)}); can.Useless() != want {
			t.Errorf("%q: useless is %v", scopes, !want)
		}
	}
}
