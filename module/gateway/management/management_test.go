package management

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// managed is a site with the management API in front of the gate, and two
// users, each with an app, a session, and personal access tokens.
type managed struct {
	*gatetest.Server
	sessions map[string]string // by user
}

const managedRoutes = `
	route GET  /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Get
	route POST /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Add
	route GET  /healthz {
		accept public
	}
`

func startManaged(t *testing.T, directives ...string) *managed {
	t.Helper()
	if len(directives) == 0 {
		directives = []string{"api_keys_manage"}
	}
	return startManagedWith(t, managedRoutes, directives...)
}

func startManagedWith(t *testing.T, routes string, directives ...string) *managed {
	t.Helper()
	m := &managed{Server: gatetest.Start(t, routes, directives...), sessions: map[string]string{}}
	m.Update(func(tx *keys.Tx) error {
		for _, user := range []string{"alice", "bob"} {
			if _, err := tx.CreateUser(keys.User{ID: user, Email: user + "@example.com"}); err != nil {
				return err
			}
			if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: user, AppID: user + "-app"}}); err != nil {
				return err
			}
			m.sessions[user] = m.mintFor(tx, keys.Credential{Kind: policy.Session, UserID: user})
		}
		return nil
	})
	return m
}

func (m *managed) mintFor(tx *keys.Tx, c keys.Credential) string {
	m.T.Helper()
	text, id := credential.Mint("ca", c.Kind)
	c.Digest, c.ID = credential.DigestOf(text), id
	if _, err := tx.CreateCredential(c); err != nil {
		m.T.Fatal(err)
	}
	return text
}

// token is a new credential of a user.
func (m *managed) token(c keys.Credential) string {
	m.T.Helper()
	var text string
	m.Update(func(tx *keys.Tx) error {
		text = m.mintFor(tx, c)
		return nil
	})
	return text
}

// call calls the management API, or the gate. The answer is decoded where it
// is of the API's form.
func (m *managed) call(credential, method, path, body string) (int, manage.Answer, string) {
	m.T.Helper()
	req, err := http.NewRequest(method, "http://"+m.Addr+path, strings.NewReader(body))
	if err != nil {
		m.T.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Key "+credential)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		m.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		m.T.Fatal(err)
	}
	var a manage.Answer
	_ = json.Unmarshal(text, &a) // what the upstream answers is of another form
	return res.StatusCode, a, string(text)
}

