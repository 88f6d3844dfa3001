package manage_test

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// A collaborator leaves an app, and nobody else is touched. The owner sees who
// left, and not from where.
func TestLeaveApps(t *testing.T) {
	s := friends(t)
	bob, carol := s.signedIn("bob"), s.signedIn("carol")
	s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"maps"}]}`)
	for _, app := range []string{"photos", "maps"} {
		s.must("POST", "/v2/users/alice/apps/"+app+"/collaborators", `{"collaborators":[{"user_id":"bob","scopes":["Predict"]},{"user_id":"carol","scopes":["Predict"]},{"user_id":"*","scopes":[]}]}`)
	}
	const mine = "/v2/users/bob/collaborations"
	bob.Address = "192.0.2.7"
	leave := func(app, owner string) string { return `{"apps":[{"id":"` + app + `","user_id":"` + owner + `"}]}` }
	s.refusesTo(t, bob, []refusal{
		{"no app", "DELETE", mine, `{"apps":[]}`, manage.CodeInvalid, "apps", "at least one"},
		{"no owner", "DELETE", mine, `{"apps":[{"id":"maps"}]}`, manage.CodeInvalid, "apps[0]", "owner"},
		{"no ID", "DELETE", mine, `{"apps":[{"user_id":"alice"}]}`, manage.CodeInvalid, "apps[0]", "owner"},
		{"no such app", "DELETE", mine, leave("none", "alice"), manage.CodeNotFound, "apps[0]", "not a collaborator of such an app"},
		{"no such owner", "DELETE", mine, leave("photos", "zoe"), manage.CodeNotFound, "apps[0]", "not a collaborator of such an app"},
		{"no ID at all", "DELETE", mine, leave("photos", `a b`), manage.CodeNotFound, "apps[0]", "not a collaborator of such an app"},
		{"twice", "DELETE", mine, `{"apps":[{"id":"maps","user_id":"alice"},{"id":"maps","user_id":"alice"}]}`, manage.CodeInvalid, "apps[1]", "twice"},
		{"one of two", "DELETE", mine, `{"apps":[{"id":"maps","user_id":"alice"},{"id":"none","user_id":"alice"}]}`, manage.CodeNotFound, "apps[1]", "not a collaborator"},
	})
	if list := s.mustAs(bob, "GET", mine, "").Collaborations; len(list) != 2 {
		t.Fatalf("of refused requests remain %d", len(list))
	}
	s.mustAs(bob, "DELETE", mine, leave("photos", "alice"))
	if list := s.mustAs(bob, "GET", mine, "").Collaborations; len(list) != 1 || list[0].App.ID != "maps" {
		t.Errorf("bob collaborates on %+v", list)
	}
	if got, want := s.lists(), "carol[Predict][] *[][]"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
	if list := s.mustAs(carol, "GET", "/v2/users/carol/collaborations", "").Collaborations; len(list) != 2 {
		t.Errorf("carol collaborates on %+v", list)
	}
	e := s.mustAs(s.signedIn("alice"), "GET", "/v2/users/alice/audit?action=collaborator.remove", "").Entries
	if len(e) != 1 || e[0].ActorUserID != "bob" || e[0].CollaboratorID != "bob" || e[0].Address != "" || e[0].ActorID != "" {
		t.Errorf("the owner sees %+v", e)
	}
	if e := s.must("GET", "/v2/audit?action=collaborator.remove", "").Entries; len(e) != 1 || e[0].Address != "192.0.2.7" || e[0].ActorID != bob.KeyID {
		t.Errorf("the operator sees %+v", e)
	}
	// The operator may do it in the user's place.
	s.must("DELETE", mine, leave("maps", "alice"))
	if list := s.mustAs(bob, "GET", mine, "").Collaborations; len(list) != 0 {
		t.Errorf("bob collaborates on %+v", list)
	}
}
