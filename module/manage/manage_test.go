package manage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/memstore"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// service is the API over a store of its own, called as the operator does.
type service struct {
	t   testing.TB
	api *manage.API
	// failures are the causes that the API's log was told.
	failures []error
}

func newService(t testing.TB) *service {
	t.Helper()
	return serviceOver(t, openStore(t))
}

func openStore(t testing.TB) keys.Store {
	t.Helper()
	store, err := memstore.New()
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func serviceOver(t testing.TB, store keys.Store) *service {
	t.Helper()
	d, err := directory.New(store, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	table, err := policy.NewTable([]policy.Route{{Method: "GET", Pattern: "/x", Endpoint: []string{
		"/a.B/C", "/a.B/D", "/a.B/E", "/a.B/M0", "/a.B/M1", "/a.B/M2", "/a.B/M3", "/a.B/M4", "/a.B/M5", "/clarifai.api.V2/ListInputs",
	}}}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := policy.CatalogueOf([]policy.Scope{
		{Name: "Apps:Get", Description: "Read apps"},
		{Name: "Inputs:Get", Description: "Read inputs", Needs: []string{"Apps:Get"}},
		{Name: "Inputs:Add", Description: "Write inputs", Needs: []string{"Inputs:Get"}},
		{Name: "Predict"},
		{Name: "Secret:Door", Hidden: true},
	}, table.Rules())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t}
	s.api = &manage.API{
		Directory: d.Directory, Catalogue: catalogue, Brand: "ca",
		Failed: func(_ string, cause error) { s.failures = append(s.failures, cause) },
	}
	return s
}

// response is an answer, read.
type response struct {
	manage.Answer
	http   int
	header http.Header
	body   string
}

func (s *service) call(method, path, body string) response {
	s.t.Helper()
	return s.callAs(manage.Caller{Operator: true}, method, path, body)
}

func (s *service) callAs(caller manage.Caller, method, path, body string) response {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.api.Serve(w, httptest.NewRequest(method, path, strings.NewReader(body)), caller)
	a := response{http: w.Code, header: w.Header(), body: w.Body.String()}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&a.Answer); err != nil {
		s.t.Fatalf("%s %s answered %s, which is not an answer: %v", method, path, a.body, err)
	}
	if a.Status.ReqID == "" || a.Status.Description == "" || a.header.Get("Cache-Control") != "no-store" ||
		a.header.Get("Content-Type") != "application/json" {
		s.t.Errorf("%s %s answered %v %s: an answer has a description, a req_id, its type, and is not to be stored", method, path, a.header, a.body)
	}
	if want := a.Status.Code.HTTP(); a.http != want {
		s.t.Errorf("%s %s answered %d with the code %d, which goes with %d", method, path, a.http, a.Status.Code, want)
	}
	return a
}

// must is call for what has to succeed.
func (s *service) must(method, path, body string) response {
	s.t.Helper()
	a := s.call(method, path, body)
	if a.http != http.StatusOK || a.Status.Code != manage.CodeOK {
		s.t.Fatalf("%s %s %s answered %d %s", method, path, body, a.http, a.body)
	}
	return a
}

// alice makes a user with an app, and answers the app's key.
func (s *service) alice() manage.Key {
	s.t.Helper()
	s.must("POST", "/v2/users", `{"users":[{"id":"alice"}]}`)
	return s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"photos"}]}`).Keys[0]
}

// key makes a key of alice's with the lists given, in JSON.
func (s *service) key(scopes, endpoints string) manage.Key {
	s.t.Helper()
	return s.must("POST", "/v2/users/alice/keys", fmt.Sprintf(
		`{"keys":[{"description":"one","type":"personal_access_token","scopes":%s,"endpoints":%s}]}`, scopes, endpoints)).Keys[0]
}

// standing is what the gate would make of a credential.
func (s *service) standing(credential string) string {
	s.t.Helper()
	return s.must("POST", "/v2/keys/verify", fmt.Sprintf(`{"credential":%q}`, credential)).Standing
}

// refusal is a call that is refused, and how.
type refusal struct {
	name               string
	method, path, body string
	code               manage.Code
	field              string // where in the body
	says               string // somewhere in the details
}

func (s *service) refuses(t *testing.T, table []refusal) {
	t.Helper()
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			a := s.call(c.method, c.path, c.body)
			if a.Status.Code != c.code || a.Status.Field != c.field {
				t.Fatalf("answered %s\nwant code %d for field %q", a.body, c.code, c.field)
			}
			if !strings.Contains(a.Status.Details, c.says) || a.Status.Details == "" {
				t.Errorf("the details %q don't say %q", a.Status.Details, c.says)
			}
		})
	}
}

func TestUsers(t *testing.T) {
	s := newService(t)
	made := s.must("POST", "/v2/users", `{"users":[
		{"id":"alice","name":"Alice","email":"alice@example.com","password":"a long password"},
		{"id":"bob","suspended":true},
		{}]}`)
	if len(made.Users) != 3 || made.Users[0].ID != "alice" || made.Users[2].ID == "" || !made.Users[1].Suspended {
		t.Fatalf("made %s", made.body)
	}
	if strings.Contains(made.body, "argon2") || strings.Contains(made.body, "password") {
		t.Errorf("the answer tells of the password: %s", made.body)
	}
	one := s.must("GET", "/v2/users/alice", "")
	if *one.User != made.Users[0] {
		t.Errorf("got %+v, made %+v", *one.User, made.Users[0])
	}
	if list := s.must("GET", "/v2/users", "").Users; len(list) != 3 || list[1].ID != "bob" {
		t.Errorf("listed %+v", list)
	}

	changed := s.must("PATCH", "/v2/users", `{"users":[{"id":"alice","name":"A."},{"id":"bob","suspended":false}]}`)
	if u := changed.Users[0]; u.Name != "A." || u.Email != "alice@example.com" {
		t.Errorf("changed into %+v: what is absent stays", u)
	}
	if changed.Users[1].Suspended {
		t.Errorf("bob is still suspended")
	}
	for _, body := range []string{`{"user":{"name":"Al"}}`, `{"name":"Al"}`, `{"user":{"id":"alice","name":"Al"},"action":"merge"}`} {
		if u := s.must("PATCH", "/v2/users/alice", body).User; u.Name != "Al" || u.ID != "alice" {
			t.Errorf("%s changed into %+v", body, u)
		}
	}

	s.must("DELETE", "/v2/users/bob", "")
	s.must("DELETE", "/v2/users", fmt.Sprintf(`{"ids":["alice",%q]}`, made.Users[2].ID))
	if list := s.must("GET", "/v2/users", "").Users; list == nil || len(list) != 0 {
		t.Errorf("listed %+v, want an empty list", list)
	}
	s.refuses(t, []refusal{
		{"an id is never used again", "POST", "/v2/users", `{"users":[{"id":"bob"}]}`, manage.CodeExists, "users[0].id", "it exists already, or did; choose another"},
	})
}

func TestPassword(t *testing.T) {
	s := newService(t)
	hash := func() string {
		t.Helper()
		var u keys.User
		err := s.api.Directory.View(t.Context(), func(r keys.Reader) (err error) {
			u, err = r.User("alice")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return u.PasswordHash
	}
	s.must("POST", "/v2/users", `{"users":[{"id":"alice","password":"the first password"}]}`)
	first := hash()
	if !strings.HasPrefix(first, "$argon2id$") {
		t.Fatalf("stored %q", first)
	}
	s.must("PATCH", "/v2/users/alice", `{"user":{"name":"Alice"}}`)
	if hash() != first {
		t.Error("a change of the name changed the password")
	}
	s.must("PATCH", "/v2/users/alice", `{"user":{"password":"the second password"}}`)
	if second := hash(); second == first || !strings.HasPrefix(second, "$argon2id$") {
		t.Errorf("stored %q", second)
	}
	s.must("PATCH", "/v2/users/alice", `{"user":{"password":null}}`)
	if hash() != "" {
		t.Error("null leaves a password")
	}
}

func TestUsersRefused(t *testing.T) {
	s := newService(t)
	s.alice()
	s.refuses(t, []refusal{
		{"id taken", "POST", "/v2/users", `{"users":[{"id":"zoe"},{"id":"alice"}]}`, manage.CodeExists, "users[1].id", "exists"},
		{"id taken within the request", "POST", "/v2/users", `{"users":[{"id":"zoe"},{"id":"zoe"}]}`, manage.CodeExists, "users[1].id", "exists"},
		{"not an id", "POST", "/v2/users", `{"users":[{"id":"a b"}]}`, manage.CodeInvalid, "users[0].id", "letters"},
		{"reserved id", "POST", "/v2/users", `{"users":[{"id":"me"}]}`, manage.CodeInvalid, "users[0].id", "the caller"},
		{"none", "POST", "/v2/users", `{"users":[]}`, manage.CodeInvalid, "users", "at least one"},
		{"absent", "POST", "/v2/users", `{}`, manage.CodeInvalid, "users", "at least one"},
		{"unknown field", "POST", "/v2/users", `{"users":[{"id":"zoe"},{"id":"yan","admin":true}]}`, manage.CodeInvalid, "users[1].admin", "no such field"},
		{"unknown field next to the list", "POST", "/v2/users", `{"users":[{}],"admin":true}`, manage.CodeInvalid, "admin", "no such field"},
		{"wrong type", "POST", "/v2/users", `{"users":[{"name":7}]}`, manage.CodeInvalid, "users[0].name", "a text"},
		{"short password", "POST", "/v2/users", `{"users":[{"password":"secret"}]}`, manage.CodeInvalid, "users[0].password", "longer"},
		{"empty password", "POST", "/v2/users", `{"users":[{"password":""}]}`, manage.CodeInvalid, "users[0].password", "longer"},
		{"suspended null", "PATCH", "/v2/users", `{"users":[{"id":"alice","suspended":null}]}`, manage.CodeInvalid, "users[0].suspended", "true or false"},
		{"control character", "POST", "/v2/users", `{"users":[{"name":"a\u0000b"}]}`, manage.CodeInvalid, "users[0].name", "control"},
		{"control character of C1", "POST", "/v2/users", `{"users":[{"name":"a\u009b2Jb"}]}`, manage.CodeInvalid, "users[0].name", "control"},
		{"line separator", "POST", "/v2/users/alice/apps", `{"apps":[{"name":"a\u2028b"}]}`, manage.CodeInvalid, "apps[0].name", "control"},
		{"direction overridden", "POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":[],"description":"a\u202eb"}]}`, manage.CodeInvalid, "keys[0].description", "control"},
		{"change of no one", "PATCH", "/v2/users", `{"users":[{"id":"alice","name":"x"},{"id":"zoe"}]}`, manage.CodeNotFound, "users[1].id", "no such user"},
		{"change of one unnamed", "PATCH", "/v2/users", `{"users":[{"id":"alice","name":"x"},{"name":"y"}]}`, manage.CodeInvalid, "users[1].id", "missing"},
		{"change of one twice", "PATCH", "/v2/users", `{"users":[{"id":"alice"},{"id":"alice"}]}`, manage.CodeInvalid, "users[1].id", "twice"},
		{"change of the id", "PATCH", "/v2/users/alice", `{"user":{"id":"zoe"}}`, manage.CodeInvalid, "user.id", "never changes"},
		{"bad action", "PATCH", "/v2/users", `{"users":[{"id":"alice"}],"action":"replace"}`, manage.CodeInvalid, "action", "merge"},
		{"get no one", "GET", "/v2/users/zoe", "", manage.CodeNotFound, "user_id", "no such user"},
		{"get me", "GET", "/v2/users/me", "", manage.CodeInvalid, "user_id", "operator"},
		{"get what is no id", "GET", "/v2/users/a%00b", "", manage.CodeNotFound, "user_id", "letters"},
		{"delete no one", "DELETE", "/v2/users/zoe", "", manage.CodeNotFound, "user_id", "no such user"},
		{"delete one of two", "DELETE", "/v2/users", `{"ids":["alice","zoe"]}`, manage.CodeNotFound, "ids[1]", "no such user"},
		{"delete one twice", "DELETE", "/v2/users", `{"ids":["alice","alice"]}`, manage.CodeInvalid, "ids[1]", "twice"},
		{"delete none", "DELETE", "/v2/users", `{"ids":[]}`, manage.CodeInvalid, "ids", "at least one"},
		{"delete with a body meant for the list", "DELETE", "/v2/users/alice", `{"ids":["bob"]}`, manage.CodeInvalid, "ids", "takes none"},
	})
	// All or nothing: of every refused list, nothing was done.
	if list := s.must("GET", "/v2/users", "").Users; len(list) != 1 || list[0].Name != "" {
		t.Errorf("of refused requests remains %+v", list)
	}
}

