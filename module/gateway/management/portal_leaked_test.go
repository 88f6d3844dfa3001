package management

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// hiddenOf are the values of a hidden field of a page.
func hiddenOf(text, name string) (values []string) {
	for _, m := range regexp.MustCompile(`name="`+name+`" value="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		values = append(values, m[1])
	}
	return values
}

// A leaked key is looked up, and then revoked with what was made and added with
// it. No page and no address has it again, and another user's key looks like one
// that never was.
func TestPortalRevokesLeakedKeys(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	alice := m.sessions["alice"]
	mint := func(by, description string) string {
		status, a, text := m.call(by, "POST", "/v2/users/me/keys", `{"keys":[{"type":"personal_access_token","description":"`+description+`","scopes":["All"]}]}`)
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		return a.Keys[0].ID
	}
	leaked, kept, theirs := mint(alice, "on a laptop"), mint(alice, "kept"), mint(m.sessions["bob"], "of bob")
	made := mint(mint(leaked, "made"), "made in turn")
	if status, _, text := m.call(leaked, "POST", "/v2/users/alice/apps/alice-app/collaborators", `{"collaborators":[{"user_id":"bob","scopes":["All"]}]}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	session := m.token(keys.Credential{Kind: policy.Session, UserID: "alice"})
	unknown := leaked[:len(leaked)-8] + "00000000"

	pasted := "KEY=" + leaked + "\n\n" + session + "\n" + theirs + "\n" + unknown + "\nsomething else\n" + alice
	status, _, text := m.page(alice, "", "/portal/leaked", "/portal/leaked", url.Values{"credentials": {pasted}, "step": {"review"}})
	for _, want := range []string{
		"<h2>on a laptop</h2>", "Yours: a personal access token", " from 127.0.0.1", ">made <", ">made in turn <", "bob in alice-app", "A session of yours",
		"3 lines (4, 5, 6) aren't</strong> a key of yours", "the session of this browser",
	} {
		if want = strings.ReplaceAll(want, "</strong> a key", " a key"); !strings.Contains(strings.ReplaceAll(text, "&#39;", "'"), want) {
			t.Errorf("%d, and the page doesn't say %q: %s", status, want, text)
		}
	}
	for name, secret := range map[string]string{"leaked": leaked, "session": session, "theirs": theirs, "unknown": unknown, "text": "something else", "own": alice, "bob's": "of bob"} {
		if strings.Contains(text, secret) {
			t.Errorf("the page has the %s credential: %s", name, text)
		}
	}
	for _, credential := range []string{leaked, made, session} {
		if status, _, text := m.call(credential, "GET", "/v2/myscopes", ""); status != http.StatusOK {
			t.Fatalf("revoked before it was confirmed: %d %s", status, text)
		}
	}

	form := url.Values{"key": append(hiddenOf(text, "key"), leaked, theirs[:16]), "session": hiddenOf(text, "session"), "step": {"done"}}
	status, header, text := m.page(alice, "", "/portal/leaked", "/portal/leaked", form)
	to := header.Get("Location")
	if status != http.StatusSeeOther || strings.Contains(to, leaked) || !strings.Contains(to, leaked[:16]) {
		t.Fatalf("%d to %s: %s", status, to, text)
	}
	for name, c := range map[string]struct {
		credential string
		want       int
	}{"leaked": {leaked, 401}, "made": {made, 401}, "session": {session, 401}, "kept": {kept, 200}, "bob's": {theirs, 200}} {
		if status, _, text := m.call(c.credential, "GET", "/v2/myscopes", ""); status != c.want {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	for range 2 { // a reload shows the same
		_, _, report := m.page(alice, "", to, "", nil)
		for _, want := range []string{"<strong>on a laptop</strong>", "<strong>made</strong>", "<strong>made in turn</strong>", "bob in alice-app", "A session, which has ended"} {
			if !strings.Contains(report, want) {
				t.Errorf("the report doesn't say %q: %s", want, report)
			}
		}
		if strings.Contains(report, "kept") || strings.Contains(report, theirs[:16]) {
			t.Errorf("the report names others: %s", report)
		}
	}
	// Nobody is told by a link that something was revoked that wasn't.
	for _, query := range []string{"?key=" + kept[:16] + "&session=" + alice[:16], "?key=" + leaked[:16], ""} {
		who := m.sessions["bob"]
		if strings.Contains(query, kept[:16]) {
			who = alice
		}
		if _, _, text := m.page(who, "", "/portal/leaked/done"+query, "", nil); !strings.Contains(text, "Nothing was revoked") {
			t.Errorf("%s: %s", query, text)
		}
	}
	// What the leaked key changed is found in the log.
	if _, _, text := m.page(alice, "", "/portal/audit?by="+leaked[:16], "", nil); !strings.Contains(text, "collaborator added") || strings.Contains(text, "key revoked") {
		t.Errorf("the log of the leaked key: %s", text)
	}
}
