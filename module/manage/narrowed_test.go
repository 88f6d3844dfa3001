package manage_test

import (
	"fmt"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A change is made with what the credential may do then: one that was narrowed
// since the call was let in makes none, be it one that it could make still.
func TestNarrowedDuringTheCall(t *testing.T) {
	s := newService(t)
	s.alice()
	for name, change := range map[string]func(*keys.Credential){
		"scopes":    func(c *keys.Credential) { c.Scopes = []string{"Predict"} },
		"endpoints": func(c *keys.Credential) { c.Endpoints = []string{"/a.B/C"} },
	} {
		t.Run(name, func(t *testing.T) {
			pat, other := s.pat(operator, "alice", `["All"]`, ""), s.pat(operator, "alice", `[]`, "")
			caller := s.with(pat.ID)
			err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
				_, err := tx.ChangeCredential(pat.KeyID, func(c *keys.Credential) error { change(c); return nil })
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			s.refusesTo(t, caller, []refusal{
				{"revokes", "DELETE", "/v2/users/alice/keys/" + other.KeyID, "", manage.CodeConflict, "", "changed during the call"},
				{"many", "POST", revoke, `{"all":true}`, manage.CodeConflict, "", "changed during the call"},
				{"an app", "DELETE", "/v2/users/alice/apps/shop", "", manage.CodeConflict, "", "changed during the call"},
			})
			s.mustAs(s.with(pat.ID), "PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,"description":"x"}]}`, pat.KeyID))
		})
	}
}

// A credential that may no longer be used from the address of the call changes nothing.
func TestAddressDuringTheCall(t *testing.T) {
	s := newService(t)
	s.alice()
	pat := s.pat(operator, "alice", `["All"]`, "")
	caller := s.with(pat.ID)
	caller.Address = "192.0.2.1"
	limit := func(networks ...string) {
		t.Helper()
		err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
			_, err := tx.ChangeCredential(pat.KeyID, func(c *keys.Credential) (err error) {
				c.Addresses, err = policy.ParseAddresses(networks)
				return err
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit("198.51.100.0/24")
	s.refusesTo(t, caller, []refusal{
		{"from elsewhere", "POST", revoke, `{"all":true}`, manage.CodeKeyInvalid, "", "can't be used from its address"},
	})
	limit("192.0.2.0/24")
	s.mustAs(caller, "POST", revoke, `{"all":true}`)
}
