package management

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const callableRoutes = `
	route GET /v2/users/{user_id}/apps/{app_id}/inputs Annotations:Get Inputs:Get {
		endpoint /clarifai.api.V2/ListInputs
	}
	route POST /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Add Inputs:Get {
		endpoint /clarifai.api.V2/PostInputs
	}
	route GET /v2/users/{user_id}/keys/{key_id} Other:Get
	route GET /healthz {
		accept public
	}
`

func operations(list []manage.Operation) string {
	var names []string
	for _, o := range list {
		name := o.Method + " " + o.Pattern
		if len(o.MissingScopes) > 0 {
			name += " lacks " + strings.Join(o.MissingScopes, " ")
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}

// The operations that a key can call are those that the gate and the management
// API permit it, for every caller.
func TestWhatAKeyCanCall(t *testing.T) {
	m := startManagedWith(t, callableRoutes, "api_keys_manage")
	key := m.token(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"Inputs:Get"}})
	full := m.PAT("alice", "All")
	const public = "GET /healthz\nGET /v2/myscopes\nGET /v2/status_codes\nGET /v2/status_codes/{status_code_id}\n"
	const free = public + "GET /v2/users/{user_id}/apps/{app_id}/myscopes\nPOST /v2/login"
	call := func(who, of, query string) manage.Answer {
		t.Helper()
		status, a, text := m.call(who, "GET", "/v2/users/alice/keys/"+of[:16]+"/callable"+query, "")
		if status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		return a
	}
	alice := m.Session("alice")
	a := call(alice, key, "")
	if got := operations(a.Operations); got != free || a.Standing != "active" {
		t.Errorf("a key that is %s can call\n%s", a.Standing, got)
	}
	if got := operations(a.Near); got != "GET /v2/users/{user_id}/apps/{app_id}/inputs lacks Annotations:Get" {
		t.Errorf("near are\n%s", got)
	}
	a = call(full, full, "")
	for _, want := range []string{
		"POST /v2/users/{user_id}/apps/{app_id}/inputs", "GET /v2/users/{user_id}/keys/{key_id}", "DELETE /v2/users/{user_id}/apps/{app_id}",
	} {
		if !slices.ContainsFunc(a.Operations, func(o manage.Operation) bool {
			return o.Method+" "+o.Pattern == want && o.Callable && o.Reason == "allowed"
		}) {
			t.Errorf("a token with All can't call %s", want)
		}
	}
	for _, o := range a.Operations {
		if o.Pattern == "/v2/users/{user_id}/keys/{key_id}" && strings.Contains(strings.Join(o.Scopes, " "), "Other") {
			t.Error("a route of the gate is listed that only the management API answers")
		}
	}
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential(key[:16], func(c *keys.Credential) error { c.Disabled = true; return nil })
		return err
	})
	a = call(alice, key, "")
	if got := operations(a.Operations); a.Standing != "disabled" || strings.Contains(got, "myscopes") || len(a.Near) > 0 {
		t.Errorf("a key that is %s can call\n%s", a.Standing, got)
	}
}

