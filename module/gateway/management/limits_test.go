package management

import (
	"net/http"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Calls of the management API use nothing of a rate or a quota, and neither refuses such
// a call, so a revocation is always possible.
func TestManagementCostsNothing(t *testing.T) {
	m := startManaged(t)
	m.plan(managedRoutes, "plan default {\nquota 1/day\nrate 1/h\n}\n")
	token := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{policy.ScopeAll}})
	other := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{policy.ScopeAll}})
	const inputs = "/v2/users/alice/apps/alice-app/inputs"
	manage := func() {
		t.Helper()
		for _, credential := range []string{token, m.sessions["alice"]} {
			if status, _, text := m.call(credential, "GET", "/v2/users/me/keys", ""); status != http.StatusOK {
				t.Errorf("the list of keys is answered %d %s", status, text)
			}
		}
	}
	manage()
	if status, _, text := m.call(token, "GET", inputs, ""); status != http.StatusOK {
		t.Errorf("the one request is answered %d %s", status, text)
	}
	if status, _, text := m.call(token, "GET", inputs, ""); status != http.StatusTooManyRequests {
		t.Errorf("one too many is answered %d %s", status, text)
	}
	manage()
	if status, _, text := m.call(token, "DELETE", "/v2/users/me/keys/"+other[:len("cap_0123456789AB")], ""); status != http.StatusOK {
		t.Errorf("the revocation is answered %d %s", status, text)
	}
	if status, _, _ := m.call(other, "GET", inputs, ""); status != http.StatusUnauthorized {
		t.Errorf("the revoked key is answered %d", status)
	}
}

// A user whose plan is not in the configuration can call nothing, and can still manage
// and revoke keys.
func TestManagementWithoutThePlan(t *testing.T) {
	m := startManaged(t)
	token := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{policy.ScopeAll}})
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.Plan = "gone"; return nil })
		return err
	})
	if status, _, text := m.call(token, "GET", "/v2/users/alice/apps/alice-app/inputs", ""); status != http.StatusServiceUnavailable {
		t.Errorf("a request is answered %d %s", status, text)
	}
	if status, _, text := m.call(m.sessions["alice"], "DELETE", "/v2/users/me/keys/"+token[:len("cap_0123456789AB")], ""); status != http.StatusOK {
		t.Errorf("the revocation is answered %d %s", status, text)
	}
}
