package manage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// step makes one of the two calls of a sign-in.
func (s *service) step(path, body string) (a manage.Answer) {
	s.t.Helper()
	mount := manage.NewSignInMount()
	table, err := policy.NewTable(mount.Routes(), "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, manage.SignInBase+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.api.ServeRule(w, r, manage.Caller{Address: home}, mount, table.Find(r.Method, false, r.URL.Path))
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		s.t.Fatalf("%v: %s", err, w.Body)
	}
	return a
}

// A right password is worth five minutes, and no longer.
func TestHalfLoginsExpire(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		factor, _, codes, err := signin.NewTwoFactor("test", "alice")
		if err != nil {
			t.Fatal(err)
		}
		factor.Enabled = true
		err = s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
			_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.TwoFactor = factor; return nil })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct {
			waits time.Duration
			want  manage.Code
		}{{4*time.Minute + 59*time.Second, manage.CodeOK}, {5 * time.Minute, manage.CodeLoginFailed}} {
			a := s.step("/password", fmt.Sprintf(`{"email":"Alice@example.com","password":%q}`, password))
			if a.Half == "" || a.SessionToken != "" || strings.Contains(a.Half, "alice") {
				t.Fatalf("the password: %+v", a.Status)
			}
			later(c.waits)
			a = s.step("/code", fmt.Sprintf(`{"half":%q,"code":%q}`, a.Half, codes[i]))
			if a.Status.Code != c.want || (a.SessionToken != "") != (c.want == manage.CodeOK) {
				t.Errorf("after %s: %+v", c.waits, a.Status)
			}
		}
		if a := s.step("/password", fmt.Sprintf(`{"email":"bob@example.com","password":%q}`, "bob's own password")); a.SessionToken == "" || a.Half != "" {
			t.Errorf("without a second factor: %+v", a.Status)
		}
	})
}
