package management

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/signin"
)

const (
	alicesPassword = "correct horse battery staple"
	nextPassword   = "an even longer password"
	loginPath      = "/v2/login"
	streamRoute    = managedRoutes + "\nroute GET /v2/users/{user_id}/stream\n"
)

// startAccounts is a site on which alice signs in with a password.
func startAccounts(t *testing.T) *managed {
	t.Helper()
	m := startManaged(t, "api_keys_manage", "log")
	m.Reload(streamRoute)
	m.Logs.AddSecret(alicesPassword)
	m.Logs.AddSecret(nextPassword)
	hash, err := signin.HashPassword(t.Context(), alicesPassword)
	if err != nil {
		t.Fatal(err)
	}
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error {
			u.PasswordHash = hash
			return nil
		})
		return err
	})
	return m
}

func login(password, code string) string {
	return fmt.Sprintf(`{"email":"alice@example.com","password":%q,"code":%q}`, password, code)
}

// signIn is a new session of alice's.
func (m *managed) signIn(code string) string {
	m.T.Helper()
	status, a, text := m.call("", "POST", loginPath, login(alicesPassword, code))
	if status != http.StatusOK || a.SessionToken == "" {
		m.T.Fatalf("%d %s", status, text)
	}
	m.Logs.AddSecret(a.SessionToken)
	return a.SessionToken
}

// stream begins a request that the upstream doesn't end.
func (m *managed) stream(credential string) *bufio.Reader {
	m.T.Helper()
	r, err := http.NewRequest("GET", "http://"+m.Addr+"/v2/users/alice/stream", nil)
	if err != nil {
		m.T.Fatal(err)
	}
	r.Header.Set("Authorization", "Key "+credential)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		m.T.Fatal(err)
	}
	m.T.Cleanup(func() { res.Body.Close() })
	in := bufio.NewReader(res.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "data: first\n" {
		m.T.Fatalf("read %q, %v", line, err)
	}
	return in
}

// A session is a credential like another: what ends it ends its live requests.
func TestSessionsEndAtTheGate(t *testing.T) {
	for _, c := range []struct {
		name string
		// end ends a session, by itself or with the user's own.
		end func(m *managed, own, ended string) (int, manage.Answer, string)
	}{
		{"logout", func(m *managed, _, ended string) (int, manage.Answer, string) {
			return m.call(ended, "POST", "/v2/logout", "")
		}},
		{"password", func(m *managed, own, _ string) (int, manage.Answer, string) {
			return m.call(own, "POST", "/v2/users/me/password", fmt.Sprintf(`{"current_password":%q,"password":%q}`, alicesPassword, nextPassword))
		}},
		{"all others", func(m *managed, own, _ string) (int, manage.Answer, string) {
			return m.call(own, "DELETE", "/v2/users/me/sessions", "")
		}},
		{"by id", func(m *managed, own, ended string) (int, manage.Answer, string) {
			return m.call(own, "DELETE", "/v2/users/me/sessions", fmt.Sprintf(`{"ids":[%q]}`, ended[:16]))
		}},
		{"second factor", func(m *managed, own, _ string) (int, manage.Answer, string) {
			status, a, text := m.call(own, "POST", "/v2/users/me/two_factor", fmt.Sprintf(`{"password":%q}`, alicesPassword))
			if status != http.StatusOK {
				return status, a, text
			}
			for _, secret := range append(a.TwoFactor.RecoveryCodes, a.TwoFactor.Secret) {
				m.Logs.AddSecret(secret)
			}
			code, err := totp.GenerateCode(a.TwoFactor.Secret, time.Now())
			if err != nil {
				m.T.Fatal(err)
			}
			return m.call(own, "POST", "/v2/users/me/two_factor/enable", fmt.Sprintf(`{"code":%q}`, code))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := startAccounts(t)
			begun := make(chan struct{}, 2)
			m.Upstream.AnswerWith(func(rw http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/stream") {
					return
				}
				rw.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(rw, "data: first\n\n")
				_ = http.NewResponseController(rw).Flush()
				begun <- struct{}{}
				<-r.Context().Done()
			})
			own, ended := m.signIn(""), m.signIn("")
			doomed := m.stream(ended)
			m.stream(own)
			if status, _, text := c.end(m, own, ended); status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			over := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, doomed)
				over <- err
			}()
			select {
			case <-over:
			case <-time.After(gatetest.Deadline):
				t.Fatal("the stream of the session that ended goes on")
			}
			if status, _, text := m.call(ended, "GET", "/v2/users/alice/apps/alice-app/inputs", ""); status != http.StatusUnauthorized {
				t.Errorf("with the session that ended: %d %s", status, text)
			}
			if status, _, text := m.call(own, "GET", "/v2/users/alice/apps/alice-app/inputs", ""); status != http.StatusOK {
				t.Errorf("with the other: %d %s", status, text)
			}
		})
	}
}

// A new configuration doesn't reset the limits on guesses.
func TestThrottleOutlivesConfigurations(t *testing.T) {
	m := startAccounts(t)
	for range 10 {
		if status, a, text := m.call("", "POST", loginPath, login("a guess", "")); status != http.StatusUnauthorized || a.Status.Code != manage.CodeLoginFailed {
			t.Fatalf("%d %s", status, text)
		}
	}
	m.Reload(streamRoute + "\n# another configuration\nroute GET /v2/more\n")
	status, a, text := m.call("", "POST", loginPath, login(alicesPassword, ""))
	if status != http.StatusTooManyRequests || a.Status.Code != manage.CodeThrottled {
		t.Errorf("%d %s", status, text)
	}
}

// Only a session is asked for in its own affairs: no key reaches an account.
func TestKeysReachNoAccount(t *testing.T) {
	m := startAccounts(t)
	session := m.signIn("")
	status, a, text := m.call(session, "POST", "/v2/users/me/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	pat := a.Keys[0].ID
	m.Logs.AddSecret(pat)
	for _, call := range []string{
		"POST /v2/logout", "POST /v2/users/me/password", "GET /v2/users/me/sessions", "DELETE /v2/users/me/sessions",
		"POST /v2/users/me/two_factor", "DELETE /v2/users/me/two_factor", "POST /v2/users/me/two_factor/enable", "POST /v2/users/me/two_factor/recovery_codes",
	} {
		method, path, _ := strings.Cut(call, " ")
		if status, _, text := m.call(pat, method, path, "{}"); status != http.StatusForbidden {
			t.Errorf("a token calls %s: %d %s", call, status, text)
		}
		if status, _, text := m.call(session, method, strings.Replace(path, "/me/", "/bob/", 1), "{}"); path != "/v2/logout" && status != http.StatusForbidden {
			t.Errorf("alice calls %s as bob: %d %s", call, status, text)
		}
		if status, _, text := m.call("", method, path, "{}"); status != http.StatusUnauthorized {
			t.Errorf("nobody calls %s: %d %s", call, status, text)
		}
		if call == "POST /v2/logout" {
			session = m.signIn("")
		}
	}
}
