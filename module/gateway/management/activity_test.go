package management

import (
	"cmp"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// activity is what the API says of a key's requests, after they were written.
func (m *managed) activity(key string) *manage.Activity {
	m.T.Helper()
	if err := m.Directory().Flush(m.T.Context()); err != nil {
		m.T.Fatal(err)
	}
	status, a, text := m.call(m.Session("alice"), "GET", "/v2/users/alice/keys/"+key[:16]+"/activity", "")
	if status != http.StatusOK || a.Activity == nil {
		m.T.Fatalf("%d %s", status, text)
	}
	return a.Activity
}

// request makes a request, and wants it to be answered so.
func (m *managed) request(credential, call string, want int) {
	m.T.Helper()
	method, path, _ := strings.Cut(call, " ")
	if status, _, text := m.call(credential, method, path, ""); status != want {
		m.T.Fatalf("%s: %d %s, want %d", call, status, text, want)
	}
}

// Every request that presents a key counts, once, for what became of it. The
// counts outlive a reload and a restart.
func TestActivityAtTheGate(t *testing.T) {
	m := startManaged(t)
	const inputs = "/v2/users/alice/apps/alice-app/inputs"
	key := m.token(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"Inputs:Get"}})
	limited := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/ListKeys"}})
	if a := m.activity(key); a.Allowed+a.Refused != 0 || len(a.Days) != keys.ActivityDays || a.To != time.Now().UTC().Format(time.DateOnly) || a.KeyID != key[:16] {
		t.Errorf("an unused key has %+v", a)
	}
	for range 3 {
		m.request(key, "GET "+inputs, 200)
	}
	m.request(key, "POST "+inputs, 403)
	m.request(key, "POST "+inputs, 403)
	m.request(key, "GET /v2/users/bob/apps/bob-app/inputs", 403)
	m.request(key, "GET /v2/nothing", 404)
	m.request(key, "GET /v2/users/alice/keys", 403)
	m.request(key, "GET /healthz", 200) // which asks for no key
	m.request(limited, "GET /v2/users/alice/keys", 200)
	m.request(limited, "DELETE /v2/users/alice/keys/"+key[:16], 403)

	today := time.Now().UTC().Format(time.DateOnly)
	wantKey := []manage.RefusedRequests{
		{Reason: "scopes", MissingScopes: []string{"Inputs:Add"}, Count: 2, LastDate: today},
		{Reason: "kind", Count: 1, LastDate: today}, {Reason: "owner", Count: 1, LastDate: today}, {Reason: "route_unknown", Count: 1, LastDate: today},
	}
	m.wantActivity(key, 3, wantKey)
	m.wantActivity(limited, 1, []manage.RefusedRequests{
		{Reason: "scopes", MissingEndpoints: []string{"/clarifai.api.V2/DeleteKey"}, Count: 1, LastDate: today},
	})

	m.Reload(managedRoutes)
	m.request(key, "GET "+inputs, 200)
	m.wantActivity(key, 4, wantKey)
	m.request(key, "GET "+inputs, 200) // which is written when the store closes
	if err := m.Load("{\nadmin off\npersist_config off\n}"); err != nil {
		t.Fatal(err)
	}
	m.Reload(managedRoutes)
	m.wantActivity(key, 5, wantKey)

	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential(key[:16], func(c *keys.Credential) error { c.Disabled = true; return nil })
		return err
	})
	m.request(key, "GET "+inputs, 401)
	m.wantActivity(key, 5, slices.Insert(slices.Clone(wantKey), 1, manage.RefusedRequests{Reason: "disabled", Count: 1, LastDate: today}))
}

// wantActivity wants these counts of a key, all of them of today.
func (m *managed) wantActivity(key string, allowed uint64, refusals []manage.RefusedRequests) {
	m.T.Helper()
	a, refused := m.activity(key), uint64(0)
	for _, r := range refusals {
		refused += r.Count
	}
	order := func(a, b manage.RefusedRequests) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	}
	slices.SortFunc(refusals, order)
	last := a.Days[len(a.Days)-1]
	if a.Allowed != allowed || a.Refused != refused || !reflect.DeepEqual(a.Refusals, refusals) ||
		last.Allowed != allowed || last.Refused != refused || !reflect.DeepEqual(last.Refusals, refusals) {
		m.T.Errorf("got %d allowed and %d refused requests: %+v\nwant %d and %d: %+v", a.Allowed, a.Refused, a.Refusals, allowed, refused, refusals)
	}
}

// Mode shadow forwards what it would refuse, and counts it as forwarded.
func TestActivityInModeShadow(t *testing.T) {
	m := startManagedWith(t, managedRoutes+"mode shadow")
	key := m.token(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"Inputs:Get"}})
	m.request(key, "POST /v2/users/alice/apps/alice-app/inputs", 200)
	if err := m.Directory().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var a keys.Activity
	err := m.Directory().View(t.Context(), func(r keys.Reader) error {
		c, err := r.CredentialByID(key[:16])
		if err == nil {
			a, err = r.Activity(c.Digest)
		}
		return err
	})
	if err != nil || len(a) != 1 || a[0].Allowed != 1 || a[0].AllRefused() != 0 {
		t.Errorf("counted %v, %v", a, err)
	}
}

// The activity of a key may be read by those who may read the key.
func TestWhoReadsActivity(t *testing.T) {
	m := startManaged(t)
	key := m.token(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"All"}})
	path := "/v2/users/alice/keys/" + key[:16]
	for _, row := range []struct{ name, who, path string }{
		{"its user", m.Session("alice"), path},
		{"another user", m.Session("bob"), path},
		{"another user, below his own path", m.Session("bob"), strings.Replace(path, "alice", "bob", 1)},
		{"a token that reads keys", m.PAT("alice", "Keys:Get"), path},
		{"a token that doesn't", m.PAT("alice", "Inputs:Get"), path},
		{"an app key", key, path},
		{"nobody", "", path},
		{"a session", m.Session("alice"), "/v2/users/alice/keys/" + m.Session("alice")[:16]},
		{"no key", m.Session("alice"), "/v2/users/alice/keys/cap_000000000000"},
	} {
		want, _, _ := m.call(row.who, "GET", row.path, "")
		status, a, text := m.call(row.who, "GET", row.path+"/activity", "")
		if status != want || (status == http.StatusOK) != (a.Activity != nil) {
			t.Errorf("%s: answered %d %s, and may read the key: %d", row.name, status, text, want)
		}
	}
	for query, want := range map[string]int{"days=1": 1, "days=7": 7, "days=30": 30, "": 30, "days=0": 0, "days=31": 0, "days=x": 0, "days=": 0, "days=7&days=7": 0, "%zz": 0} {
		status, a, text := m.call(m.Session("alice"), "GET", path+"/activity?"+query, "")
		if want == 0 && (status != http.StatusBadRequest || a.Activity != nil) || want > 0 && (a.Activity == nil || len(a.Activity.Days) != want) {
			t.Errorf("%q: %d %s, want %d days", query, status, text, want)
		}
	}
	if status, _, text := m.call(m.Session("alice"), "GET", path+"/activity?from=2026-01-01", ""); status != http.StatusOK {
		t.Errorf("with a query: %d %s", status, fmt.Sprint(text))
	}
}
