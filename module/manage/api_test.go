package manage_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestPathsAndMethods(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		method, path string
		code         manage.Code
		allow        string
	}{
		{"GET", "/v2/nothing", manage.CodeNotFound, ""},
		{"GET", "/v2/users/", manage.CodeNotFound, ""},
		{"GET", "/v2/users/alice/keys/x/y", manage.CodeNotFound, ""},
		{"GET", "/", manage.CodeNotFound, ""},
		{"PUT", "/v2/users", manage.CodeMethod, "DELETE, GET, HEAD, PATCH, POST"},
		{"POST", "/v2/users/alice/apps/a", manage.CodeMethod, "DELETE, GET, HEAD, PATCH"},
		{"GET", "/v2/users/alice/keys/k/rotate", manage.CodeMethod, "POST"},
		{"get", "/v2/users", manage.CodeMethod, "DELETE, GET, HEAD, PATCH, POST"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			a := s.call(c.method, c.path, "")
			if a.Status.Code != c.code || a.header.Get("Allow") != c.allow {
				t.Errorf("answered %s, Allow %q", a.body, a.header.Get("Allow"))
			}
		})
	}
}

func TestNobodyMayDoNothing(t *testing.T) {
	s := newService(t)
	if a := s.callAs(manage.Caller{}, "GET", "/v2/users", ""); a.http != http.StatusNotFound || a.Users != nil {
		t.Errorf("answered %s", a.body)
	}
	for _, r := range manage.Routes() {
		if slices.Contains(r.Accept, "public") {
			continue
		}
		path := strings.NewReplacer("{user_id}", "alice", "{app_id}", "a", "{key_id}", "k").Replace(r.Pattern)
		if a := s.callAs(manage.Caller{}, r.Method, path, "{}"); a.http != http.StatusUnauthorized {
			t.Errorf("%s: answered %s", r, a.body)
		}
	}
}

func TestBodies(t *testing.T) {
	s := newService(t)
	s.alice()
	s.api.MaxBody = 1000
	deep := strings.Repeat("[", 400) + strings.Repeat("]", 400)
	for _, c := range []struct {
		name, body string
		code       manage.Code
		field      string
	}{
		{"empty", "", manage.CodeBadFormat, ""},
		{"spaces", " \n", manage.CodeBadFormat, ""},
		{"null", "null", manage.CodeBadFormat, ""},
		{"list", "[]", manage.CodeBadFormat, ""},
		{"cut off", `{"apps":[{}]`, manage.CodeBadFormat, ""},
		{"cut off in a name", `{"app`, manage.CodeBadFormat, ""},
		{"no JSON", `apps=x`, manage.CodeBadFormat, ""},
		{"trailing data", `{"apps":[{}]}{}`, manage.CodeBadFormat, ""},
		{"trailing comma", `{"apps":[{},]}`, manage.CodeBadFormat, ""},
		{"a field twice", `{"apps":[{}],"apps":[{}]}`, manage.CodeBadFormat, "apps"},
		{"a field of an element twice", `{"apps":[{},{"id":"a","id":"b"}]}`, manage.CodeBadFormat, "apps[1].id"},
		{"a field twice, escaped", `{"apps":[{"id":"a","\u0069d":"b"}]}`, manage.CodeBadFormat, "apps[0].id"},
		{"other case", `{"Apps":[{}]}`, manage.CodeInvalid, "apps"},
		{"other case next to it", `{"apps":[{"name":"a","Name":"b"}]}`, manage.CodeInvalid, "apps[0].Name"},
		{"not UTF-8", "{\"apps\":[{\"name\":\"\xff\"}]}", manage.CodeBadFormat, ""},
		{"deep", `{"apps":` + deep + `}`, manage.CodeBadFormat, "apps[0]"},
		{"large", `{"apps":[{"name":"` + strings.Repeat("x", 1000) + `"}]}`, manage.CodeTooLarge, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.call("POST", "/v2/users/alice/apps", c.body)
			if a.Status.Code != c.code || a.Status.Field != c.field {
				t.Errorf("answered %s\nwant %d for field %q", a.body, c.code, c.field)
			}
		})
	}
	if list := s.must("GET", "/v2/users/alice/apps", "").Apps; len(list) != 1 {
		t.Errorf("of refused requests remains %+v", list)
	}
}