// Calls require the scopes of Clarifai's own description, if it has the call.
func TestCallsRequireClarifaisScopes(t *testing.T) {
	described, err := tables.Shipped("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]policy.Route{}
	for _, r := range described.Routes {
		theirs[r.String()] = r
	}
	compared := 0
	for _, ours := range manage.Routes() {
		r, ok := theirs[ours.String()]
		if !ok {
			continue
		}
		compared++
		if r.Accept == nil {
			r.Accept = []string{"app_key", "pat", "session"}
		}
		r.Place = ""
		if fmt.Sprint(r) != fmt.Sprint(ours) || fmt.Sprintf("%q %q %q", r.Scopes, r.Endpoint, r.Accept) != fmt.Sprintf("%q %q %q", ours.Scopes, ours.Endpoint, ours.Accept) {
			t.Errorf("%s:\n ours   %q %q %q\n theirs %q %q %q", ours, ours.Scopes, ours.Endpoint, ours.Accept, r.Scopes, r.Endpoint, r.Accept)
		}
	}
	if compared < 12 {
		t.Errorf("%d calls compared, there have to be more", compared)
	}
}

// A user makes an app and a key for it, uses it, and deletes the app: the key
// is refused at once.
func TestManageOnASite(t *testing.T) {
	m := startManaged(t)
	alice := m.sessions["alice"]
	status, a, text := m.call(alice, "POST", "/v2/users/me/apps", `{"apps":[{"id":"shop"}]}`)
	if status != http.StatusOK || len(a.Apps) != 1 || len(a.Keys) != 1 || a.Apps[0].UserID != "alice" {
		t.Fatalf("%d %s", status, text)
	}
	key := a.Keys[0].ID
	if status, _, text := m.call(key, "GET", "/v2/users/alice/apps/shop/inputs", ""); status != http.StatusOK {
		t.Fatalf("with the new key: %d %s", status, text)
	}
	if status, _, text := m.call(key, "GET", "/v2/users/alice/keys", ""); status != http.StatusForbidden {
		t.Errorf("an app key lists keys: %d %s", status, text)
	}
	if status, _, text := m.call(alice, "DELETE", "/v2/users/alice/apps/shop", ""); status != http.StatusOK {
		t.Fatalf("deleting the app: %d %s", status, text)
	}
	if status, _, text := m.call(key, "GET", "/v2/users/alice/apps/shop/inputs", ""); status != http.StatusUnauthorized {
		t.Errorf("with the key of a deleted app: %d %s", status, text)
	}
	if n := m.Upstream.Count(); n != 1 {
		t.Errorf("%d requests reached the upstream, want the one for inputs", n)
	}
}

// Only the API's own paths are answered; the gate gets all others, and an
// ambiguous one is nobody's.
func TestManageForwardsOtherPaths(t *testing.T) {
	m := startManaged(t)
	for _, c := range []struct {
		method, path string
		status       int
		code         manage.Code
	}{
		{"GET", "/healthz", http.StatusOK, 0},
		{"GET", "/v2/users/alice/apps/alice-app/inputs", http.StatusOK, 0},
		{"GET", "/v2/nothing", http.StatusNotFound, manage.CodeNotFound},
		{"GET", "/v2/users/alice", http.StatusOK, manage.CodeOK},
		{"HEAD", "/v2/users/alice", http.StatusOK, 0},
		{"PUT", "/v2/users/alice/keys", http.StatusMethodNotAllowed, manage.CodeMethod},
		{"GET", "/v2/users/alice%2fkeys", http.StatusBadRequest, manage.CodeInvalid},
		{"GET", "/v2/users//keys", http.StatusBadRequest, manage.CodeInvalid},
		{"GET", "/v2/users/%61lice/keys", http.StatusBadRequest, manage.CodeInvalid},
		{"GET", "/v2/users/alice/keys;x", http.StatusBadRequest, manage.CodeInvalid},
		{"GET", "/v2/users/alice/keys?a=1;b", http.StatusBadRequest, manage.CodeInvalid},
	} {
		status, a, text := m.call(m.sessions["alice"], c.method, c.path, "")
		if status != c.status || a.Status.Code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, text)
		}
	}
}

// The order is the gate's: who calls, then what, then whose, then with which
// scopes.
func TestManageRefuses(t *testing.T) {
	m := startManaged(t)
	app := m.token(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"All"}})
	reader := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"Keys:Get"}})
	endpoints := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/GetKey"}})
	everything := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}})
	for _, c := range []struct {
		name, credential, method, path string
		status                         int
		code                           manage.Code
	}{
		{"nobody", "", "GET", "/v2/users/alice/keys", 401, manage.CodeInvalid},
		{"unknown", "cap_none", "GET", "/v2/users/alice/keys", 401, manage.CodeKeyUnknown},
		{"unknown, no such method", "cap_none", "PUT", "/v2/users/alice/keys", 401, manage.CodeKeyUnknown},
		{"an app key", app, "GET", "/v2/users/alice/keys", 403, manage.CodeInsufficientScopes},
		{"an app key, its app", app, "GET", "/v2/users/alice/apps/alice-app", 200, manage.CodeOK},
		{"someone else's", everything, "GET", "/v2/users/bob/keys", 403, manage.CodeKeyInvalid},
		{"someone else's that isn't there", everything, "GET", "/v2/users/nobody/keys", 403, manage.CodeKeyInvalid},
		{"someone else's app", everything, "GET", "/v2/users/bob/apps/bob-app", 403, manage.CodeKeyInvalid},
		{"scope there", reader, "GET", "/v2/users/alice/keys", 200, manage.CodeOK},
		{"scope lacking", reader, "DELETE", "/v2/users/alice/keys/cak_x", 403, manage.CodeInsufficientScopes},
		{"endpoint there", endpoints, "GET", "/v2/users/alice/keys/cak_x", 404, manage.CodeNotFound},
		{"endpoint lacking", endpoints, "GET", "/v2/users/alice/keys", 403, manage.CodeInsufficientScopes},
		{"session only", everything, "GET", "/v2/users/alice/scopes", 403, manage.CodeInsufficientScopes},
		{"the operator's", everything, "GET", "/v2/users", 404, manage.CodeNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, a, text := m.call(c.credential, c.method, c.path, "")
			if status != c.status || a.Status.Code != c.code {
				t.Errorf("%d %s, want %d and %d", status, text, c.status, c.code)
			}
		})
	}
}

