package management

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// resetCode makes a link for alice, and returns its code.
func resetCode(m *managed) string {
	m.T.Helper()
	code := "alice." + rand.Text()
	m.Logs.AddSecret(code)
	m.Update(func(tx *keys.Tx) error {
		return tx.AllowReset("alice", keys.PasswordReset{Digest: credential.DigestOf(code), Until: tx.Now().Add(time.Hour)})
	})
	return code
}

func resetForm(code, password string) url.Values {
	return url.Values{"code": {code}, "password": {password}, "again": {password}}
}

// A user with a link sets another password, and is asked for the second factor
// still. All wrong codes get the same page.
func TestPortalResetsAPassword(t *testing.T) {
	m, _, codes := portalAccounts(t)
	b := newBrowser(m)
	const next = "an entirely different sentence"
	m.Logs.AddSecret(next)
	if r := b.send("/portal/signin", nil); !strings.Contains(r.text, `href="/portal/reset"`) {
		t.Errorf("the sign-in has no link: %s", r.text)
	}
	if r := b.send("/portal/reset", nil); r.status != http.StatusOK || !strings.Contains(r.text, "operator") {
		t.Errorf("the page: %d %s", r.status, r.text)
	}
	first, code := resetCode(m), resetCode(m)
	wrong := b.send("/portal/reset", resetForm(first, next))
	if wrong.status != http.StatusUnauthorized || strings.Contains(wrong.text, first) {
		t.Errorf("a replaced link: %d %s", wrong.status, wrong.text)
	}
	for _, guess := range []string{"alice.X", "nobody.X", "x"} {
		if r := b.send("/portal/reset", resetForm(guess, next)); r != wrong {
			t.Errorf("%s: %d %s", guess, r.status, r.text)
		}
	}
	form := resetForm(code, next)
	form.Set("again", "something else")
	if r := b.send("/portal/reset", form); r.status != http.StatusBadRequest || !strings.Contains(r.text, `id="again-wrong"`) {
		t.Errorf("two passwords: %d %s", r.status, r.text)
	}
	if r := b.send("/portal/reset", resetForm(code, "Summer2024!")); r.status != http.StatusBadRequest || !strings.Contains(r.text, `id="password-wrong"`) {
		t.Errorf("a common password: %d %s", r.status, r.text)
	}
	if r := b.send("/portal/reset", resetForm(code, next)); r.location != "/portal/signin?done=password-reset#notice" || len(b.cookies) > 0 {
		t.Fatalf("the link: %d to %q, cookies %v: %s", r.status, r.location, b.cookies, r.text)
	}
	if r := b.send("/portal/reset", resetForm(code, next)); r.text != wrong.text {
		t.Errorf("a second time: %d %s", r.status, r.text)
	}
	if r := b.send("/portal/signin", password(next)); r.location != "/portal/signin/code?then=%2Ftokens" {
		t.Errorf("signing in: %d to %q", r.status, r.location)
	}
	if r := b.send("/portal/signin/code", codeForm(codes[0])); r.location != "/portal/tokens" {
		t.Errorf("the code: %d to %q", r.status, r.location)
	}
	for _, path := range []string{"/signin/reset", "/v2/reset", "/v2/users/alice/reset_link", "/operator/users/alice/reset_link"} {
		if status, _, text := m.call(m.sessions["bob"], "POST", path, `{}`); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// A form of another site resets nothing.
func TestPortalResetIsTheSitesOwn(t *testing.T) {
	m, _, _ := portalAccounts(t)
	form := resetForm(resetCode(m), "an entirely different sentence")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+m.Addr+"/portal/reset", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("it is answered %d", res.StatusCode)
	}
}
