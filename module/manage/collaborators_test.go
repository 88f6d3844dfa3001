package manage_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const shared = "/v2/users/alice/apps/photos/collaborators"

// friends is alice with an app, and bob and carol.
func friends(t testing.TB) *service {
	s := newService(t)
	s.alice()
	s.must("POST", "/v2/users", `{"users":[{"id":"bob"},{"id":"carol"}]}`)
	return s
}

// lists is what there is of the collaborators of alice's app, short.
func (s *service) lists() string {
	s.t.Helper()
	var list []string
	for _, c := range s.must("GET", shared, "").Collaborators {
		list = append(list, fmt.Sprintf("%s%v%v", c.ID, c.Scopes, c.Endpoints))
	}
	return strings.Join(list, " ")
}

func TestCollaborators(t *testing.T) {
	for name, as := range map[string]func(*service) manage.Caller{
		"operator": func(*service) manage.Caller { return operator },
		"session":  func(s *service) manage.Caller { return s.signedIn("alice") },
		"PAT":      func(s *service) manage.Caller { return s.with(s.pat(operator, "alice", `["All"]`, "").ID) },
	} {
		t.Run(name, func(t *testing.T) {
			s := friends(t)
			c := as(s)
			made := s.mustAs(c, "POST", shared, `{"collaborators":[
				{"user":{"id":"bob"},"scopes":["Predict","Apps:Get","Predict"],"endpoints":["/a.B/C"]},
				{"user_id":"carol","scopes":[],"endpoints":null,"app":{"id":"photos","user_id":"alice"}},
				{"user":{"id":"*"},"scopes":["All"],"endpoints":[]}]}`).Collaborators
			if len(made) != 3 {
				t.Fatalf("made %+v", made)
			}
			bob := made[0]
			if bob.ID != "bob" || bob.User.ID != "bob" || bob.App != (manage.KeyApp{ID: "photos", UserID: "alice"}) ||
				fmt.Sprint(bob.Scopes, bob.Endpoints, bob.Version) != "[Predict Apps:Get] [/a.B/C] 1" || bob.CreatedAt.IsZero() {
				t.Errorf("made %+v", bob)
			}
			if got, want := s.lists(), "bob[Predict Apps:Get][/a.B/C] carol[][] *[All][]"; got != want {
				t.Errorf("listed %s, want %s", got, want)
			}

			mine := s.must("GET", "/v2/users/bob/collaborations", "").Collaborations
			if len(mine) != 1 || mine[0].App.ID != "photos" || mine[0].AppOwner.ID != "alice" || fmt.Sprint(mine[0].Scopes) != "[Predict Apps:Get]" {
				t.Errorf("bob collaborates on %+v", mine)
			}
			if list := s.must("GET", "/v2/users/alice/collaborations", "").Collaborations; list == nil || len(list) != 0 {
				t.Errorf("alice collaborates on %+v", list)
			}

			changed := s.mustAs(c, "PATCH", shared, `{"collaborators":[
				{"user":{"id":"bob"},"scopes":["Predict"],"version":1},
				{"id":"*","scopes":["All"]}],"action":"remove"}`).Collaborators
			if fmt.Sprint(changed[0].Scopes, changed[0].Version) != "[Apps:Get] 2" || !changed[0].CreatedAt.Equal(bob.CreatedAt) {
				t.Errorf("changed into %+v", changed[0])
			}
			if got, want := s.lists(), "bob[Apps:Get][/a.B/C] carol[][] *[][]"; got != want {
				t.Errorf("listed %s, want %s", got, want)
			}
			s.mustAs(c, "DELETE", shared, `{"collaborator_ids":["bob"]}`)
			s.mustAs(c, "DELETE", shared, `{"ids":["*","carol"]}`)
			if got := s.lists(); got != "" {
				t.Errorf("left are %s", got)
			}
			// A removed collaborator can be added again.
			s.mustAs(c, "POST", shared, `{"collaborators":[{"user":{"id":"bob"},"scopes":[]}]}`)
		})
	}
}

