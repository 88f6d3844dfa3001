package manage_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// proof is the body of what asks for the password again; codes is none or one.
func proof(codes ...string) string {
	if len(codes) == 0 {
		return fmt.Sprintf(`{"password":%q}`, password)
	}
	return fmt.Sprintf(`{"password":%q,"code":%q}`, password, codes[0])
}

func code(codes string) string { return fmt.Sprintf(`,"code":%q`, codes) }

// device is what makes alice's one-time passwords: the next one each time, for
// it waits until there is one.
type device struct {
	t      *testing.T
	secret string
}

func (d *device) next() string {
	d.t.Helper()
	later(30 * time.Second)
	return d.now()
}

func (d *device) now() string {
	d.t.Helper()
	code, err := totp.GenerateCode(d.secret, time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	return code
}

// withSecondFactor gives alice one, and answers her device, her recovery codes,
// and the session that she did it with.
func (s *service) withSecondFactor(t *testing.T) (*device, []string, manage.Caller) {
	t.Helper()
	one := s.session()
	made := s.as(one, "POST", "/v2/users/alice/two_factor", proof()).TwoFactor
	d := &device{t, made.Secret}
	s.as(one, "POST", "/v2/users/alice/two_factor/enable", fmt.Sprintf(`{"code":%q}`, d.now()))
	return d, made.RecoveryCodes, one
}

func TestTwoFactor(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one, other := s.session(), s.session()
		refused(t, s.callAs(one, "POST", "/v2/users/me/two_factor", `{"password":"not hers"}`), manage.CodeLoginFailed, "password", "not the user's")
		refused(t, s.callAs(one, "POST", "/v2/users/me/two_factor", `{}`), manage.CodeInvalid, "password", "missing")
		refused(t, s.callAs(one, "POST", "/v2/users/me/two_factor/enable", `{"code":"123456"}`), manage.CodeNotFound, "", "make one first")
		refused(t, s.callAs(one, "POST", "/v2/users/me/two_factor/recovery_codes", proof()), manage.CodeNotFound, "", "not on")
		refused(t, s.callAs(one, "DELETE", "/v2/users/me/two_factor", proof()), manage.CodeNotFound, "", "no second factor")

		made := s.as(one, "POST", "/v2/users/me/two_factor", proof()).TwoFactor
		if made.Enabled || made.Secret == "" || len(made.RecoveryCodes) != 10 ||
			!strings.HasPrefix(made.OTPAuthURI, "otpauth://totp/example.com:Alice@example.com?") || !strings.Contains(made.OTPAuthURI, "secret="+made.Secret) {
			t.Fatalf("made %+v", made)
		}
		// Until it is on, nothing asks for it, and nothing takes its codes.
		s.session()
		if !s.good(other) {
			t.Error("a second factor that waits has ended sessions")
		}
		if u := s.as(one, "GET", "/v2/users/me", "").User; u.TwoFactor {
			t.Error("it is shown as on")
		}
		d := &device{t, s.as(one, "POST", "/v2/users/me/two_factor", proof()).TwoFactor.Secret} // another in its place
		stale, err := totp.GenerateCode(made.Secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		enable := func(code string) response {
			return s.callAs(one, "POST", "/v2/users/me/two_factor/enable", fmt.Sprintf(`{"code":%q}`, code))
		}
		for _, wrong := range []string{stale, made.RecoveryCodes[0], "12345", "none"} {
			refused(t, enable(wrong), manage.CodeLoginFailed, "code", "wrong")
		}
		first := d.now()
		if a := enable(first); a.http != http.StatusOK || !a.TwoFactor.Enabled || a.TwoFactor.Secret != "" || a.TwoFactor.RecoveryCodes != nil {
			t.Fatalf("answered %s", a.body)
		}
		if !s.good(one) || s.good(other) {
			t.Errorf("the session that turned it on is good: %v, the other: %v", s.good(one), s.good(other))
		}
		if u := s.as(one, "GET", "/v2/users/me", "").User; !u.TwoFactor {
			t.Error("it is not shown as on")
		}
		refused(t, enable(d.next()), manage.CodeExists, "", "on already")
		refused(t, s.callAs(one, "POST", "/v2/users/me/two_factor", proof(d.now())), manage.CodeExists, "", "turn it off first")

		// Now it is asked for, after the password.
		a := s.signIn(home, "alice@example.com", password)
		refused(t, a, manage.CodeLoginFailed, "code", "second factor")
		if a.http != http.StatusUnauthorized || a.SessionToken != "" {
			t.Errorf("answered %s", a.body)
		}
		refused(t, s.signIn(home, "alice@example.com", "not hers", code(d.now())), manage.CodeLoginFailed, "", "wrong")
		refused(t, s.signIn(home, "alice@example.com", password, code(first)), manage.CodeLoginFailed, "code", "used already")
		next := d.now()
		s.session(code(next))
		refused(t, s.signIn(home, "alice@example.com", password, code(next)), manage.CodeLoginFailed, "code", "used already")
		s.session(code(d.next()))

		// Off again, which takes both.
		refused(t, s.callAs(one, "DELETE", "/v2/users/me/two_factor", proof()), manage.CodeLoginFailed, "code", "second factor")
		refused(t, s.callAs(one, "DELETE", "/v2/users/me/two_factor", proof("000000")), manage.CodeLoginFailed, "code", "wrong")
		third := s.session(code(d.next()))
		if a := s.as(one, "DELETE", "/v2/users/me/two_factor", proof(d.next())); a.TwoFactor == nil || a.TwoFactor.Enabled {
			t.Errorf("answered %s", a.body)
		}
		if !s.good(one) || s.good(third) {
			t.Errorf("the session that turned it off is good: %v, another: %v", s.good(one), s.good(third))
		}
		s.session()
	})
}

