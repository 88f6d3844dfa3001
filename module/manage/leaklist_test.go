package manage_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func credentialsBody(t *testing.T, list ...string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"credentials": list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Of a leak list every known credential is revoked, and the answer says which
// are not known, without repeating them.
func TestRevokeALeakList(t *testing.T) {
	for name, path := range map[string]string{"by the user": revoke, "by the operator": "/v2/keys/revoke"} {
		t.Run(name, func(t *testing.T) {
			s := friends(t)
			as := s.signedIn("alice")
			if path != revoke {
				as = operator
			}
			leaked, second := s.pat(operator, "alice", `["All"]`, ""), s.pat(operator, "alice", `["All"]`, "")
			gone := s.pat(operator, "alice", `["All"]`, "")
			s.must("DELETE", "/v2/users/alice/keys", fmt.Sprintf(`{"ids":[%q]}`, gone.KeyID))
			session := s.signedIn("alice")
			foreign, _ := credential.Mint("ca", policy.PAT)
			imported := "0123456789abcdef-imported-by-nobody"

			a := s.mustAs(as, "POST", path, credentialsBody(t, foreign, leaked.ID, gone.ID, imported, second.KeyID, leaked.ID))
			if want := []string{leaked.KeyID, gone.KeyID, second.KeyID}; !slices.Equal(a.KeyIDs, want) {
				t.Errorf("revoked %q, want %q", a.KeyIDs, want)
			}
			if !slices.Equal(a.AlreadyRevoked, []string{gone.KeyID}) || a.Count == nil || *a.Count != 2 {
				t.Errorf("already revoked %q, count %v", a.AlreadyRevoked, a.Count)
			}
			if len(a.Unknown) != 2 || a.Unknown[0].Index != 0 || a.Unknown[1].Index != 3 {
				t.Errorf("unknown: %+v", a.Unknown)
			}
			for _, secret := range []string{foreign, leaked.ID, imported} {
				if strings.Contains(a.body, secret) {
					t.Errorf("the answer repeats a credential: %s", a.body)
				}
			}
			for _, text := range []string{leaked.ID, second.ID} {
				if got := s.standing(text); got != manage.StandingRevoked {
					t.Errorf("a key of the list is %s", got)
				}
			}
			again := s.mustAs(as, "POST", path, credentialsBody(t, leaked.ID, gone.KeyID))
			if *again.Count != 0 || len(again.AlreadyRevoked) != 2 || again.Unknown != nil {
				t.Errorf("again: %s", again.body)
			}
			s.mustAs(session, "GET", "/v2/users/alice/keys", "")
		})
	}
}

// A user's list revokes what is theirs. Whose the others are isn't said.
func TestALeakListIsOfOneUser(t *testing.T) {
	s := friends(t)
	bobs, gone := s.pat(operator, "bob", `["All"]`, ""), s.pat(operator, "bob", `["All"]`, "")
	s.must("DELETE", "/v2/users/bob/keys", fmt.Sprintf(`{"ids":[%q]}`, gone.KeyID))
	unknown, _ := credential.Mint("ca", policy.PAT)
	alice := s.signedIn("alice")
	for _, text := range []string{bobs.ID, bobs.KeyID, gone.ID, gone.KeyID, unknown} {
		a := s.mustAs(alice, "POST", revoke, credentialsBody(t, text))
		if *a.Count != 0 || len(a.KeyIDs) != 0 || len(a.Unknown) != 1 || a.Unknown[0].Index != 0 {
			t.Errorf("answered %s", a.body)
		}
	}
	if got := s.standing(bobs.ID); got != manage.StandingActive {
		t.Errorf("bob's key is %s", got)
	}
}

func TestALeakListIsRefused(t *testing.T) {
	s := friends(t)
	many := credentialsBody(t, slices.Repeat([]string{"x"}, 1001)...)
	s.refuses(t, []refusal{
		{"none", "POST", revoke, `{"credentials":[]}`, manage.CodeInvalid, "credentials", "at least one"},
		{"too many", "POST", revoke, many, manage.CodeInvalid, "credentials", "more than 1000"},
		{"with all", "POST", revoke, `{"credentials":["x"],"all":true}`, manage.CodeInvalid, "credentials", "no other field"},
		{"with an app", "POST", revoke, `{"credentials":["x"],"app_id":"photos"}`, manage.CodeInvalid, "credentials", "no other field"},
		{"of no user, by another", "POST", "/v2/keys/revoke", `{"all":true}`, manage.CodeInvalid, "", "/v2/users/USER/keys/revoke"},
		{"no such user", "POST", "/v2/users/zoe/keys/revoke", `{"credentials":["x"]}`, manage.CodeNotFound, "user_id", "no such user"},
	})
}

// Of keys that are named one of which was revoked before, the others are
// revoked.
func TestRevokeIDsOfWhichOneIsRevoked(t *testing.T) {
	s := friends(t)
	gone, left := s.pat(operator, "alice", `["All"]`, ""), s.pat(operator, "alice", `["All"]`, "")
	for _, path := range []string{"/v2/users/alice/keys", "/v2/keys"} {
		s.must("DELETE", path, fmt.Sprintf(`{"ids":[%q]}`, gone.KeyID))
		a := s.must("DELETE", path, fmt.Sprintf(`{"ids":[%q,%q]}`, gone.KeyID, left.KeyID))
		if !slices.Equal(a.KeyIDs, []string{gone.KeyID, left.KeyID}) || !slices.Contains(a.AlreadyRevoked, gone.KeyID) {
			t.Errorf("%s answered %s", path, a.body)
		}
	}
	if got := s.standing(left.ID); got != manage.StandingRevoked {
		t.Errorf("the other is %s", got)
	}
	s.refusesTo(t, s.signedIn("alice"), []refusal{
		{"an unknown one", "DELETE", "/v2/users/alice/keys", `{"ids":["` + gone.KeyID + `","cap_000000000000"]}`, manage.CodeNotFound, "ids[1]", "nothing was revoked"},
	})
}

// Collaborators that a leaked token added, or a token that it made, go with
// what it made; others stay.
func TestMintedByTakesCollaborators(t *testing.T) {
	s := friends(t)
	for _, id := range []string{"dave", "erin"} {
		s.must("POST", "/v2/users", fmt.Sprintf(`{"users":[{"id":%q}]}`, id))
	}
	session := s.signedIn("alice")
	leaked := s.pat(session, "alice", `["All"]`, "")
	second := s.pat(s.with(leaked.ID), "alice", `["All"]`, "")
	const path = "/v2/users/alice/apps/photos/collaborators"
	add := func(as manage.Caller, id string) manage.Collaborator {
		t.Helper()
		return s.mustAs(as, "POST", path, fmt.Sprintf(`{"collaborators":[{"user":{"id":%q},"scopes":["All"]}]}`, id)).Collaborators[0]
	}
	add(s.with(leaked.ID), "bob")
	if got := add(s.with(second.ID), "carol").CreatedBy; got != second.KeyID {
		t.Errorf("carol was added with %q, want %s", got, second.KeyID)
	}
	add(session, "dave")
	add(operator, "erin")
	s.mustAs(session, "PATCH", path, `{"action":"overwrite","collaborators":[{"user":{"id":"bob"},"scopes":[]}]}`)
	s.mustAs(session, "DELETE", "/v2/users/alice/keys", fmt.Sprintf(`{"ids":[%q,%q]}`, leaked.KeyID, second.KeyID))

	a := s.mustAs(session, "POST", revoke, fmt.Sprintf(`{"minted_by":%q}`, leaked.KeyID))
	if got := idsOfCollaborators(a.RemovedCollaborators); !slices.Equal(got, []string{"bob", "carol"}) || *a.Count != 0 {
		t.Errorf("removed %q: %s", got, a.body)
	}
	if got := idsOfCollaborators(s.must("GET", path, "").Collaborators); !slices.Equal(got, []string{"dave", "erin"}) {
		t.Errorf("left are %q", got)
	}
	var removed int
	for _, e := range s.must("GET", "/v2/users/alice/audit?per_page=1000", "").Entries {
		if e.Action == keys.ActionCollaboratorRemove && strings.Contains(string(e.Before), `"created_by":"cap_`) {
			removed++
		}
	}
	if removed != 2 {
		t.Errorf("the audit log has %d removals that say who had added the collaborator, want 2", removed)
	}
	again := s.mustAs(session, "POST", revoke, fmt.Sprintf(`{"minted_by":%q}`, leaked.KeyID))
	if again.RemovedCollaborators != nil || *again.Count != 0 {
		t.Errorf("again: %s", again.body)
	}
}

func idsOfCollaborators(list []manage.Collaborator) (ids []string) {
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}
