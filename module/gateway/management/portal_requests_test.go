package management

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// page asks for a page of the portal as somebody who is signed in. What form
// holds is sent with it, with the token of a form of the page at from.
func (m *managed) page(session, host, target, from string, form url.Values) (int, http.Header, string) {
	m.T.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
		_, _, text := m.page(session, host, from, "", nil)
		token := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(text)
		if token == nil {
			m.T.Fatalf("%s has no form: %s", from, text)
		}
		form.Set("form", token[1])
	}
	req, err := http.NewRequest(method, "http://"+m.Addr+target, strings.NewReader(form.Encode()))
	if err != nil {
		m.T.Fatal(err)
	}
	req.Header.Set("Cookie", "__Host-api-keys-session="+session)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if host != "" {
		req.Host = host
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		m.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		m.T.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// Of two tokens that are revoked together with what they have made, the second
// may be something that the first has made. Neither is left, nor is a third.
func TestPortalRevokesTokensOfOneLine(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	alice := m.sessions["alice"]
	mint := func(by string) string {
		status, a, text := m.call(by, "POST", "/v2/users/me/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`)
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		return a.Keys[0].ID
	}
	first := mint(alice)
	second := mint(first)
	third := mint(second)
	public := func(text string) string { return text[:len("cap_0123456789AB")] }
	form := url.Values{"key": {public(first), public(second)}, "minted": {"yes"}}

	// On the way to what it does the form does nothing.
	for _, step := range []string{"review", "form"} {
		form.Set("step", step)
		if status, _, text := m.page(alice, "", "/portal/tokens/revoke", "/portal/tokens", form); status != http.StatusOK {
			t.Errorf("%s: %d %s", step, status, text)
		}
		if status, _, text := m.call(first, "GET", "/v2/myscopes", ""); status != http.StatusOK {
			t.Fatalf("%s: the token is refused: %d %s", step, status, text)
		}
	}
	form.Set("step", "done")
	if status, _, text := m.page(alice, "", "/portal/tokens/revoke", "/portal/tokens", form); status != http.StatusSeeOther {
		t.Errorf("%d %s", status, text)
	}
	for name, token := range map[string]string{"first": first, "second": second, "third": third} {
		if status, _, text := m.call(token, "GET", "/v2/myscopes", ""); status != http.StatusUnauthorized {
			t.Errorf("the %s is good still: %d %s", name, status, text)
		}
	}
}

// The command that goes with a new key leads to where the API is, holds nothing
// that a shell would run, and sends no key in the clear over a network.
func TestPortalCommandOfANewKey(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nbase /account/v2\nportal /portal\n}")
	session := m.token(keys.Credential{Kind: policy.Session, UserID: "alice"})
	for host, site := range map[string]string{
		"localhost:8080":         "http://localhost:8080",
		"127.0.0.1:8080":         "http://127.0.0.1:8080",
		"[::1]:8080":             "http://[::1]:8080",
		"keys.example.com":       "https://keys.example.com",
		"127.0.0.1.example.com":  "https://127.0.0.1.example.com",
		"$(reboot);x'&'.example": `https://$(reboot);x'\''&'\''.example`,
	} {
		for scope, path := range map[string]string{
			"Inputs:Get": "/v2/users/alice/apps/alice-app/inputs", "Inputs:Add": "/account/v2/myscopes",
		} {
			form := url.Values{"step": {"done"}, "expires": {"never"}, "scope": {scope}}
			status, header, text := m.page(session, host, "/portal/apps/alice-app/new", "/portal/apps/alice-app/new", form)
			if status != http.StatusSeeOther {
				t.Fatalf("%s: %d %s", host, status, text)
			}
			cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
			if _, _, text = m.page(session+"; "+cookie, host, header.Get("Location"), "", nil); !strings.Contains(text, "It is shown only this once") {
				t.Fatalf("%s: %s", host, text)
			}
			want := fmt.Sprintf(`^curl -H 'Authorization: Key cak_\w+' %s$`, regexp.QuoteMeta("'"+site+path+"'"))
			field := regexp.MustCompile(`id="curl"[^>]* value="([^"]*)"`).FindStringSubmatch(text)
			if field == nil || !regexp.MustCompile(want).MatchString(html.UnescapeString(field[1])) {
				t.Errorf("%s: %q, want %s", host, field, want)
			}
		}
	}
}

// A user whose session has ended for any reason is led to the sign-in page, and
// the browser forgets the old session.
func TestPortalLeadsFromADeadSessionToSignIn(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	soon := time.Now().Add(time.Hour)
	idle := m.token(keys.Credential{Kind: policy.Session, UserID: "alice", ExpiresAt: soon, Idle: time.Nanosecond})
	ended := m.token(keys.Credential{Kind: policy.Session, UserID: "alice", ExpiresAt: soon})
	if status, _, text := m.call(ended, "POST", "/v2/logout", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	suspended := m.token(keys.Credential{Kind: policy.Session, UserID: "bob", ExpiresAt: soon})
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("bob", func(u *keys.User) error { u.Suspended = true; return nil })
		return err
	})
	for name, session := range map[string]string{
		"idle": idle, "ended": ended, "suspended": suspended, "no session": "", "no credential": "x y", "mistyped": ended[:len(ended)-1] + "-",
	} {
		status, header, text := m.page(session, "", "/portal/apps", "", nil)
		if status != http.StatusSeeOther || header.Get("Location") != "/portal/signin?then=%2Fapps" {
			t.Errorf("%s: %d to %q: %s", name, status, header.Get("Location"), text)
		}
		if set := header.Get("Set-Cookie"); !strings.HasPrefix(set, "__Host-api-keys-session=;") || !strings.Contains(set, "Max-Age=0") {
			t.Errorf("%s: the browser is told to keep %q", name, set)
		}
	}
}

// The form of a new key describes each resource of a shipped table in a sentence. It
// doesn't describe resources that the operator named.
func TestPortalDescribesResources(t *testing.T) {
	shipped, err := tables.Shipped("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	m := startManagedWith(t, "include clarifai\nscope Robots:Get\nroute GET /robots Robots:Get", "api_keys_manage {\nportal /portal\n}")
	_, _, text := m.page(m.sessions["alice"], "", "/portal/tokens/new", "", nil)
	for _, s := range shipped.Scopes {
		resource := policy.ResourceOf(s.Name)
		if resource == "" || s.Hidden {
			continue
		}
		for _, want := range []string{
			`<fieldset class="group" aria-describedby="about-` + resource + `">`,
			`<p class="hint" id="about-` + resource + `">` + html.EscapeString(s.Resource) + `</p>`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the form lacks %s", want)
			}
		}
	}
	if !strings.Contains(text, "Robots:Get") || strings.Contains(text, "about-Robots") {
		t.Error("the operator's own resource is missing or described")
	}
	// Only the resources of the scopes that exist are described.
	m = startManaged(t, "api_keys_manage {\nportal /portal\n}")
	if _, _, text = m.page(m.sessions["alice"], "", "/portal/tokens/new", "", nil); !strings.Contains(text, "about-Keys") || strings.Contains(text, "about-Inputs") {
		t.Errorf("the form describes other resources: %s", text)
	}
}