func TestRecoveryCodes(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		d, codes, one := s.withSecondFactor(t)
		s.session(code(codes[0]))
		refused(t, s.signIn(home, "alice@example.com", password, code(codes[0])), manage.CodeLoginFailed, "code", "used already")
		s.session(code(strings.ToUpper(strings.ReplaceAll(codes[1], "-", ""))))
		refused(t, s.callAs(one, "POST", "/v2/users/alice/two_factor/recovery_codes", proof()), manage.CodeLoginFailed, "code", "second factor")
		made := s.as(one, "POST", "/v2/users/alice/two_factor/recovery_codes", proof(d.next()))
		if len(made.TwoFactor.RecoveryCodes) != 10 || made.TwoFactor.Secret != "" || !made.TwoFactor.Enabled {
			t.Errorf("answered %s", made.body)
		}
		refused(t, s.signIn(home, "alice@example.com", password, code(codes[2])), manage.CodeLoginFailed, "code", "wrong")
		again := made.TwoFactor.RecoveryCodes
		s.session(code(again[0]))
		// One stands in for the device wherever a code is asked for.
		s.as(one, "POST", "/v2/users/alice/password", fmt.Sprintf(`{"current_password":%q,"password":%q,"code":%q}`, password, nextPassword, again[1]))
		s.as(one, "DELETE", "/v2/users/alice/two_factor", fmt.Sprintf(`{"password":%q,"code":%q}`, nextPassword, again[2]))
	})
}

func TestPasswordWithSecondFactor(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		d, _, one := s.withSecondFactor(t)
		change := func(extra string) response {
			return s.callAs(one, "POST", "/v2/users/alice/password", fmt.Sprintf(`{"current_password":%q,"password":%q%s}`, password, nextPassword, extra))
		}
		refused(t, change(""), manage.CodeLoginFailed, "code", "second factor")
		refused(t, change(code("000000")), manage.CodeLoginFailed, "code", "wrong")
		// A refused code is not used up.
		next := d.next()
		refused(t, s.callAs(one, "POST", "/v2/users/alice/password", fmt.Sprintf(`{"current_password":%q,"password":"short","code":%q}`, password, next)), manage.CodeInvalid, "password", "longer")
		if a := change(code(next)); a.http != http.StatusOK {
			t.Errorf("answered %s", a.body)
		}
	})
}

