package manage_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

const (
	home      = "192.0.2.1" // where alice signs in from
	elsewhere = "203.0.113.7"
	password  = "correct horse battery staple"
)

// later lets the time of a synctest bubble pass.
func later(d time.Duration) { <-time.After(d) }

// withAccounts is a service with users who can sign in, and others who can't,
// run on a clock that only passes where nothing else happens.
func withAccounts(t *testing.T, test func(*testing.T, *service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.must("POST", "/v2/users", fmt.Sprintf(`{"users":[
			{"id":"alice","email":"Alice@example.com","password":%q},
			{"id":"bob","email":"bob@example.com","password":"bob's own password"},
			{"id":"sue","email":"sue@example.com","password":%q,"suspended":true},
			{"id":"nopass","email":"nopass@example.com"},
			{"id":"nomail","password":%q}]}`, password, password, password))
		test(t, s)
	})
}

// named is t.Run, which there is none of in a synctest bubble.
func named(t *testing.T, name string, test func()) {
	t.Helper()
	failed := t.Failed()
	test()
	if t.Failed() && !failed {
		t.Logf("that was: %s", name)
	}
}

// signIn calls login; extra are further fields, as ,"code":"123456".
func (s *service) signIn(address, email, password string, extra ...string) response {
	s.t.Helper()
	return s.callAs(manage.Caller{Address: address}, "POST", "/v2/login",
		fmt.Sprintf(`{"email":%q,"password":%q%s}`, email, password, strings.Join(extra, "")))
}

// cheapPassword gives alice's password a hash that takes less time, for tests
// that sign in often.
func (s *service) cheapPassword() {
	s.t.Helper()
	salt, text := []byte("sixteen bytes of"), base64.RawStdEncoding
	key := argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)
	err := s.api.Directory.Update(s.t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error {
			u.PasswordHash = "$argon2id$v=19$m=64,t=1,p=1$" + text.EncodeToString(salt) + "$" + text.EncodeToString(key)
			return nil
		})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// session signs alice in, and answers whom her session makes the caller.
func (s *service) session(extra ...string) manage.Caller {
	s.t.Helper()
	a := s.signIn(home, "alice@example.com", password, extra...)
	if a.http != http.StatusOK {
		s.t.Fatalf("alice can't sign in: %s", a.body)
	}
	return s.holder(a.SessionToken)
}

// holder is who a credential makes the caller, as a site finds out.
func (s *service) holder(text string) manage.Caller {
	s.t.Helper()
	digest := credential.DigestOf(text)
	e, err := s.api.Directory.Find(s.t.Context(), digest)
	if err != nil || s.api.Directory.Standing(e) != keys.Active {
		s.t.Fatalf("a credential that was just made is no good: %v", err)
	}
	return manage.Caller{Caller: *e.Caller(), Digest: digest, Address: home}
}

// good reports whether the gate would let the caller in.
func (s *service) good(c manage.Caller) bool {
	s.t.Helper()
	e, err := s.api.Directory.Find(s.t.Context(), c.Digest)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.api.Directory.Standing(e) == keys.Active
}

// as calls as a user, who has to succeed.
func (s *service) as(c manage.Caller, method, path, body string) response {
	s.t.Helper()
	a := s.callAs(c, method, path, body)
	if a.http != http.StatusOK || a.Status.Code != manage.CodeOK {
		s.t.Fatalf("%s %s %s answered %d %s", method, path, body, a.http, a.body)
	}
	return a
}

// refused checks how a call was refused.
func refused(t *testing.T, a response, code manage.Code, field, says string) {
	t.Helper()
	if a.Status.Code != code || a.Status.Field != field || !strings.Contains(a.Status.Details, says) {
		t.Errorf("answered %s\nwant code %d for field %q that says %q", a.body, code, field, says)
	}
}