func TestCollaboratorsPage(t *testing.T) {
	s := friends(t)
	s.must("POST", shared, `{"collaborators":[{"user_id":"bob","scopes":[]},{"user_id":"carol","scopes":[]},{"user_id":"*","scopes":[]}]}`)
	first := s.must("GET", shared+"?per_page=2", "")
	rest := s.must("GET", shared+"?after="+first.Next, "")
	if len(first.Collaborators) != 2 || len(rest.Collaborators) != 1 || rest.Collaborators[0].ID != "*" || rest.Next != "" {
		t.Errorf("listed %s then %s", first.body, rest.body)
	}
	for i := range 3 {
		s.must("POST", "/v2/users/alice/apps", fmt.Sprintf(`{"apps":[{"id":"a%d"}]}`, i))
		s.must("POST", fmt.Sprintf("/v2/users/alice/apps/a%d/collaborators", i), `{"collaborators":[{"user_id":"bob","scopes":[]}]}`)
	}
	first = s.must("GET", "/v2/users/bob/collaborations?per_page=3", "")
	rest = s.must("GET", "/v2/users/bob/collaborations?per_page=3&after="+first.Next, "")
	if len(first.Collaborations) != 3 || len(rest.Collaborations) != 1 || rest.Collaborations[0].App.ID != "a2" {
		t.Errorf("listed %s then %s", first.body, rest.body)
	}
}

func TestCollaboratorsRefused(t *testing.T) {
	s := friends(t)
	s.must("POST", shared, `{"collaborators":[{"user_id":"carol","scopes":["Predict"],"endpoints":["/a.B/C"]}]}`)
	before := s.lists()
	one := func(fields string) string {
		return `{"collaborators":[{"user_id":"bob","scopes":[]},{` + fields + `}]}`
	}
	table := []refusal{
		{"nobody", "POST", shared, one(`"scopes":[]`), manage.CodeInvalid, "collaborators[1].user", "missing"},
		{"null", "POST", shared, one(`"user":null,"scopes":[]`), manage.CodeInvalid, "collaborators[1].user", "missing"},
		{"two users", "POST", shared, one(`"user_id":"carol","user":{"id":"bob"},"scopes":[]`), manage.CodeInvalid, "collaborators[1].user.id", "differs"},
		{"no id", "POST", shared, one(`"user_id":"a b\u0000","scopes":[]`), manage.CodeInvalid, "collaborators[1].user_id", "not a user ID"},
		{"the owner", "POST", shared, one(`"user_id":"alice","scopes":[]`), manage.CodeInvalid, "collaborators[1].user_id", "own"},
		{"one who is", "POST", shared, one(`"user_id":"carol","scopes":[]`), manage.CodeExists, "collaborators[1].user_id", "PATCH"},
		{"one twice", "POST", shared, one(`"user_id":"bob","scopes":[]`), manage.CodeExists, "collaborators[1].user_id", "already"},
		{"by e-mail", "POST", shared, one(`"user":{"email":"bob@example.com"},"scopes":[]`), manage.CodeInvalid, "collaborators[1].user.email", "no such field"},
		{"no scopes", "POST", shared, one(`"user_id":"*"`), manage.CodeInvalid, "collaborators[1].scopes", "missing"},
		{"scopes null", "POST", shared, one(`"user_id":"*","scopes":null`), manage.CodeInvalid, "collaborators[1].scopes", "missing"},
		{"unknown scope", "POST", shared, one(`"user_id":"*","scopes":["Nope"]`), manage.CodeInvalid, "collaborators[1].scopes", "Nope"},
		{"incomplete scopes", "POST", shared, one(`"user_id":"*","scopes":["Inputs:Get"]`), manage.CodeInvalid, "collaborators[1].scopes", "Apps:Get"},
		{"unknown endpoint", "POST", shared, one(`"user_id":"*","scopes":[],"endpoints":["/a.B/X9"]`), manage.CodeInvalid, "collaborators[1].endpoints", "no route has the endpoint /a.B/X9"},
		{"malformed endpoint", "POST", shared, one(`"user_id":"*","scopes":[],"endpoints":["X9"]`), manage.CodeInvalid, "collaborators[1].endpoints", "/package.Service/Method"},
		{"another app", "POST", shared, one(`"user_id":"*","scopes":[],"app":{"id":"maps"}`), manage.CodeInvalid, "collaborators[1].app.id", "path"},
		{"another's app", "POST", shared, one(`"user_id":"*","scopes":[],"app":{"user_id":"bob"}`), manage.CodeInvalid, "collaborators[1].app.user_id", "path"},
		{"unknown field", "POST", shared, one(`"user_id":"*","scopes":[],"role":"admin"`), manage.CodeInvalid, "collaborators[1].role", "no such field"},
		{"none", "POST", shared, `{"collaborators":[]}`, manage.CodeInvalid, "collaborators", "at least one"},
		{"no such app", "POST", "/v2/users/alice/apps/nope/collaborators", one(`"user_id":"*","scopes":[]`), manage.CodeNotFound, "app_id", "no such app"},
		{"list of no app", "GET", "/v2/users/alice/apps/nope/collaborators", "", manage.CodeNotFound, "app_id", "no such app"},

		{"change nobody's", "PATCH", shared, `{"collaborators":[{"user_id":"carol"},{"user_id":"bob"}]}`, manage.CodeNotFound, "collaborators[1].user_id", "not a collaborator"},
		{"change one twice", "PATCH", shared, `{"collaborators":[{"user_id":"carol"},{"id":"carol"}]}`, manage.CodeInvalid, "collaborators[1].id", "twice"},
		{"lists without action", "PATCH", shared, `{"collaborators":[{"user_id":"carol","scopes":[]}]}`, manage.CodeInvalid, "action", "merge"},
		{"empty the list", "PATCH", shared, `{"collaborators":[{"user_id":"carol","endpoints":["/a.B/C"]}],"action":"remove"}`, manage.CodeInvalid, "collaborators[0].endpoints", "none would be left"},
		{"overwrite with an empty list", "PATCH", shared, `{"collaborators":[{"user_id":"carol","endpoints":[]}],"action":"overwrite"}`, manage.CodeInvalid, "collaborators[0].endpoints", "remove it"},
		{"incomplete result", "PATCH", shared, `{"collaborators":[{"user_id":"carol","scopes":["Inputs:Get"]}],"action":"merge"}`, manage.CodeInvalid, "collaborators[0].scopes", "Apps:Get"},
		{"old version", "PATCH", shared, `{"collaborators":[{"user_id":"carol","version":7}]}`, manage.CodeConflict, "collaborators[0].version", "was changed"},

		{"remove nobody", "DELETE", shared, `{"ids":["carol","bob"]}`, manage.CodeNotFound, "ids[1]", "not a collaborator"},
		{"remove one twice", "DELETE", shared, `{"collaborator_ids":["carol","carol"]}`, manage.CodeInvalid, "collaborator_ids[1]", "twice"},
		{"remove none", "DELETE", shared, `{}`, manage.CodeInvalid, "collaborator_ids", "at least one"},
		{"remove by two lists", "DELETE", shared, `{"ids":["carol"],"collaborator_ids":["carol"]}`, manage.CodeInvalid, "collaborator_ids", "no such field"},
		{"collaborations of nobody", "GET", "/v2/users/zoe/collaborations", "", manage.CodeNotFound, "user_id", "no such user"},
	}
	s.refuses(t, append(table,
		refusal{"no such user", "POST", shared, one(`"user":{"id":"zoe"},"scopes":[]`), manage.CodeNotFound, "collaborators[1].user.id", "no such user"}))
	s.refusesTo(t, s.signedIn("alice"), append(table,
		refusal{"oneself", "POST", shared, one(`"user_id":"me","scopes":[]`), manage.CodeInvalid, "collaborators[1].user_id", "own"}))
	if got := s.lists(); got != before {
		t.Errorf("of refused requests remains %s, before there was %s", got, before)
	}
}

