package manage_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func TestMyScopes(t *testing.T) {
	s := friends(t)
	s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"maps"},{"id":"open"}]}`)
	s.must("POST", shared, `{"collaborators":[{"user_id":"bob","scopes":["Predict","Apps:Get"],"endpoints":["/a.B/C"]}]}`)
	s.must("POST", "/v2/users/alice/apps/open/collaborators", `{"collaborators":[{"user_id":"bob","scopes":["Apps:Get"]},{"user_id":"*","scopes":["All"]}]}`)
	key := s.with(s.must("POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["Predict"],"endpoints":["/a.B/C"],"apps":[{"id":"photos"}]}]}`).Keys[0].ID)
	bob := func(scopes, endpoints string) manage.Caller {
		return s.with(s.pat(operator, "bob", scopes, `,"endpoints":`+endpoints).ID)
	}
	for _, c := range []struct {
		name string
		as   manage.Caller
		path string
		want string
	}{
		{"app key", key, "/v2/myscopes", `{"scopes":["Predict"],"endpoints":["/a.B/C"]}`},
		{"app key, its app", key, "/v2/users/alice/apps/photos/myscopes", `{"scopes":["Predict"],"endpoints":["/a.B/C"]}`},
		{"PAT", bob(`["Predict"]`, `null`), "/v2/myscopes", `{"scopes":["Predict"],"endpoints":null}`},
		{"PAT without scopes", bob(`[]`, `null`), "/v2/users/bob/myscopes", `{"scopes":[],"endpoints":null}`},
		{"me", bob(`["All"]`, `["/a.B/D"]`), "/v2/users/me/myscopes", `{"scopes":["All"],"endpoints":["/a.B/D"]}`},
		{"session", s.signedIn("bob"), "/v2/users/bob/myscopes", `{"scopes":["All"],"endpoints":null}`},
		{"operator", operator, "/v2/users/bob/myscopes", `{"scopes":["All"],"endpoints":null}`},
		{"operator, an app", operator, "/v2/users/alice/apps/photos/myscopes", `{"scopes":["All"],"endpoints":null}`},
		{"collaborator by session", s.signedIn("bob"), "/v2/users/alice/apps/photos/myscopes", `{"scopes":["Predict","Apps:Get"],"endpoints":["/a.B/C"]}`},
		{"collaborator by PAT", bob(`["Predict"]`, `null`), "/v2/users/alice/apps/photos/myscopes", `{"scopes":["Predict"],"endpoints":["/a.B/C"]}`},
		{"nothing in common", bob(`["Secret:Door"]`, `["/a.B/D"]`), "/v2/users/alice/apps/photos/myscopes", `{"scopes":[],"endpoints":[]}`},
		{"the PAT's endpoints", bob(`["All"]`, `["/a.B/D"]`), "/v2/users/alice/apps/open/myscopes", `{"scopes":["Apps:Get"],"endpoints":["/a.B/D"],"everyone":{"scopes":["All"],"endpoints":["/a.B/D"]}}`},
		{"everyone", s.signedIn("carol"), "/v2/users/alice/apps/open/myscopes", `{"scopes":["All"],"endpoints":null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.mustAs(c.as, "GET", c.path, "")
			got, err := json.Marshal(a.MyScopes)
			if err != nil || string(got) != c.want {
				t.Errorf("it grants %s (%v), want %s", got, err, c.want)
			}
		})
	}
	s.refusesTo(t, s.signedIn("bob"), []refusal{
		{"no collaborator", "GET", "/v2/users/alice/apps/maps/myscopes", "", manage.CodeKeyInvalid, "", "not for this owner or app"},
		{"no such app of another", "GET", "/v2/users/alice/apps/nope/myscopes", "", manage.CodeKeyInvalid, "", "not for this owner or app"},
		{"no such app of one's own", "GET", "/v2/users/bob/apps/nope/myscopes", "", manage.CodeNotFound, "app_id", "no such app"},
		{"a body", "GET", "/v2/myscopes", `{"x":1}`, manage.CodeInvalid, "x", "takes none"},
	})
}

func TestStatusCodes(t *testing.T) {
	s := newService(t)
	nobody := manage.Caller{}
	list := s.mustAs(nobody, "GET", "/v2/status_codes", "").Statuses
	if !slices.IsSortedFunc(list, func(a, b manage.StatusCode) int { return int(a.Code - b.Code) }) ||
		!slices.Contains(list, manage.StatusCode{Code: 11007, Description: "API key has insufficient scopes"}) {
		t.Errorf("listed %+v", list)
	}
	for _, c := range list {
		if one := s.mustAs(nobody, "GET", "/v2/status_codes/"+string(mustJSON(t, c.Code)), "").StatusCode; *one != c {
			t.Errorf("%d is %+v", c.Code, one)
		}
	}
	s.refusesTo(t, nobody, []refusal{
		{"unknown", "GET", "/v2/status_codes/12345", "", manage.CodeNotFound, "status_code_id", "lists"},
		{"no number", "GET", "/v2/status_codes/x", "", manage.CodeNotFound, "status_code_id", "lists"},
		{"no code at all", "GET", "/v2/status_codes/%00", "", manage.CodeNotFound, "status_code_id", ""},
		{"zero", "GET", "/v2/status_codes/0", "", manage.CodeNotFound, "status_code_id", ""},
	})
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
