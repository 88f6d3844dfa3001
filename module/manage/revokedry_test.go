package manage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// A dry run answers what would be revoked, and revokes nothing. It knows no
// more than the revocation does.
func TestRevokeDryRun(t *testing.T) {
	s := friends(t)
	alice, bob := s.signedIn("alice"), s.signedIn("bob")
	leaked := s.pat(alice, "alice", `["All"]`, `,"description":"leaked"`)
	made := s.mustAs(s.with(leaked.ID), "POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","description":"made","scopes":["All"]}]}`).Keys[0]
	s.mustAs(s.with(made.ID), "POST", shared, `{"collaborators":[{"user_id":"bob","scopes":["Predict"]}]}`)
	gone := s.pat(alice, "alice", `["All"]`, "")
	s.mustAs(alice, "DELETE", "/v2/users/alice/keys/"+gone.KeyID, "")

	list := fmt.Sprintf(`{"dry_run":true,"credentials":[%q,%q,"nobody's credential, of no form"]}`, leaked.ID, gone.ID)
	a := s.mustAs(alice, "POST", revoke, list)
	if *a.Count != 1 || len(a.Keys) != 1 || a.Keys[0].Description != "leaked" || a.Keys[0].ID != leaked.KeyID ||
		fmt.Sprint(a.KeyIDs) != fmt.Sprint([]string{leaked.KeyID, gone.KeyID}) || fmt.Sprint(a.AlreadyRevoked) != fmt.Sprint([]string{gone.KeyID}) || len(a.Unknown) != 1 {
		t.Errorf("answered %s", a.body)
	}
	if strings.Contains(a.body, leaked.ID) || strings.Contains(a.body, gone.ID) {
		t.Errorf("a credential is repeated: %s", a.body)
	}
	a = s.mustAs(alice, "POST", revoke, fmt.Sprintf(`{"dry_run":true,"minted_by":%q}`, leaked.KeyID))
	if *a.Count != 1 || len(a.Keys) != 1 || a.Keys[0].Description != "made" || len(a.RemovedCollaborators) != 1 || a.RemovedCollaborators[0].ID != "bob" {
		t.Errorf("made with it is %s", a.body)
	}
	// To another user they are as unknown as what never was.
	a = s.mustAs(bob, "POST", "/v2/users/bob/keys/revoke", list)
	if *a.Count != 0 || len(a.Keys) != 0 || a.KeyIDs != nil || a.AlreadyRevoked != nil || len(a.Unknown) != 3 {
		t.Errorf("bob is told %s", a.body)
	}
	if a := s.mustAs(bob, "POST", "/v2/users/bob/keys/revoke", fmt.Sprintf(`{"dry_run":true,"minted_by":%q}`, leaked.KeyID)); *a.Count != 0 || len(a.Keys) != 0 {
		t.Errorf("bob is told %s", a.body)
	}
	for _, k := range []manage.Key{leaked, made} {
		if got := s.standing(k.ID); got != manage.StandingActive {
			t.Errorf("after the dry runs %s is %s", k.Description, got)
		}
	}
	if list := s.mustAs(alice, "GET", shared, "").Collaborators; len(list) != 1 {
		t.Errorf("after the dry runs there are %d collaborators", len(list))
	}
	// A session is found by its whole text alone.
	if a := s.must("POST", "/v2/keys/revoke", credentialsBody(t, alice.KeyID)); len(a.Unknown) != 1 {
		t.Errorf("a session by its ID: %s", a.body)
	}
	s.refusesTo(t, alice, []refusal{
		{"nothing to try", "POST", revoke, `{"dry_run":true}`, manage.CodeInvalid, "", "select keys"},
		{"no yes or no", "POST", revoke, `{"all":true,"dry_run":"yes"}`, manage.CodeInvalid, "dry_run", "true or false"},
	})
}