func TestListsHaveAnEnd(t *testing.T) {
	s := newService(t)
	s.alice()
	s.refuses(t, []refusal{
		{"elements", "POST", "/v2/users/alice/apps", `{"apps":[` + strings.Repeat("{},", 1000) + `{}]}`, manage.CodeInvalid, "apps", "another request"},
		{"ids", "DELETE", "/v2/users/alice/keys", `{"ids":[` + strings.Repeat(`"x",`, 1000) + `"x"]}`, manage.CodeInvalid, "ids", "another request"},
		{"scopes", "POST", "/v2/users/alice/keys", `{"keys":[{"apps":[{"id":"photos"}],"scopes":[` + strings.Repeat(`"x",`, 1000) + `"x"]}]}`, manage.CodeInvalid, "keys[0].scopes", "more than 1000"},
	})
}

func TestHealth(t *testing.T) {
	s := newService(t)
	s.must("GET", "/health", "")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.api.Directory.Upkeep(gone); err == nil {
		t.Fatal("upkeep didn't fail")
	}
	a := s.call("GET", "/health", "")
	if a.http != http.StatusServiceUnavailable || !strings.Contains(a.Status.Details, "a background task of the key store fails") {
		t.Errorf("while upkeep fails: %d %s", a.http, a.body)
	}
	if err := s.api.Directory.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.must("GET", "/health", "")
}

// A store whose file was moved can be read, and no more.
func TestHealthOfAMovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	store, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := serviceOver(t, store)
	s.must("GET", "/health", "")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if a := s.call("GET", "/health", ""); a.Status.Code != manage.CodeUnavailable || len(s.failures) != 1 {
		t.Errorf("answered %s; the log was told %v", a.body, s.failures)
	}
	if err := os.Rename(path+".moved", path); err != nil {
		t.Fatal(err)
	}
	s.must("GET", "/health", "")
}

func TestContentTypeIsNotAsked(t *testing.T) {
	s := newService(t)
	for _, contentType := range []string{"", "application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v2/users", strings.NewReader(`{"users":[{}]}`))
		r.Header.Set("Content-Type", contentType)
		s.api.Serve(w, r, manage.Caller{Operator: true})
		if w.Code != http.StatusOK {
			t.Errorf("Content-Type %q answered %d %s", contentType, w.Code, w.Body)
		}
	}
}

func TestPages(t *testing.T) {
	s := newService(t)
	s.alice()
	ids := []string{s.must("GET", "/v2/users/alice/keys", "").Keys[0].ID}
	for range 6 {
		ids = append(ids, s.key(`["Predict"]`, `null`).KeyID)
	}
	got := func(query string) ([]string, string) {
		t.Helper()
		a := s.must("GET", "/v2/users/alice/keys"+query, "")
		var list []string
		for _, k := range a.Keys {
			list = append(list, k.ID)
		}
		return list, a.Next
	}
	for _, c := range []struct {
		query string
		want  []string
		more  bool
	}{
		{"", ids, false},
		{"?per_page=3", ids[:3], true},
		{"?page=1&per_page=3", ids[:3], true},
		{"?page=2&per_page=3", ids[3:6], true},
		{"?page=3&per_page=3", ids[6:], false},
		{"?page=4&per_page=3", nil, false},
		{"?per_page=7", ids, false},
		{"?per_page=1000&page=1000000000", nil, false},
		{"?other=1", ids, false},
	} {
		list, next := got(c.query)
		if !slices.Equal(list, c.want) || (next != "") != c.more {
			t.Errorf("%q answers %v and next %q, want %v", c.query, list, next, c.want)
		}
	}

	// Going on by next comes by everything once, though things come and go
	// meanwhile.
	list, next := got("?per_page=2")
	s.must("DELETE", "/v2/keys", fmt.Sprintf(`{"ids":[%q,%q]}`, ids[1], ids[2]))
	added := s.key(`["Predict"]`, `null`).KeyID
	for next != "" {
		var more []string
		more, next = got("?per_page=2&after=" + next)
		list = append(list, more...)
	}
	want := slices.Concat(ids[:2], ids[3:], []string{added})
	if !slices.Equal(list, want) {
		t.Errorf("by next come %v, want %v", list, want)
	}

	// The other lists go by the same code; one look at each.
	s.must("POST", "/v2/users", `{"users":[{"id":"bob"}]}`)
	s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"second"}]}`)
	first := s.must("GET", "/v2/users?per_page=1", "")
	if rest := s.must("GET", "/v2/users?after="+first.Next, ""); len(first.Users) != 1 || len(rest.Users) != 1 || rest.Users[0].ID != "bob" || rest.Next != "" {
		t.Errorf("users: %s then %s", first.body, rest.body)
	}
	first = s.must("GET", "/v2/users/alice/apps?per_page=1", "")
	if rest := s.must("GET", "/v2/users/alice/apps?after="+first.Next, ""); len(first.Apps) != 1 || len(rest.Apps) != 1 || rest.Apps[0].ID != "second" {
		t.Errorf("apps: %s then %s", first.body, rest.body)
	}
	s.must("POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["All"],"apps":[{"id":"photos"}]}]}`)
	first = s.must("GET", "/v2/users/alice/apps/photos/keys?per_page=1", "")
	if rest := s.must("GET", "/v2/users/alice/apps/photos/keys?after="+first.Next, ""); len(first.Keys) != 1 || len(rest.Keys) != 1 || rest.Next != "" {
		t.Errorf("keys of an app: %s then %s", first.body, rest.body)
	}

	next = s.must("GET", "/v2/users?per_page=1", "").Next
	for _, query := range []string{
		"page=0", "page=-1", "page=x", "page=", "page=1&page=2", "page=1000000001", "page=99999999999999999999",
		"per_page=0", "per_page=1001", "after=x", "after=", "after=" + next + "!", "after=" + next + "&page=2", "after=" + next + "&after=" + next,
		"after=AAAAAAAAAAA", "after=" + strings.Repeat("A", len(next)), "after=" + first.Next, "%zz=1", "a;b",
	} {
		if a := s.call("GET", "/v2/users?"+query, ""); a.Status.Code != manage.CodeInvalid {
			t.Errorf("?%s answered %s", query, a.body)
		}
	}
}