func TestApps(t *testing.T) {
	s := newService(t)
	s.must("POST", "/v2/users", `{"users":[{"id":"alice"},{"id":"bob"}]}`)
	made := s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"photos","name":"Photos","user_id":"alice"},{"name":"Unnamed"}]}`)
	if len(made.Apps) != 2 || len(made.Keys) != 2 || made.Apps[1].ID == "" {
		t.Fatalf("made %s", made.body)
	}
	for i, k := range made.Keys {
		if k.Type != manage.TypeAppKey || fmt.Sprint(k.Scopes) != "[All]" || len(k.Apps) != 1 || k.Apps[0].ID != made.Apps[i].ID ||
			k.Apps[0].UserID != "alice" || k.Description == "" || credential.FormOf(k.ID) != credential.Genuine || !strings.HasPrefix(k.ID, k.KeyID+"_") {
			t.Errorf("app %d came with the key %+v", i, k)
		}
		if s.standing(k.ID) != manage.StandingActive {
			t.Errorf("the key of app %d is not good", i)
		}
	}
	if a := s.must("GET", "/v2/users/alice/apps/photos", "").App; *a != made.Apps[0] {
		t.Errorf("got %+v", a)
	}
	if list := s.must("GET", "/v2/users/bob/apps", "").Apps; list == nil || len(list) != 0 {
		t.Errorf("bob has %+v", list)
	}
	if a := s.must("PATCH", "/v2/users/alice/apps/photos", `{"app":{"name":"Pictures"},"action":"overwrite"}`).App; a.Name != "Pictures" {
		t.Errorf("changed into %+v", a)
	}
	if a := s.must("PATCH", "/v2/users/alice/apps/photos", `{"app":{}}`).App; a.Name != "Pictures" {
		t.Errorf("changed into %+v: what is absent stays", a)
	}
	if list := s.must("GET", "/v2/users/alice/apps/photos/keys", "").Keys; len(list) != 1 || list[0].ID != made.Keys[0].KeyID {
		t.Errorf("the app has the keys %+v", list)
	}
	// An app id is unique among its owner's only.
	s.must("POST", "/v2/users/bob/apps", `{"apps":[{"id":"photos"}]}`)
	s.must("DELETE", "/v2/users/alice/apps/photos", "{}")
	if got := s.standing(made.Keys[0].ID); got != manage.StandingRevoked {
		t.Errorf("the key of a deleted app is %s", got)
	}
	if got := s.standing(made.Keys[1].ID); got != manage.StandingActive {
		t.Errorf("the key of another app is %s", got)
	}
}

func TestAppsRefused(t *testing.T) {
	s := newService(t)
	s.alice()
	s.must("POST", "/v2/users", `{"users":[{"id":"bob"}]}`)
	s.refuses(t, []refusal{
		{"id taken", "POST", "/v2/users/alice/apps", `{"apps":[{"id":"new"},{"id":"photos"}]}`, manage.CodeExists, "apps[1].id", "it exists already; choose another"},
		{"not an id", "POST", "/v2/users/alice/apps", `{"apps":[{"id":"a/b"}]}`, manage.CodeInvalid, "apps[0].id", "letters"},
		{"someone else's", "POST", "/v2/users/alice/apps", `{"apps":[{"user_id":"bob"}]}`, manage.CodeInvalid, "apps[0].user_id", "path"},
		{"no such user", "POST", "/v2/users/zoe/apps", `{"apps":[{}]}`, manage.CodeNotFound, "user_id", "no such user"},
		{"list of no such user", "GET", "/v2/users/zoe/apps", "", manage.CodeNotFound, "user_id", "no such user"},
		{"not an object", "POST", "/v2/users/alice/apps", `{"apps":["photos"]}`, manage.CodeBadFormat, "apps[0]", "object"},
		{"not a list", "POST", "/v2/users/alice/apps", `{"apps":{"id":"x"}}`, manage.CodeInvalid, "apps", "a list"},
		{"long name", "POST", "/v2/users/alice/apps", `{"apps":[{"name":"` + strings.Repeat("x", 257) + `"}]}`, manage.CodeInvalid, "apps[0].name", "257"},
		{"get none", "GET", "/v2/users/alice/apps/nope", "", manage.CodeNotFound, "app_id", "no such app"},
		{"get someone else's", "GET", "/v2/users/bob/apps/photos", "", manage.CodeNotFound, "app_id", "no such app"},
		{"change none", "PATCH", "/v2/users/alice/apps/nope", `{"app":{}}`, manage.CodeNotFound, "app_id", "no such app"},
		{"change the id", "PATCH", "/v2/users/alice/apps/photos", `{"app":{"id":"x"}}`, manage.CodeInvalid, "app.id", "never changes"},
		{"delete none", "DELETE", "/v2/users/alice/apps/nope", "", manage.CodeNotFound, "app_id", "no such app"},
		{"keys of none", "GET", "/v2/users/alice/apps/nope/keys", "", manage.CodeNotFound, "app_id", "no such app"},
	})
	if list := s.must("GET", "/v2/users/alice/apps", "").Apps; len(list) != 1 {
		t.Errorf("of refused requests remains %+v", list)
	}
	if list := s.must("GET", "/v2/users/alice/keys", "").Keys; len(list) != 1 {
		t.Errorf("of refused requests remains %+v", list)
	}
}

func TestScopes(t *testing.T) {
	s := newService(t)
	s.alice()
	a := s.must("GET", "/v2/users/alice/scopes", "")
	var got []string
	for _, scope := range a.Scopes {
		got = append(got, fmt.Sprint(scope.Scope, scope.DependingScopes))
	}
	want := "[All[] Apps:Get[] Inputs:Add[Inputs:Get] Inputs:Get[Apps:Get] Predict[]]"
	if fmt.Sprint(got) != want {
		t.Errorf("the catalogue is %v, want %s", got, want)
	}
	s.key(`["Secret:Door"]`, "null") // hidden, and grantable by name
	s.refuses(t, []refusal{
		{"no such user", "GET", "/v2/users/zoe/scopes", "", manage.CodeNotFound, "user_id", "no such user"},
	})
}