// The answer about one request is the gate's own, or the management API's.
func TestWhetherAKeyCanCall(t *testing.T) {
	m := startManagedWith(t, callableRoutes, "api_keys_manage")
	alice := m.Session("alice")
	key := m.token(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"Inputs:Get", "Inputs:Add"}})
	limited := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/ListInputs"}})
	off := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}, Disabled: true})
	forwarded := 0
	const inputs = "/v2/users/me/apps/alice-app/inputs"
	for _, row := range []struct {
		name, key, method, path string
		want                    manage.Operation
	}{
		{"allowed", key, "POST", inputs, manage.Operation{Callable: true, Reason: "allowed"}},
		{"with a query", key, "POST", inputs + "?page=1", manage.Operation{Callable: true, Reason: "allowed"}},
		{"a scope", key, "GET", inputs, manage.Operation{Reason: "scopes", MissingScopes: []string{"Annotations:Get"}}},
		{"an endpoint", limited, "POST", inputs, manage.Operation{Reason: "scopes", MissingEndpoints: []string{"/clarifai.api.V2/PostInputs"}}},
		{"the kind", key, "GET", "/v2/users/me/keys", manage.Operation{Reason: "kind"}},
		{"another's app", key, "GET", "/v2/users/bob/apps/bob-app/inputs", manage.Operation{Reason: "owner"}},
		{"no route", key, "GET", "/v2/nothing", manage.Operation{Reason: "route_unknown"}},
		{"another method", key, "PUT", inputs, manage.Operation{Reason: "method_not_allowed"}},
		{"a method of no HTTP", key, "FETCH", inputs, manage.Operation{Reason: "method_unknown"}},
		{"public", key, "GET", "/healthz", manage.Operation{Callable: true, Reason: "public"}},
		{"more than one reading", key, "GET", "/v2/%2e%2e/x", manage.Operation{Reason: "target"}},
		{"disabled", off, "GET", inputs, manage.Operation{Reason: "disabled"}},
		{"the management API", limited, "DELETE", "/v2/users/me/keys", manage.Operation{Reason: "scopes", MissingEndpoints: []string{"/clarifai.api.V2/DeleteKey"}}},
	} {
		query := "?" + url.Values{"method": {row.method}, "path": {row.path}}.Encode()
		status, a, text := m.call(alice, "GET", "/v2/users/me/keys/"+row.key[:16]+"/callable"+query, "")
		if status != 200 || a.Operation == nil {
			t.Errorf("%s: %d %s", row.name, status, text)
			continue
		}
		o := a.Operation
		if o.Callable != row.want.Callable || o.Reason != row.want.Reason ||
			!slices.Equal(o.MissingScopes, row.want.MissingScopes) || !slices.Equal(o.MissingEndpoints, row.want.MissingEndpoints) {
			t.Errorf("%s: answered %+v", row.name, o)
		}
		if m.Upstream.Count() > forwarded {
			t.Fatalf("%s: the upstream was asked", row.name)
		}
		if row.path == "/v2/%2e%2e/x" || row.method == "FETCH" {
			continue
		}
		real, _, _ := m.call(row.key, row.method, row.path, "")
		if gate := real < 400; gate != o.Callable {
			t.Errorf("%s: the request itself is answered %d", row.name, real)
		}
		forwarded = m.Upstream.Count()
	}
}

// What a key can call is told to those who may read the key, and in a request
// that can be understood.
func TestWhoIsToldWhatAKeyCanCall(t *testing.T) {
	m := startManagedWith(t, callableRoutes, "api_keys_manage")
	key := m.token(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"All"}})
	path := "/v2/users/alice/keys/" + key[:16] + "/callable"
	for _, row := range []struct {
		name, who, path string
		want            int
	}{
		{"another user", m.Session("bob"), path, 403},
		{"another user, below his own path", m.Session("bob"), strings.Replace(path, "alice", "bob", 1), 404},
		{"a token that reads keys", m.PAT("alice", "Keys:Get"), path, 200},
		{"a token that doesn't", m.PAT("alice", "Inputs:Get"), path, 403},
		{"an app key", key, path, 403},
		{"nobody", "", path, 401},
		{"a path without a method", m.Session("alice"), path + "?path=/x", 400},
		{"a method without a path", m.Session("alice"), path + "?method=GET", 400},
		{"another query", m.Session("alice"), path + "?verb=GET", 400},
		{"a credential in the path", m.Session("alice"), path + "?method=GET&path=/x%3Fkey=" + key, 400},
		{"a space in the path", m.Session("alice"), path + "?method=GET&path=/x+y", 400},
		{"a session", m.Session("alice"), "/v2/users/alice/keys/" + m.Session("alice")[:16] + "/callable", 404},
	} {
		if status, _, text := m.call(row.who, "GET", row.path, ""); status != row.want {
			t.Errorf("%s: answered %d %s, want %d", row.name, status, text, row.want)
		}
	}
}

// Whether a limited key can make a request is answered as if the request came from an
// address of the key. Calls of the management API address no resource.
func TestWhatABoundedKeyCanCall(t *testing.T) {
	m := startManagedWith(t, callableRoutes+"\nresource app path app_id", "api_keys_manage")
	alice := m.Session("alice")
	office, err := policy.ParseAddresses([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	key := m.token(keys.Credential{
		Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}, Addresses: office, Resources: policy.Values{"app": {"alice-app"}},
	})
	for target, want := range map[string]string{
		"GET /v2/users/alice/apps/alice-app/inputs": "allowed",
		"GET /v2/users/alice/apps/other-app/inputs": "resource",
		"GET /v2/users/alice/apps/other-app":        "allowed",
	} {
		method, path, _ := strings.Cut(target, " ")
		status, a, text := m.call(alice, "GET", "/v2/users/alice/keys/"+key[:16]+"/callable?method="+method+"&path="+url.QueryEscape(path), "")
		if status != 200 || a.Operation.Reason != want {
			t.Errorf("%s is answered %d %s, want %s", target, status, text, want)
		}
	}
}