// Records of other tenants don't show in a tenant's cursors.
func TestCursorsTellNothingOfOthers(t *testing.T) {
	s := newService(t)
	s.alice()
	s.must("POST", "/v2/users", `{"users":[{"id":"bob"}]}`)
	for i := range 40 {
		s.key(`["Predict"]`, `null`)
		if i%2 == 0 { // of two neighbours of alice's, one has a key of bob's between
			s.pat(operator, "bob", `["All"]`, "")
		}
	}
	var previous uint64
	next := s.must("GET", "/v2/users/alice/keys?per_page=1", "").Next
	for next != "" {
		text, err := base64.RawURLEncoding.DecodeString(next)
		if err != nil {
			t.Fatal(err)
		}
		for _, number := range []uint64{binary.BigEndian.Uint64(text), binary.BigEndian.Uint64(text[len(text)-8:])} {
			if number < 1<<32 || max(number, previous)-min(number, previous) < 1<<32 {
				t.Fatalf("the cursor %x follows from the one before", text)
			}
			previous = number
		}
		next = s.must("GET", "/v2/users/alice/keys?per_page=1&after="+next, "").Next
	}
}

// A credential that stands where it doesn't belong is not repeated.
func TestErrorsRepeatNoCredential(t *testing.T) {
	s := newService(t)
	first := s.alice()
	unknown, _ := credential.Mint("ca", policy.PAT)
	branded, _ := credential.Mint("acme1", policy.AppKey)
	for _, credential := range []string{first.ID, unknown, branded, unknown[:len(unknown)-1] + flip(unknown[len(unknown)-1])} {
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/v2/users/CRED", ""},
			{"GET", "/v2/users/alice/apps/CRED", ""},
			{"GET", "/v2/users/alice/keys/CRED", ""},
			{"DELETE", "/v2/users/alice/keys/CRED", ""},
			{"GET", "/v2/CRED/users", ""},
			{"GET", "/v2/users?after=CRED", ""},
			{"GET", "/v2/users?page=CRED", ""},
			{"POST", "/v2/users", `{"users":[{"id":"CRED"}]}`},
			{"POST", "/v2/users", `{"CRED":[]}`},
			{"POST", "/v2/users", `{"users":[{"CRED":1}]}`},
			{"POST", "/v2/users", `{"users":[{"CRED":1,"CRED":1}]}`},
			{"POST", "/v2/users", `CRED`},
			{"POST", "/v2/users", `"CRED"`},
			{"PATCH", "/v2/users", `{"users":[{"id":"CRED"}]}`},
			{"DELETE", "/v2/users", `{"ids":["CRED","CRED"]}`},
			{"POST", "/v2/users/alice/apps", `{"apps":[{"id":"CRED"}]}`},
			{"POST", "/v2/users/alice/apps", `{"apps":[{"user_id":"CRED"}]}`},
			{"POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["CRED"],"type":"personal_access_token"}]}`},
			{"POST", "/v2/users/alice/keys", `{"keys":[{"scopes":[],"endpoints":["CRED"],"type":"personal_access_token"}]}`},
			{"POST", "/v2/users/alice/keys", `{"keys":[{"scopes":[],"type":"CRED"}]}`},
			{"POST", "/v2/users/alice/keys", `{"keys":[{"scopes":[],"apps":[{"id":"CRED"}]}]}`},
			{"POST", "/v2/users/alice/keys", `{"keys":[{"scopes":[],"type":"personal_access_token","expires_at":"CRED"}]}`},
			{"PATCH", "/v2/users/alice/keys", `{"keys":[{"id":"x"}],"action":"CRED"}`},
			{"PATCH", "/v2/users/bob/keys", `{"keys":[{"id":"CRED"}]}`},
			{"DELETE", "/v2/users/bob/keys", `{"ids":["CRED"]}`},
			{"POST", "/v2/users/alice/keys/" + first.KeyID + "/rotate", `{"grace":"CRED"}`},
		} {
			put := func(text string) string { return strings.ReplaceAll(text, "CRED", credential) }
			a := s.call(c.method, put(c.path), put(c.body))
			if a.Status.Code == manage.CodeOK {
				t.Fatalf("%s %s %s went well", c.method, c.path, c.body)
			}
			if strings.Contains(a.body+fmt.Sprint(a.header), credential) {
				t.Errorf("%s %s %s answered %s", c.method, c.path, c.body, a.body)
			}
		}
	}
	if s.failures != nil {
		t.Errorf("the log was told %v", s.failures)
	}
}

