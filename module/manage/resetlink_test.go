package manage_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// resetLink makes a link for alice.
func (s *service) resetLink() *manage.ResetLink {
	s.t.Helper()
	return s.must("POST", "/v2/users/alice/reset_link", "").ResetLink
}

func (s *service) reset(code, password string) manage.Answer {
	s.t.Helper()
	return s.step("/reset", fmt.Sprintf(`{"code":%q,"password":%q}`, code, password))
}

// A link sets the password once, and ends the sessions. The second factor stays.
func TestResetLink(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		factor, _, codes, err := signin.NewTwoFactor("test", "alice")
		if err != nil {
			t.Fatal(err)
		}
		caller := s.session()
		factor.Enabled = true
		err = s.api.Directory.Update(t.Context(), keys.Actor{ID: caller.KeyID, UserID: "alice"}, func(tx *keys.Tx) error {
			_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.TwoFactor = factor; return nil })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.api.Portal = "https://keys.example.com/portal"
		replaced, link := s.resetLink(), s.resetLink()
		if link.URL != "https://keys.example.com/portal/reset#"+link.Code || link.Path != "/reset#"+link.Code {
			t.Errorf("the link is %+v", link)
		}
		if a := s.must("POST", "/v2/users/alice/reset_link", `{"portal":"http://localhost:8080/p/"}`).ResetLink; !strings.HasPrefix(a.URL, "http://localhost:8080/p/reset#alice.") {
			t.Errorf("with an address of the caller it is %+v", a)
		} else {
			replaced, link = link, a
		}
		for _, code := range []string{replaced.Code, "", "alice.", "alice", link.Code[:len(link.Code)-1], "nobody." + link.Code, "../" + link.Code} {
			if a := s.reset(code, nextPassword); a.Status.Code == manage.CodeOK {
				t.Errorf("%q set the password", code)
			}
		}
		if a := s.reset(link.Code, "Summer2024!"); a.Status.Field != "password" {
			t.Errorf("a common password: %+v", a.Status)
		}
		if a := s.reset(" "+link.Code+"\n", nextPassword); a.Status.Code != manage.CodeOK {
			t.Fatalf("the link: %+v", a.Status)
		}
		if a := s.callAs(caller, "GET", "/v2/users/alice/sessions", ""); len(a.Sessions) != 0 {
			t.Errorf("the sessions are %+v", a.Sessions)
		}
		if a := s.signIn(home, "alice@example.com", nextPassword); a.Status.Field != "code" {
			t.Errorf("signing in without a code: %s", a.body)
		}
		if a := s.signIn(home, "alice@example.com", nextPassword, fmt.Sprintf(`,"code":%q`, codes[0])); a.http != http.StatusOK {
			t.Errorf("signing in: %s", a.body)
		}
		if a := s.reset(link.Code, "yet another sentence"); a.Status.Details != s.reset(replaced.Code, nextPassword).Status.Details || a.Status.Code != manage.CodeLoginFailed {
			t.Errorf("a second time: %+v", a.Status)
		}
		s.resetIsAudited(link.Code)
	})
}

// resetIsAudited checks that the log has who made the link and that it was used,
// and no secret.
func (s *service) resetIsAudited(code string) {
	s.t.Helper()
	log := s.must("GET", "/v2/audit?user_id=alice", "")
	actors := map[string]string{}
	for _, e := range log.Entries {
		actors[e.Action] += e.ActorID + e.ActorUserID
	}
	if actors[keys.ActionUserResetLink] != strings.Repeat(keys.Operator, 3) || actors[keys.ActionUserResetPassword] != "alice" {
		s.t.Errorf("the actors are %v", actors)
	}
	_, secret, _ := strings.Cut(code, ".")
	if strings.Contains(log.body, secret) || strings.Contains(log.body, "argon2") {
		s.t.Errorf("the log holds a secret: %s", log.body)
	}
}

// A link ends after an hour, and with a changed password, a suspension and the user.
func TestResetLinksEnd(t *testing.T) {
	for name, end := range map[string]func(*service){
		"an hour": func(*service) { later(time.Hour) },
		"a password": func(s *service) {
			s.must("PATCH", "/v2/users/alice", fmt.Sprintf(`{"user":{"password":%q}}`, password))
		},
		"a suspension":    func(s *service) { s.suspend(true); s.suspend(false) },
		"being suspended": func(s *service) { s.suspend(true) },
		"the user":        func(s *service) { s.must("DELETE", "/v2/users/alice", "") },
	} {
		withAccounts(t, func(t *testing.T, s *service) {
			link := s.resetLink()
			end(s)
			if a := s.reset(link.Code, nextPassword); a.Status.Code != manage.CodeLoginFailed || a.Status.Field != "code" {
				t.Errorf("after %s: %+v", name, a.Status)
			}
		})
	}
	withAccounts(t, func(t *testing.T, s *service) {
		link := s.resetLink()
		later(time.Hour - time.Second)
		if a := s.reset(link.Code, nextPassword); a.Status.Code != manage.CodeOK {
			t.Errorf("before the hour is over: %+v", a.Status)
		}
	})
}

func (s *service) suspend(suspended bool) {
	s.t.Helper()
	s.must("PATCH", "/v2/users/alice", fmt.Sprintf(`{"user":{"suspended":%v}}`, suspended))
}

// Guesses are slowed down, and don't keep the user elsewhere from using the link.
func TestResetIsThrottled(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		link := s.resetLink()
		for i := range 11 {
			a := s.reset(fmt.Sprintf("alice.%d", i), nextPassword)
			if throttled := a.Status.Code == manage.CodeThrottled; throttled != (i == 10) {
				t.Errorf("guess %d: %+v", i, a.Status)
			}
		}
		if a := s.reset(link.Code, nextPassword); a.Status.Code != manage.CodeThrottled {
			t.Errorf("the link from there: %+v", a.Status)
		}
		later(11 * time.Minute)
		if a := s.reset(link.Code, nextPassword); a.Status.Code != manage.CodeOK {
			t.Errorf("the link later: %+v", a.Status)
		}
	})
}

// Only the operator makes links. A user without an address, or who is suspended, gets none.
func TestResetLinkIsTheOperators(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		for path, want := range map[string]manage.Code{
			"nobody": manage.CodeNotFound, "sue": manage.CodeInvalid, "nomail": manage.CodeInvalid, "nopass": manage.CodeOK,
		} {
			if a := s.call("POST", "/v2/users/"+path+"/reset_link", ""); a.Status.Code != want {
				t.Errorf("%s: %s", path, a.body)
			}
		}
		for _, portal := range []string{"keys.example.com", "javascript:alert(1)", "https://a/p?x=1", "https://u:p@a/p"} {
			if a := s.call("POST", "/v2/users/alice/reset_link", fmt.Sprintf(`{"portal":%q}`, portal)); a.Status.Field != "portal" {
				t.Errorf("%s: %s", portal, a.body)
			}
		}
		if a := s.callAs(s.session(), "POST", "/v2/users/alice/reset_link", ""); a.Status.Code != manage.CodeNotFound {
			t.Errorf("as a user: %s", a.body)
		}
	})
}