// A collaborator may read an app, and neither change nor delete it, nor make or
// see its keys, whatever the collaborator's grant.
func TestCollaboratorsAreNotOwners(t *testing.T) {
	m := startManaged(t)
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.AddCollaborator(keys.Collaborator{
			CollaboratorRef: keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "alice-app"}, UserID: "bob"},
			Scopes:          []string{"All"},
		})
		return err
	})
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v2/users/alice/apps/alice-app", "", 200},
		{"GET", "/v2/users/alice/apps/alice-app/inputs", "", 200},
		{"PATCH", "/v2/users/alice/apps/alice-app", `{"name":"x"}`, 403},
		{"DELETE", "/v2/users/alice/apps/alice-app", "", 403},
		{"GET", "/v2/users/alice/apps/alice-app/keys", "", 403},
		{"POST", "/v2/users/alice/keys", `{"keys":[{"scopes":[],"apps":[{"id":"alice-app"}]}]}`, 403},
		{"POST", "/v2/users/bob/keys", `{"keys":[{"scopes":[],"apps":[{"id":"alice-app","user_id":"alice"}]}]}`, 400},
	} {
		if status, _, text := m.call(m.sessions["bob"], c.method, c.path, c.body); status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, status, text, c.status)
		}
	}
}

// In a body, as in a path, the owner me is the caller.
func TestMeInABody(t *testing.T) {
	m := startManaged(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v2/users/me/keys", `{"keys":[{"scopes":[],"apps":[{"id":"alice-app","user_id":"me"}]}]}`, 200},
		{"POST", "/v2/users/alice/apps", `{"apps":[{"id":"shop","user_id":"me"}]}`, 200},
		{"PATCH", "/v2/users/alice/apps/shop", `{"app":{"user_id":"me","name":"Shop"}}`, 200},
		{"POST", "/v2/users/me/apps/shop/collaborators", `{"collaborators":[{"user":{"id":"bob"},"scopes":[],"app":{"id":"shop","user_id":"me"}}]}`, 200},
		{"POST", "/v2/users/me/keys", `{"keys":[{"scopes":[],"apps":[{"id":"bob-app","user_id":"me"}]}]}`, 404},
		{"POST", "/v2/users/me/keys", `{"keys":[{"scopes":[],"apps":[{"id":"bob-app","user_id":"bob"}]}]}`, 400},
	} {
		if status, _, text := m.call(m.sessions["alice"], c.method, c.path, c.body); status != c.status {
			t.Errorf("%s %s %s: %d %s, want %d", c.method, c.path, c.body, status, text, c.status)
		}
	}
	if _, a, text := m.call(m.sessions["alice"], "GET", "/v2/users/me/apps/alice-app/keys", ""); len(a.Keys) != 1 || a.Keys[0].Apps[0].UserID != "alice" {
		t.Errorf("made %s", text)
	}
}

// The API may stand under another path, and the gate has /v2 then.
func TestManageBase(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nbase /account/v2\n}")
	alice := m.sessions["alice"]
	if status, a, text := m.call(alice, "GET", "/account/v2/users/me/apps", ""); status != 200 || len(a.Apps) != 1 {
		t.Errorf("%d %s", status, text)
	}
	if status, _, text := m.call(alice, "GET", "/v2/users/me/apps", ""); status != 404 {
		t.Errorf("under /v2: %d %s", status, text)
	}
}

// The scopes of the API can be granted in addition to those of the site.
func TestManagementScopesCanBeGranted(t *testing.T) {
	m := startManaged(t)
	alice := m.sessions["alice"]
	for scopes, want := range map[string]int{
		`["Keys:Get"]`: 200, `["Inputs:Get"]`: 200,
		`["Keys:Delete"]`: 400, // which needs others
		`["Nothing:Get"]`: 400,
	} {
		body := `{"keys":[{"type":"personal_access_token","scopes":` + scopes + `}]}`
		if status, _, text := m.call(alice, "POST", "/v2/users/me/keys", body); status != want {
			t.Errorf("%s: %d %s, want %d", scopes, status, text, want)
		}
	}
}