// failingStore answers the first call, which a directory makes of itself, and
// fails from then on.
type failingStore struct {
	keys.Store
	err   error
	views atomic.Int64
}

func (*failingStore) Close() error           { return nil }
func (*failingStore) Feed(func(keys.Change)) {}

func (s *failingStore) View(context.Context, func(keys.Reader) error) error {
	if s.views.Add(1) == 1 {
		return nil
	}
	return s.fail()
}

func (s *failingStore) Update(context.Context, func(keys.Writer) error) (keys.Commit, error) {
	return keys.Commit{}, s.fail()
}

func (s *failingStore) Ready(context.Context) error                  { return s.fail() }
func (*failingStore) MaxWrites() int                                 { return keys.MinWrites }
func (s *failingStore) Spent(context.Context, []keys.Spending) error { return s.fail() }
func (s *failingStore) Used(context.Context, []keys.Use) error       { return s.fail() }

func (s *failingStore) fail() error {
	if s.err == nil {
		panic("the store panics")
	}
	return s.err
}

func TestStoreFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		code  manage.Code
		retry string
	}{
		{"unavailable", fmt.Errorf("reading: %w", keys.ErrUnavailable), manage.CodeUnavailable, "1"},
		{"closed", keys.ErrClosed, manage.CodeUnavailable, "1"},
		{"the client went away", context.Canceled, manage.CodeUnavailable, "1"},
		{"corrupt", fmt.Errorf("user x: %w", keys.ErrCorrupt), manage.CodeStore, ""},
		{"disk", errors.New("input/output error at /var/lib"), manage.CodeStore, ""},
		{"panic", nil, manage.CodeInternal, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serviceOver(t, &failingStore{err: c.err})
			calls := []refusal{
				{method: "GET", path: "/health"}, {method: "GET", path: "/v2/users"}, {method: "GET", path: "/v2/users/a"},
				{method: "GET", path: "/v2/users/a/apps"}, {method: "GET", path: "/v2/users/a/keys"},
				{method: "GET", path: "/v2/users/a/scopes"}, {method: "GET", path: "/v2/keys/k"}, {method: "GET", path: "/v2/keys/k/activity"},
				{method: "GET", path: "/v2/keys/k/limits"},
				{method: "POST", path: "/v2/users", body: `{"users":[{}]}`},
				{method: "POST", path: "/v2/users/a/apps", body: `{"apps":[{}]}`},
				{method: "DELETE", path: "/v2/keys", body: `{"ids":["k"]}`},
				{method: "PATCH", path: "/v2/keys", body: `{"keys":[{"id":"k"}]}`},
				{method: "POST", path: "/v2/keys/k/rotate"},
				{method: "POST", path: "/v2/keys/verify", body: `{"credential":"k"}`},
			}
			for _, r := range calls {
				a := s.call(r.method, r.path, r.body)
				if a.Status.Code != c.code || a.header.Get("Retry-After") != c.retry {
					t.Errorf("%s %s answered %v %s", r.method, r.path, a.header, a.body)
				}
				if strings.Contains(a.body, "/var/lib") || strings.Contains(a.body, "goroutine") {
					t.Errorf("%s %s tells of our insides: %s", r.method, r.path, a.body)
				}
			}
			if len(s.failures) != len(calls) {
				t.Errorf("the log was told of %d failures, there were %d", len(s.failures), len(calls))
			}
		})
	}
}

