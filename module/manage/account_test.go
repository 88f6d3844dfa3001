package manage_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/signin"
)

const nextPassword = "an even longer password"

func TestChangePassword(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one, other := s.session(), s.session()
		pat := s.as(one, "POST", "/v2/users/me/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`).Keys[0]
		change := func(body string) response { return s.callAs(one, "POST", "/v2/users/me/password", body) }
		for _, c := range []struct {
			name, body string
			code       manage.Code
			field      string
			says       string
		}{
			{"wrong", `{"current_password":"not hers","password":"a long password"}`, manage.CodeLoginFailed, "current_password", "not the user's"},
			{"none", `{"password":"a long password"}`, manage.CodeInvalid, "current_password", "missing"},
			{"no new one", fmt.Sprintf(`{"current_password":%q}`, password), manage.CodeInvalid, "password", "missing"},
			{"short", fmt.Sprintf(`{"current_password":%q,"password":"short"}`, password), manage.CodeInvalid, "password", "longer"},
			{"another field", fmt.Sprintf(`{"current_password":%q,"password":"a long password","user_id":"bob"}`, password), manage.CodeInvalid, "user_id", "no such field"},
		} {
			named(t, c.name, func() {
				refused(t, change(c.body), c.code, c.field, c.says)
			})
		}
		if !s.good(one) || !s.good(other) {
			t.Fatal("a change that was refused has ended sessions")
		}
		if a := change(fmt.Sprintf(`{"current_password":%q,"password":%q}`, password, nextPassword)); a.http != http.StatusOK {
			t.Fatalf("answered %s", a.body)
		}
		if !s.good(one) || s.good(other) {
			t.Errorf("the session of the change is good: %v, the other: %v", s.good(one), s.good(other))
		}
		if !s.good(s.holder(pat.ID)) {
			t.Error("the change has ended a key")
		}
		refused(t, s.signIn(home, "alice@example.com", password), manage.CodeLoginFailed, "", "wrong")
		if a := s.signIn(home, "alice@example.com", nextPassword); a.http != http.StatusOK {
			t.Errorf("with the new password answered %s", a.body)
		}
	})
}

// A session in the wrong hands is no way to guess the password.
func TestChangePasswordIsThrottled(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one := s.session()
		for i := range 10 {
			one.Address = fmt.Sprintf("203.0.113.%d", i)
			refused(t, s.callAs(one, "POST", "/v2/users/alice/password", `{"current_password":"a guess","password":"a long password"}`), manage.CodeLoginFailed, "current_password", "")
		}
		before := signin.Hashed()
		for path, body := range map[string]string{
			"password":                  fmt.Sprintf(`{"current_password":%q,"password":%q}`, password, nextPassword),
			"two_factor":                fmt.Sprintf(`{"password":%q}`, password),
			"two_factor/recovery_codes": fmt.Sprintf(`{"password":%q}`, password),
			"two_factor/enable":         `{"code":"000000"}`,
		} {
			a := s.callAs(one, "POST", "/v2/users/alice/"+path, body)
			refused(t, a, manage.CodeThrottled, "", "600 seconds")
		}
		if signin.Hashed() != before {
			t.Error("a password was hashed all the same")
		}
		// The user is not kept from signing in by it, nor from the account by
		// those who guess at the door.
		s.session()
		later(10 * time.Minute)
		for range 10 {
			refused(t, s.signIn(elsewhere, "alice@example.com", "a guess"), manage.CodeLoginFailed, "", "")
		}
		refused(t, s.signIn(elsewhere, "alice@example.com", "a guess"), manage.CodeThrottled, "", "")
		s.as(one, "POST", "/v2/users/alice/password", fmt.Sprintf(`{"current_password":%q,"password":%q}`, password, nextPassword))
	})
}

// The operator sets a password that was forgotten.
func TestOperatorSetsPassword(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one := s.session()
		s.must("PATCH", "/v2/users/alice", fmt.Sprintf(`{"password":%q}`, nextPassword))
		if s.good(one) {
			t.Error("the session of the old password goes on")
		}
		if a := s.signIn(home, "alice@example.com", nextPassword); a.http != http.StatusOK {
			t.Errorf("answered %s", a.body)
		}
		s.must("PATCH", "/v2/users/alice", `{"password":null}`)
		refused(t, s.signIn(home, "alice@example.com", nextPassword), manage.CodeLoginFailed, "", "no password")
	})
}

// A password change during the check of the old password wins.
func TestPasswordChangedDuringTheCheck(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one := s.session()
		s.as(one, "POST", "/v2/logout", "")
		for path, body := range map[string]string{
			"password":   fmt.Sprintf(`{"current_password":%q,"password":%q}`, password, nextPassword),
			"two_factor": fmt.Sprintf(`{"password":%q}`, password),
		} {
			refused(t, s.callAs(one, "POST", "/v2/users/alice/"+path, body), manage.CodeKeyUnknown, "", "revoked during the call")
		}
		s.session() // the password is the old one, and no second factor asked for
	})
}
