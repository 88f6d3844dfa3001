package manage_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// use uses a session, as the gate notes it.
func (s *service) use(c manage.Caller, address string) {
	s.t.Helper()
	e, err := s.api.Directory.Find(s.t.Context(), c.Digest)
	if err != nil {
		s.t.Fatal(err)
	}
	s.api.Directory.Used(e, address)
}

func TestSessions(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		began := time.Now()
		one := s.session()
		later(2 * time.Minute)
		other := s.session()
		s.as(one, "POST", "/v2/users/me/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`)
		later(30 * time.Minute)
		s.use(one, elsewhere)
		list := s.as(one, "GET", "/v2/users/me/sessions", "").Sessions
		if len(list) != 2 {
			t.Fatalf("listed %+v", list)
		}
		first, second := list[0], list[1]
		if first.ID != one.KeyID || !first.Current || first.From != home || !first.CreatedAt.Equal(began) || !first.ExpiresAt.Equal(began.Add(24*time.Hour)) ||
			first.LastUsedAt == nil || !first.LastUsedAt.Equal(began.Add(32*time.Minute)) || first.LastUsedFrom != elsewhere ||
			!first.IdleUntil.Equal(began.Add(92*time.Minute)) || first.UserID != "alice" {
			t.Errorf("the first is %+v", first)
		}
		if second.ID != other.KeyID || second.Current || second.LastUsedAt != nil || !second.IdleUntil.Equal(began.Add(62*time.Minute)) {
			t.Errorf("the second is %+v", second)
		}
		if byOperator := s.must("GET", "/v2/users/alice/sessions", "").Sessions; len(byOperator) != 2 || byOperator[0].Current {
			t.Errorf("the operator sees %+v", byOperator)
		}
		if none := s.must("GET", "/v2/users/bob/sessions", "").Sessions; none == nil || len(none) != 0 {
			t.Errorf("bob has %+v", none)
		}
		page := s.as(one, "GET", "/v2/users/me/sessions?per_page=1", "")
		if len(page.Sessions) != 1 || page.Next == "" {
			t.Errorf("a page is %s", page.body)
		}
		if rest := s.as(one, "GET", "/v2/users/me/sessions?after="+page.Next, "").Sessions; len(rest) != 1 || rest[0].ID != other.KeyID {
			t.Errorf("the next is %+v", rest)
		}
		later(30 * time.Minute)
		if list := s.as(one, "GET", "/v2/users/me/sessions", "").Sessions; len(list) != 1 || list[0].ID != one.KeyID {
			t.Errorf("one that was idle for an hour is listed: %+v", list)
		}
	})
}