// Without a catalogue, as where a command opens the store itself, scopes are
// held to their form alone.
func TestWithoutCatalogue(t *testing.T) {
	s := newService(t)
	s.alice()
	s.api.Catalogue = nil
	s.key(`["Anything:Goes"]`, `null`)
	s.refuses(t, []refusal{
		{"form", "POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":["a b"]}]}`, manage.CodeInvalid, "keys[0].scopes", "letters"},
	})
	if a := s.must("GET", "/v2/users/alice/scopes", ""); a.Scopes == nil || len(a.Scopes) != 0 {
		t.Errorf("answered %s", a.body)
	}
}

func TestRequestID(t *testing.T) {
	s := newService(t)
	s.api.RequestID = func(r *http.Request) string { return "for " + r.URL.Path }
	if a := s.call("GET", "/v2/nothing", ""); a.Status.ReqID != "for /v2/nothing" {
		t.Errorf("answered %s", a.body)
	}
}

// FuzzBodies sends what it makes up to every call, as the operator and as
// callers on a site: whatever it is, it is the client's fault. Nothing of it
// makes a change that leaves the log of changes broken.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `{"users":[{"id":"x","name":"n","email":"e","suspended":false}]}`,
		`{"user":{"name":"n"},"action":"merge"}`, `{"apps":[{"id":"a","name":"n","user_id":"alice"}]}`, `{"app":{"name":"n"}}`,
		`{"keys":[{"description":"d","scopes":["All"],"endpoints":["/a.B/C"],"apps":[{"id":"photos"}],"expires_at":"2100-01-01T00:00:00Z"}]}`,
		`{"keys":[{"id":"cak_000000000000","scopes":["Predict"],"disabled":true,"expires_at":null}],"action":"remove"}`,
		`{"ids":["x"]}`, `{"grace":"1h"}`, `{"credential":"x"}`, `{"keys":[null]}`, `{"ids":null}`, `[{"a":1}]`, `{"keys":[{"scopes":[null]}]}`,
		`{"collaborators":[{"user":{"id":"bob"},"scopes":["Predict"],"endpoints":["/a.B/C"],"app":{"id":"photos"}}]}`,
		`{"collaborators":[{"id":"*","scopes":[],"version":1}],"action":"overwrite"}`, `{"collaborator_ids":["bob"]}`,
		`{"minted_by":"cap_000000000000","created_before":"2100-01-01T00:00:00Z","app_id":"photos","all":false}`, `{"all":true}`,
	} {
		f.Add(body)
	}
	s := newService(f)
	s.alice()
	s.must("POST", "/v2/users", `{"users":[{"id":"bob"}]}`)
	s.must("POST", shared, `{"collaborators":[{"user_id":"*","scopes":["Predict"]}]}`)
	// Each for the calls that any caller has, and the operator for its own.
	callers := map[string]manage.Caller{
		"session": s.signedIn("alice"), "PAT": s.with(s.pat(operator, "alice", `["Predict"]`, `,"endpoints":["/a.B/C"]`).ID),
		"collaborator": s.signedIn("bob"), "nobody": {},
	}
	operators := [][2]string{
		{"POST", "/v2/users"}, {"PATCH", "/v2/users"}, {"DELETE", "/v2/users"}, {"PATCH", "/v2/users/alice"}, {"GET", "/v2/users"},
		{"PATCH", "/v2/keys"}, {"DELETE", "/v2/keys"}, {"POST", "/v2/keys/cak_000000000000/rotate"}, {"POST", "/v2/keys/verify"},
		{"POST", "/routes/explain"}, {"POST", "/keys/import"}, {"GET", "/v2/audit"}, {"GET", "/v2/audit/verify"},
	}
	named := strings.NewReplacer("{user_id}", "alice", "{app_id}", "photos", "{key_id}", "cak_000000000000", "{status_code_id}", "10000")
	f.Fuzz(func(t *testing.T, body string) {
		s := &service{t: t, api: s.api}
		for _, c := range operators {
			if a := s.call(c[0], c[1], body); a.http >= 500 && a.Status.Code != manage.CodeUnavailable {
				t.Errorf("%s %s %q answered %s", c[0], c[1], body, a.body)
			}
		}
		for _, r := range manage.Routes() {
			for name, caller := range callers {
				if a := s.callAs(caller, r.Method, named.Replace(r.Pattern), body); a.http >= 500 {
					t.Errorf("%s, as %s, %q answered %s", r, name, body, a.body)
				}
			}
		}
		if v := s.must("GET", "/v2/audit/verify", "").Verification; !v.Whole {
			t.Fatalf("after %q the log of changes is broken: %s", body, v.Broken)
		}
	})
}