// withoutID is an answer less what is different in each.
func (a response) withoutID() string {
	a.header.Del("Date")
	return fmt.Sprint(a.http, a.header, strings.ReplaceAll(a.body, a.Status.ReqID, ""))
}

func TestLogin(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		a := s.signIn(home, "alice@EXAMPLE.com", password)
		if a.http != http.StatusOK || a.UserID != "alice" || credential.FormOf(a.SessionToken) != credential.Genuine || !strings.HasPrefix(a.SessionToken, "cas_") {
			t.Fatalf("answered %s", a.body)
		}
		if want := time.Now().Add(24 * time.Hour); a.ExpiresAt == nil || !a.ExpiresAt.Equal(want) {
			t.Errorf("expires at %v, want %v", a.ExpiresAt, want)
		}
		for _, field := range []string{`"v2_user_id":"alice"`, `"session_token":"cas_`, `"expires_at":"20`} {
			if !strings.Contains(a.body, field) {
				t.Errorf("%s lacks %s", a.body, field)
			}
		}
		c := s.holder(a.SessionToken)
		if c.UserID != "alice" || c.Kind != policy.Session {
			t.Errorf("the session makes one %+v", c)
		}
		again := s.signIn(home, "alice@example.com", password)
		if again.SessionToken == a.SessionToken {
			t.Error("two sessions are one")
		}
		entries := 0
		err := s.api.Directory.View(t.Context(), func(r keys.Reader) error {
			for e, err := range r.AuditEntries("alice", 0) {
				if err != nil {
					return err
				}
				if e.Action == keys.ActionSessionCreate {
					entries++
					if e.ActorUserID != "alice" || e.Address != home || e.KeyID == "" {
						t.Errorf("the audit log has %+v", e)
					}
				}
			}
			return nil
		})
		if err != nil || entries != 2 {
			t.Errorf("the audit log has %d sessions, %v", entries, err)
		}
	})
}

// Whether there is an account shows neither in the answer nor in the work.
func TestLoginDoesntTellWhoIsThere(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		var first string
		for _, c := range []struct{ name, email, password string }{
			{"wrong password", "alice@example.com", "not her password"},
			{"another's password", "alice@example.com", "bob's own password"},
			{"no such user", "zoe@example.com", password},
			{"no e-mail address", "alice", password},
			{"no password", "nopass@example.com", password},
			{"suspended, wrong password", "sue@example.com", "not her password"},
			{"a password that can't be one", "alice@example.com", "x"},
			{"no such user, a password that can't be one", "zoe@example.com", "x"},
			{"very long address", strings.Repeat("a", 5000) + "@example.com", password},
		} {
			named(t, c.name, func() {
				before := signin.Hashed()
				a := s.signIn(elsewhere, c.email, c.password)
				refused(t, a, manage.CodeLoginFailed, "", "is wrong")
				if a.http != http.StatusUnauthorized {
					t.Errorf("answered %d", a.http)
				}
				if first == "" {
					first = a.withoutID()
				}
				if got := a.withoutID(); got != first {
					t.Errorf("answered %s\nand another %s", got, first)
				}
				if n := signin.Hashed() - before; n != 1 {
					t.Errorf("hashed %d times", n)
				}
			})
		}
		if len(s.failures) > 0 {
			t.Errorf("the log was told of %v", s.failures)
		}
	})
}

func TestLoginOfTheSuspended(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		a := s.signIn(home, "sue@example.com", password)
		refused(t, a, manage.CodeKeyInvalid, "", "suspended")
		if a.SessionToken != "" {
			t.Errorf("answered %s", a.body)
		}
		s.must("PATCH", "/v2/users/sue", `{"suspended":false}`)
		if a := s.signIn(home, "sue@example.com", password); a.http != http.StatusOK {
			t.Errorf("afterwards answered %s", a.body)
		}
	})
}

