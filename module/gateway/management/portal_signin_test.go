package management

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// browser keeps cookies like a browser, with the path of each.
type browser struct {
	m       *managed
	cookies map[string]*http.Cookie
}

// reply is the answer to a browser.
type reply struct {
	status   int
	location string
	text     string
}

// send opens a page, or sends a form if there is one.
func (b *browser) send(target string, form url.Values) reply {
	b.m.T.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, "http://"+b.m.Addr+target, strings.NewReader(form.Encode()))
	if err != nil {
		b.m.T.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range b.cookies {
		if strings.HasPrefix(req.URL.Path, c.Path) {
			req.AddCookie(c)
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.m.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.m.T.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
			b.m.T.Errorf("%s is open to others: %v", c.Name, c)
		}
		if c.Value != "" {
			b.m.Logs.AddSecret(c.Value)
		}
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	location := res.Header.Get("Location")
	for name, c := range b.cookies {
		if strings.Contains(location, c.Value) || strings.Contains(string(text), c.Value) {
			b.m.T.Errorf("%s shows the cookie %s", target, name)
		}
	}
	return reply{res.StatusCode, location, string(text)}
}

func newBrowser(m *managed) *browser { return &browser{m, map[string]*http.Cookie{}} }

// portalAccounts is a portal on which alice signs in with a password and a second
// factor.
func portalAccounts(t *testing.T) (m *managed, secret string, codes []string) {
	t.Helper()
	m = startManaged(t, "api_keys_manage {\nportal /portal\n}", "log")
	hash, err := signin.HashPassword(t.Context(), alicesPassword)
	if err != nil {
		t.Fatal(err)
	}
	factor, _, codes, err := signin.NewTwoFactor("test", "alice")
	if err != nil {
		t.Fatal(err)
	}
	factor.Enabled = true
	m.Logs.AddSecret(alicesPassword)
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.PasswordHash, u.TwoFactor = hash, factor; return nil })
		return err
	})
	return m, factor.Secret, codes
}

func password(text string) url.Values {
	return url.Values{"email": {"alice@example.com"}, "password": {text}, "then": {"/tokens"}}
}

func codeForm(code string) url.Values { return url.Values{"code": {code}, "then": {"/tokens"}} }

// The code is a step of its own: it is asked for without a complaint, the password
// isn't asked again, and a mistyped code is a mistake of its field.
func TestPortalAsksForTheCodeAfterThePassword(t *testing.T) {
	m, secret, codes := portalAccounts(t)
	b := newBrowser(m)
	if r := b.send("/portal/signin/code", nil); r.location != "/portal/signin" {
		t.Errorf("without a password: %d to %q", r.status, r.location)
	}
	if r := b.send("/portal/signin", password("a guess")); r.status != http.StatusUnauthorized || len(b.cookies) > 0 || strings.Contains(r.text, "code") {
		t.Errorf("a wrong password: %d, cookies %v: %s", r.status, b.cookies, r.text)
	}
	if r := b.send("/portal/signin", password(alicesPassword)); r.status != http.StatusSeeOther || r.location != "/portal/signin/code?then=%2Ftokens" {
		t.Fatalf("the password: %d to %q: %s", r.status, r.location, r.text)
	}
	r := b.send("/portal/signin/code?then=%2Ftokens", nil)
	field := regexp.MustCompile(`<input id="code"[^>]*>`).FindString(r.text)
	for _, want := range []string{" autofocus", `autocomplete="one-time-code"`, `inputmode="numeric"`} {
		if !strings.Contains(field, want) {
			t.Errorf("the field lacks %s: %s", want, field)
		}
	}
	if strings.Contains(r.text, `role="alert"`) || strings.Contains(r.text, `type="password"`) {
		t.Errorf("it complains, or asks for the password again: %s", r.text)
	}
	if r = b.send("/portal/signin/code", codeForm("000000")); r.status != http.StatusUnauthorized || !strings.Contains(r.text, `id="code-wrong"`) {
		t.Errorf("a wrong code: %d %s", r.status, r.text)
	}
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	half := *b.cookies["__Secure-api-keys-half"]
	if r = b.send("/portal/signin/code", codeForm(code)); r.status != http.StatusSeeOther || r.location != "/portal/tokens" {
		t.Fatalf("the code: %d to %q: %s", r.status, r.location, r.text)
	}
	if r = b.send("/portal/tokens", nil); r.status != http.StatusOK || len(b.cookies) != 1 {
		t.Errorf("signed in: %d, cookies %v", r.status, b.cookies)
	}

	// Neither a code nor half a sign-in works twice, a recovery code included:
	// using one changes the account.
	other := &browser{m, map[string]*http.Cookie{half.Name: &half}}
	if r = other.send("/portal/signin/code", codeForm(code)); r.status != http.StatusUnauthorized {
		t.Errorf("the code again: %d %s", r.status, r.text)
	}
	if r = other.send("/portal/signin/code", codeForm(strings.ReplaceAll(codes[0], "-", ""))); r.location != "/portal/tokens" {
		t.Errorf("a recovery code without separators: %d %s", r.status, r.text)
	}
	other = &browser{m, map[string]*http.Cookie{half.Name: &half}}
	if r = other.send("/portal/signin/code", codeForm(codes[1])); r.status != http.StatusUnauthorized || !strings.Contains(r.text, "Begin again") {
		t.Errorf("after the account changed: %d %s", r.status, r.text)
	}
}