func TestCodesAreThrottled(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		d, codes, _ := s.withSecondFactor(t)
		// An attacker with the password guesses codes. A right password alone
		// clears no failure.
		for range 10 {
			refused(t, s.signIn(elsewhere, "alice@example.com", password), manage.CodeLoginFailed, "code", "second factor")
			refused(t, s.signIn(elsewhere, "alice@example.com", password, code("000000")), manage.CodeLoginFailed, "code", "wrong")
			later(10 * time.Minute)
		}
		a := s.signIn(elsewhere, "alice@example.com", password, code(d.next()))
		refused(t, a, manage.CodeThrottled, "", "seconds")
		refused(t, s.signIn(elsewhere, "alice@example.com", password, code(codes[0])), manage.CodeThrottled, "", "seconds")
		s.session(code(d.next())) // from where she always did
		later(6 * time.Hour)
		if a := s.signIn(elsewhere, "alice@example.com", password, code(d.next())); a.http != http.StatusOK {
			t.Errorf("six hours later answered %s", a.body)
		}
	})
}

func TestEnableIsThrottled(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		one := s.session()
		d := &device{t, s.as(one, "POST", "/v2/users/alice/two_factor", proof()).TwoFactor.Secret}
		enable := func(code string) response {
			return s.callAs(one, "POST", "/v2/users/alice/two_factor/enable", fmt.Sprintf(`{"code":%q}`, code))
		}
		for range 10 {
			refused(t, enable("00000"), manage.CodeLoginFailed, "code", "wrong")
		}
		later(10 * time.Minute)
		refused(t, enable(d.now()), manage.CodeThrottled, "", "seconds")
		later(6 * time.Hour)
		if a := enable(d.now()); a.http != http.StatusOK {
			t.Errorf("answered %s", a.body)
		}
	})
}

// One code at once: of those who send it, one gets in.
func TestOneCodeAtOnce(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		d, codes, _ := s.withSecondFactor(t)
		for _, c := range []struct{ name, code string }{{"recovery code", codes[0]}, {"one-time password", ""}} {
			once := c.code
			if once == "" {
				once = d.next()
			}
			var wg sync.WaitGroup
			in := make(chan string, 50)
			for range 9 {
				wg.Go(func() {
					if a := s.signIn(home, "alice@example.com", password, code(once)); a.http == http.StatusOK {
						in <- a.SessionToken
					}
				})
			}
			wg.Wait()
			if len(in) != 1 {
				t.Errorf("%d got in with one %s", len(in), c.name)
			}
			later(48 * time.Hour)
		}
	})
}

// A device is lost: the operator takes the second factor away.
func TestOperatorTakesSecondFactorAway(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		_, _, one := s.withSecondFactor(t)
		refused(t, s.call("DELETE", "/v2/users/alice/two_factor", proof()), manage.CodeInvalid, "password", "takes none")
		refused(t, s.call("DELETE", "/v2/users/nobody/two_factor", ""), manage.CodeNotFound, "user_id", "no such user")
		s.must("DELETE", "/v2/users/alice/two_factor", "")
		if s.good(one) {
			t.Error("a session goes on")
		}
		s.session()
		refused(t, s.call("DELETE", "/v2/users/alice/two_factor", ""), manage.CodeNotFound, "", "no second factor")
		err := s.api.Directory.View(t.Context(), func(r keys.Reader) error {
			u, err := r.User("alice")
			if u.TwoFactor.Secret != "" || u.TwoFactor.RecoveryCodes != nil {
				t.Errorf("of it stays %+v", u.TwoFactor)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