// An owner who adds collaborators learns nothing of which users exist, and one
// who is created later has what the owner gave.
func TestCollaboratorsDontTellWhoIsThere(t *testing.T) {
	s := friends(t)
	s.must("POST", "/v2/users", `{"users":[{"id":"gone"}]}`)
	s.must("DELETE", "/v2/users/gone", "")
	alice := s.signedIn("alice")
	shown := map[string]string{}
	for _, id := range []string{"bob", "zoe", "gone"} {
		calls := []response{
			s.callAs(alice, "POST", shared, `{"collaborators":[{"user_id":"`+id+`","scopes":["Predict"]}]}`),
			s.callAs(alice, "GET", shared, ""),
			s.callAs(alice, "DELETE", shared, `{"ids":["`+id+`"]}`),
		}
		var all strings.Builder
		for _, a := range calls {
			a.header.Del("Content-Length") // of times with more digits or fewer
			all.WriteString(strings.ReplaceAll(a.withoutID(), id, "ID"))
		}
		shown[times.ReplaceAllString(all.String(), "TIME")] = id
	}
	if len(shown) != 1 {
		t.Errorf("whether a user exists shows in %q", shown)
	}
	s.as(alice, "POST", shared, `{"collaborators":[{"user_id":"zoe","scopes":["Predict"]}]}`)
	s.must("POST", "/v2/users", `{"users":[{"id":"zoe"}]}`)
	if list := s.as(s.signedIn("zoe"), "GET", "/v2/users/me/collaborations", "").Collaborations; len(list) != 1 || list[0].AppOwner.ID != "alice" {
		t.Errorf("the new user has the collaborations %+v", list)
	}
}