// Half a sign-in is worth nothing once the account changes, is no session, and
// can't be forged. No site has the calls behind it.
func TestPortalHalfSignInsEnd(t *testing.T) {
	const name = "__Secure-api-keys-half"
	for what, change := range map[string]func(u *keys.User){
		"another password": func(u *keys.User) { u.PasswordHash += "x" },
		"renamed":          func(u *keys.User) { u.Name = "Alice" },
		"suspended":        func(u *keys.User) { u.Suspended = true },
		"no factor":        func(u *keys.User) { u.TwoFactor = signin.TwoFactor{} },
		"tampered":         nil,
	} {
		m, _, codes := portalAccounts(t)
		b := newBrowser(m)
		b.send("/portal/signin", password(alicesPassword))
		half := b.cookies[name]
		if change == nil {
			last := half.Value[10]
			half.Value = half.Value[:10] + string(last^1) + half.Value[11:]
		} else {
			m.Update(func(tx *keys.Tx) error {
				_, err := tx.ChangeUser("alice", func(u *keys.User) error { change(u); return nil })
				return err
			})
		}
		if r := b.send("/portal/signin/code", codeForm(codes[0])); r.status != http.StatusUnauthorized || len(b.cookies) > 0 {
			t.Errorf("%s: %d, cookies %v: %s", what, r.status, b.cookies, r.text)
		}
		session := &browser{m, map[string]*http.Cookie{"__Host-api-keys-session": {Name: "__Host-api-keys-session", Value: half.Value, Path: "/"}}}
		if r := session.send("/portal/apps", nil); !strings.HasPrefix(r.location, "/portal/signin") {
			t.Errorf("%s: as a session: %d %s", what, r.status, r.text)
		}
		for _, path := range []string{"/signin/password", "/signin/code", "/v2/password", "/v2/code"} {
			if status, _, text := m.call(m.sessions["bob"], "POST", path, `{"email":"alice@example.com","password":"x"}`); status != http.StatusNotFound {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
	}
}

// Wrong codes are counted as they are by login, so the step gives no more guesses.
func TestPortalCodesAreThrottled(t *testing.T) {
	m, _, codes := portalAccounts(t)
	b := newBrowser(m)
	b.send("/portal/signin", password(alicesPassword))
	for i := range 10 {
		if r := b.send("/portal/signin/code", codeForm("000000")); r.status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d %s", i, r.status, r.text)
		}
	}
	if r := b.send("/portal/signin/code", codeForm(codes[0])); r.status != http.StatusTooManyRequests || !strings.Contains(r.text, "Too many") {
		t.Errorf("after the guesses: %d %s", r.status, r.text)
	}
	if status, _, text := m.call("", "POST", loginPath, login(alicesPassword, codes[0])); status != http.StatusTooManyRequests {
		t.Errorf("login: %d %s", status, text)
	}
}

// Authenticator apps show the name of the site, or the host of a site without a name.
func TestAuthenticatorAppsShowTheSite(t *testing.T) {
	for block, want := range map[string]string{
		"portal /portal {\nname \"Acme Keys\"\n}": "otpauth://totp/Acme%20Keys:alice@example.com?",
		"portal /portal": "otpauth://totp/127.0.0.1:alice@example.com?",
	} {
		m := startManaged(t, "api_keys_manage {\n"+block+"\n}")
		hash, err := signin.HashPassword(t.Context(), alicesPassword)
		if err != nil {
			t.Fatal(err)
		}
		m.Update(func(tx *keys.Tx) error {
			_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.PasswordHash = hash; return nil })
			return err
		})
		session := m.token(keys.Credential{Kind: policy.Session, UserID: "alice"})
		_, a, text := m.call(session, "POST", "/v2/users/me/two_factor", `{"password":"`+alicesPassword+`"}`)
		if a.TwoFactor == nil || !strings.HasPrefix(a.TwoFactor.OTPAuthURI, want) {
			t.Errorf("%s: %s", block, text)
		}
	}
}