func TestSessionsExpire(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		idle, busy := s.session(), s.session()
		for range 47 { // half hours
			later(30 * time.Minute)
			s.use(busy, home)
			if !s.good(busy) {
				t.Fatal("a session ends that is used")
			}
		}
		if s.good(idle) {
			t.Error("a session goes on that is not used")
		}
		later(29 * time.Minute)
		if !s.good(busy) {
			t.Error("a session ends before its day is over")
		}
		later(time.Minute)
		if s.good(busy) {
			t.Error("a session lives longer than a day")
		}
		refused(t, s.callAs(busy, "POST", "/v2/logout", ""), manage.CodeKeyInvalid, "", "no longer valid")
		// The next login takes both out of the store.
		now := s.session()
		err := s.api.Directory.View(t.Context(), func(r keys.Reader) error {
			for c, err := range r.Credentials("alice", 0) {
				if err != nil {
					return err
				}
				if c.ID != now.KeyID {
					t.Errorf("session %s is still stored", c.ID)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestSessionsAreAHundred(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		s.cheapPassword()
		var all []manage.Caller
		for range 102 {
			all = append(all, s.session())
			later(30 * time.Second)
		}
		for i, c := range all {
			if want := i >= 2; s.good(c) != want {
				t.Errorf("session %d is good: %v", i, !want)
			}
		}
	})
}

func TestEndSessions(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one, two, three, four := s.session(), s.session(), s.session(), s.session()
		bob := s.holder(s.signIn(home, "bob@example.com", "bob's own password").SessionToken)
		key := s.as(one, "POST", "/v2/users/me/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`).Keys[0]
		end := func(body string) response { return s.callAs(one, "DELETE", "/v2/users/me/sessions", body) }
		for _, c := range []struct {
			name, body string
			field      string
			says       string
		}{
			{"bob's", fmt.Sprintf(`{"ids":[%q,%q]}`, two.KeyID, bob.KeyID), "ids[1]", "no such session"},
			{"a key", fmt.Sprintf(`{"ids":[%q,%q]}`, two.KeyID, key.KeyID), "ids[1]", "no such session"},
			{"none", fmt.Sprintf(`{"ids":[%q,"cas_000000000000"]}`, two.KeyID), "ids[1]", "no such session"},
			{"twice", fmt.Sprintf(`{"ids":[%q,%q]}`, two.KeyID, two.KeyID), "ids[1]", "twice"},
			{"empty list", `{"ids":[]}`, "ids", "at least one"},
			{"null", `{"ids":null}`, "ids", "at least one"},
			{"another field", `{"id":"x"}`, "id", "no such field"},
		} {
			named(t, c.name, func() {
				a := end(c.body)
				code := manage.CodeInvalid
				if c.says == "no such session" {
					code = manage.CodeNotFound
				}
				refused(t, a, code, c.field, c.says)
			})
		}
		for _, c := range []manage.Caller{one, two, three, four, bob} {
			if !s.good(c) {
				t.Fatalf("what was refused has ended %s", c.KeyID)
			}
		}
		if a := end(fmt.Sprintf(`{"ids":[%q]}`, two.KeyID)); fmt.Sprint(a.SessionIDs) != "["+two.KeyID+"]" || s.good(two) || !s.good(three) {
			t.Errorf("answered %s", a.body)
		}
		if a := end(""); len(a.SessionIDs) != 2 || s.good(three) || s.good(four) || !s.good(one) || !s.good(bob) {
			t.Errorf("answered %s", a.body)
		}
		if a := end("{}"); a.SessionIDs == nil || len(a.SessionIDs) != 0 || a.http != 200 {
			t.Errorf("with no other answered %s", a.body)
		}
		if !s.good(s.holder(key.ID)) {
			t.Error("a key ended with the sessions")
		}
		s.must("DELETE", "/v2/users/alice/sessions", "")
		if s.good(one) {
			t.Error("the operator ends all, and one goes on")
		}
		refused(t, s.call("DELETE", "/v2/users/nobody/sessions", ""), manage.CodeNotFound, "user_id", "no such user")
	})
}

// A session keeps the program that signed in, bounded and without characters that
// would change a terminal or a page.
func TestSessionsShowTheirProgram(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		signIn := func(userAgent string) manage.Caller {
			r := httptest.NewRequest("POST", "/v2/login", strings.NewReader(fmt.Sprintf(`{"email":"alice@example.com","password":%q}`, password)))
			r.Header.Set("User-Agent", userAgent)
			w := httptest.NewRecorder()
			s.api.Serve(w, r, manage.Caller{Address: home})
			var a manage.Answer
			if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.SessionToken == "" {
				t.Fatalf("%v: %s", err, w.Body)
			}
			return s.holder(a.SessionToken)
		}
		signIn("Firefox/1 \x1b[31m\u202eevil\x7f")
		signIn(strings.Repeat("é", 200))
		caller := signIn("")
		a := s.callAs(caller, "GET", "/v2/users/me/sessions", "")
		var got []string
		for _, session := range a.Sessions {
			got = append(got, session.UserAgent)
			if session.Address != home || session.From != home {
				t.Errorf("the addresses are %q and %q", session.Address, session.From)
			}
		}
		want := []string{"Firefox/1 [31mevil", strings.Repeat("é", 128), ""}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