var times = regexp.MustCompile(`20\d\d-[^"]*Z`)

// Nobody can grant a collaborator more than they may do themselves.
func TestCollaboratorsDelegate(t *testing.T) {
	s := friends(t)
	s.must("POST", shared, `{"collaborators":[{"user_id":"carol","scopes":["All"]}]}`)
	pat := func(scopes, more string) manage.Caller { return s.with(s.pat(operator, "alice", scopes, more).ID) }
	for _, c := range []struct {
		name   string
		as     manage.Caller
		method string
		fields string
		field  string // of the refusal; empty where it goes well
	}{
		{"what it has", pat(`["Predict","Apps:Get"]`, ""), "POST", `"user_id":"bob","scopes":["Predict"]`, ""},
		{"a scope more", pat(`["Predict"]`, ""), "POST", `"user_id":"*","scopes":["Predict","Apps:Get"]`, "collaborators[0].scopes"},
		{"All", pat(`["Predict"]`, ""), "POST", `"user_id":"*","scopes":["All"]`, "collaborators[0].scopes"},
		{"all endpoints", pat(`["All"]`, `,"endpoints":["/a.B/C"]`), "POST", `"user_id":"*","scopes":["Predict"]`, "collaborators[0].endpoints"},
		{"an endpoint more", pat(`["All"]`, `,"endpoints":["/a.B/C"]`), "POST", `"user_id":"*","scopes":["Predict"],"endpoints":["/a.B/D"]`, "collaborators[0].endpoints"},
		{"for good, by one that expires", pat(`["All"]`, `,"expires_at":"2100-01-01T00:00:00Z"`), "POST", `"user_id":"*","scopes":["Predict"]`, "collaborators[0]"},
		{"a change of what is more", pat(`["Predict"]`, ""), "PATCH", `"user_id":"carol","endpoints":["/a.B/C"]`, "collaborators[0].scopes"},
		{"a narrowing to what it has", pat(`["Predict"]`, ""), "PATCH", `"user_id":"carol","scopes":["Predict"]`, ""},
		{"an app key's own", s.with(s.must("POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["Predict"],"apps":[{"id":"photos"}]}]}`).Keys[0].ID), "POST", `"user_id":"*","scopes":["Apps:Get"]`, "collaborators[0].scopes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.lists()
			a := s.callAs(c.as, c.method, shared, `{"collaborators":[{`+c.fields+`}],"action":"overwrite"}`)
			if c.method == "POST" {
				a = s.callAs(c.as, c.method, shared, `{"collaborators":[{`+c.fields+`}]}`)
			}
			want := manage.CodeOK
			if c.field != "" {
				want = manage.CodeInsufficientScopes
			}
			if a.Status.Code != want || a.Status.Field != c.field {
				t.Fatalf("answered %s, want %d for %q", a.body, want, c.field)
			}
			if want != manage.CodeOK && s.lists() != before {
				t.Errorf("though refused, %s became %s", before, s.lists())
			}
		})
	}
}

// A change of a collaborator is in effect when it is answered.
func TestCollaboratorsTakeEffectAtOnce(t *testing.T) {
	s := friends(t)
	ref := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "photos"}, UserID: "bob"}
	table, err := policy.NewTable([]policy.Route{{Method: "GET", Pattern: "/x", Scopes: []string{"Predict"}}}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	permits := func() bool {
		t.Helper()
		e, err := s.api.Directory.Collaborator(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		return e.Exists() && e.Grant().Permits(table.Rules()[0])
	}
	for _, c := range []struct {
		method, body string
		want         bool
	}{
		{"POST", `{"collaborators":[{"user_id":"bob","scopes":["Predict"]}]}`, true},
		{"PATCH", `{"collaborators":[{"user_id":"bob","scopes":["Predict"]}],"action":"remove"}`, false},
		{"PATCH", `{"collaborators":[{"user_id":"bob","scopes":["Predict"]}],"action":"merge"}`, true},
		{"DELETE", `{"collaborator_ids":["bob"]}`, false},
	} {
		permits() // so that it is cached
		s.must(c.method, shared, c.body)
		if got := permits(); got != c.want {
			t.Errorf("after %s %s it permits: %v", c.method, c.body, got)
		}
	}
}