func TestLoginBodies(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		before := signin.Hashed()
		for _, c := range []struct {
			name, body string
			code       manage.Code
			field      string
		}{
			{"empty", "", manage.CodeBadFormat, ""},
			{"form", "email=alice@example.com&password=x", manage.CodeBadFormat, ""},
			{"no e-mail", `{"password":"x"}`, manage.CodeInvalid, "email"},
			{"no password", `{"email":"alice@example.com"}`, manage.CodeInvalid, "password"},
			{"null password", `{"email":"alice@example.com","password":null}`, manage.CodeInvalid, "password"},
			{"empty password", `{"email":"alice@example.com","password":""}`, manage.CodeInvalid, "password"},
			{"number", `{"email":"alice@example.com","password":12345678}`, manage.CodeInvalid, "password"},
			{"two passwords", `{"email":"alice@example.com","password":"x","password":"y"}`, manage.CodeBadFormat, "password"},
			{"another field", `{"email":"alice@example.com","password":"x","user":"bob"}`, manage.CodeInvalid, "user"},
			{"number as code", `{"email":"alice@example.com","password":"x","code":123456}`, manage.CodeInvalid, "code"},
			{"more than anyone has to say", `{"email":"alice@example.com","password":"` + strings.Repeat("x", 16<<10) + `"}`, manage.CodeTooLarge, ""},
		} {
			named(t, c.name, func() {
				a := s.callAs(manage.Caller{Address: home}, "POST", "/v2/login", c.body)
				refused(t, a, c.code, c.field, "")
			})
		}
		if signin.Hashed() != before {
			t.Error("a password was hashed")
		}
	})
}

func TestLoginIsThrottled(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		answers := map[string]string{}
		for _, email := range []string{"alice@example.com", "zoe@example.com", "nopass@example.com"} {
			for range 10 {
				refused(t, s.signIn(elsewhere, email, "a guess"), manage.CodeLoginFailed, "", "wrong")
			}
			before := signin.Hashed()
			a := s.signIn("198.51.100.9", strings.ToUpper(email), password) // the right one, too
			refused(t, a, manage.CodeThrottled, "", "600 seconds")
			if a.http != http.StatusTooManyRequests || a.header.Get("Retry-After") != "600" || a.SessionToken != "" {
				t.Errorf("answered %d %v %s", a.http, a.header, a.body)
			}
			if signin.Hashed() != before {
				t.Error("a password was hashed all the same")
			}
			answers[a.withoutID()] = email
		}
		if len(answers) != 1 {
			t.Errorf("whether there is an account shows in %q", answers)
		}
		// Now by address: 30 have failed from there.
		for i := range 20 {
			refused(t, s.signIn(elsewhere, fmt.Sprintf("user%d@example.com", i), "a guess"), manage.CodeLoginFailed, "", "wrong")
		}
		a := s.signIn(elsewhere, "bob@example.com", "bob's own password")
		refused(t, a, manage.CodeThrottled, "", "60 seconds")
		if a := s.signIn(home, "bob@example.com", "bob's own password"); a.http != http.StatusOK {
			t.Errorf("from elsewhere answered %s", a.body)
		}
		later(10 * time.Minute)
		if a := s.signIn(home, "alice@example.com", password); a.http != http.StatusOK {
			t.Errorf("ten minutes later answered %s", a.body)
		}
	})
}

func TestLoginThrottleCountsFailuresAlone(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		s.cheapPassword()
		for range 60 {
			s.session()
			later(30 * time.Second)
		}
		for range 3 {
			for range 9 {
				refused(t, s.signIn(home, "alice@example.com", "mistyped"), manage.CodeLoginFailed, "", "wrong")
			}
			s.session() // which forgets them
		}
		// Of the suspended, the password was right.
		for range 20 {
			refused(t, s.signIn(home, "sue@example.com", password), manage.CodeKeyInvalid, "", "suspended")
		}
		// Nor do bodies count that can't be read.
		for range 60 {
			s.callAs(manage.Caller{Address: home}, "POST", "/v2/login", `{"email":"alice@example.com"}`)
		}
		s.session()
	})
}

func TestLoginsInParallel(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		var wg sync.WaitGroup
		answered := make(chan manage.Code, 30)
		before := signin.Hashed()
		for i := range 30 {
			wg.Go(func() {
				answered <- s.signIn(fmt.Sprintf("203.0.113.%d", i), "alice@example.com", fmt.Sprint("guess number ", i)).Status.Code
			})
		}
		wg.Wait()
		close(answered)
		counts := map[manage.Code]int{}
		for code := range answered {
			counts[code]++
		}
		if n := signin.Hashed() - before; n != 10 || counts[manage.CodeLoginFailed] != 10 || counts[manage.CodeThrottled] != 20 {
			t.Errorf("of 30 guesses at once %d were tried: %v", n, counts)
		}
	})
}

// One account that signs in on every connection it can get keeps nobody else
// out.
func TestOneAccountShutsNobodyOut(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		ctx, stop := context.WithCancel(t.Context())
		var attackers sync.WaitGroup
		for range 49 {
			attackers.Go(func() {
				for ctx.Err() == nil {
					a := s.signIn(home, "alice@example.com", password)
					if a.Status.Code == manage.CodeThrottled {
						return
					}
				}
			})
		}
		for range 5 {
			if a := s.signIn(elsewhere, "bob@example.com", "bob's own password"); a.http != http.StatusOK {
				t.Errorf("bob can't sign in: %d %s", a.http, a.body)
			}
		}
		stop()
		attackers.Wait()
	})
}

// A store that fails is nobody's failed login.
func TestLoginWithABrokenStore(t *testing.T) {
	s := serviceOver(t, &failingStore{err: fmt.Errorf("reading: %w", keys.ErrUnavailable)})
	for range 60 {
		a := s.signIn(home, "alice@example.com", password)
		refused(t, a, manage.CodeUnavailable, "", "try again")
	}
}

// Secrets that are shown once are stored nowhere.
func TestSecretsAreNotStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	store, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := serviceOver(t, store)
	s.must("POST", "/v2/users", fmt.Sprintf(`{"users":[{"id":"alice","email":"alice@example.com","password":%q}]}`, password))
	token := s.signIn(home, "alice@example.com", password).SessionToken
	codes := s.as(s.holder(token), "POST", "/v2/users/alice/two_factor", fmt.Sprintf(`{"password":%q}`, password)).TwoFactor.RecoveryCodes
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, token, token[16:], codes[0], strings.ReplaceAll(codes[0], "-", ""), strings.ToUpper(strings.ReplaceAll(codes[0], "-", ""))} {
		if secret == "" || bytes.Contains(file, []byte(secret)) {
			t.Errorf("the store has %q", secret)
		}
	}
	if !bytes.Contains(file, []byte("alice@example.com")) {
		t.Error("the store has nothing that could be found")
	}
}

func TestLogout(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one, other := s.session(), s.session()
		refused(t, s.callAs(one, "POST", "/v2/logout", `{"all":true}`), manage.CodeInvalid, "all", "takes none")
		s.as(one, "POST", "/v2/logout", "")
		if s.good(one) || !s.good(other) {
			t.Errorf("after the logout of one, it is good: %v, the other: %v", s.good(one), s.good(other))
		}
		refused(t, s.callAs(one, "POST", "/v2/logout", "{}"), manage.CodeKeyUnknown, "", "revoked")
	})
}

func TestOperatorNeedsNoSession(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		for _, call := range []string{
			"/v2/login", "/v2/logout", "/v2/users/alice/password",
			"/v2/users/alice/two_factor", "/v2/users/alice/two_factor/enable", "/v2/users/alice/two_factor/recovery_codes",
		} {
			refused(t, s.call("POST", call, "{}"), manage.CodeInvalid, "", "operator")
		}
	})
}
