package management

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// operatorPages are the pages of the operator, and the forms that are sent to them.
var operatorPages = map[string]url.Values{
	"/portal/operator": nil, "/portal/operator/users/bob": nil, "/portal/operator/audit": nil, "/portal/operator/keys": nil,
	"/portal/operator/keys/download": nil, "/portal/operator/keys/cak_0123456789AB": nil, "/portal/operator/plans": nil,
	"/portal/operator/users/bob/plan": nil, "/portal/operator/users/bob/apps/bob-app/plan": nil,
	"/portal/operator#find":                               {"find": {"bob"}},
	"/portal/operator/users/bob/suspend":                  {},
	"/portal/operator/users/bob/resume":                   {},
	"/portal/operator/users/bob/sessions":                 {},
	"/portal/operator/users/bob/plan#change":              {"plan": {"pro"}, "version": {"1"}},
	"/portal/operator/users/bob/apps/bob-app/plan#change": {"plan": {"pro"}, "version": {"1"}},
	"/portal/operator/users/bob/revoke":                   {"key": {"cak_0123456789AB"}, "step": {"done"}},
}

// makeOperator gives a user the operator's role, or takes it.
func (m *managed) makeOperator(user string, operator bool) {
	m.T.Helper()
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser(user, func(u *keys.User) error { u.Operator = operator; return nil })
		return err
	})
}

// The operator's pages exist for users with the role alone, and as long as they
// have it. No other address leads to them.
func TestOperatorPagesNeedTheRole(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	alice, bob := m.sessions["alice"], m.sessions["bob"]
	refused := func(when string) {
		t.Helper()
		for target, form := range operatorPages {
			target, _, _ = strings.Cut(target, "#")
			status, _, text := m.page(alice, "", target, "/portal/account", form)
			if status != http.StatusNotFound || !strings.Contains(text, "This page doesn&#39;t exist") {
				t.Errorf("%s: %s answers %d", when, target, status)
			}
		}
		if _, _, text := m.page(alice, "", "/portal/account", "", nil); strings.Contains(text, "/portal/operator") {
			t.Errorf("%s: the navigation leads to them", when)
		}
		if status, _, _ := m.call(bob, "GET", "/v2/users/me", ""); status != http.StatusOK {
			t.Errorf("%s: bob's session is refused: %d", when, status)
		}
	}
	refused("before")
	m.makeOperator("alice", true)
	if status, _, text := m.page(alice, "", "/portal/operator", "", nil); status != http.StatusOK || !strings.Contains(text, "/portal/operator/users/bob") {
		t.Errorf("%d %s", status, text)
	}
	m.makeOperator("alice", false)
	refused("after")

	m.makeOperator("alice", true)
	pat := m.token(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{policy.ScopeAll}})
	for _, credential := range []string{alice, pat} {
		for _, path := range []string{"/v2/users", "/operator/v2/users", "/operator/users", "/v2/audit", "/v2/users/bob", "/v2/users/bob/keys"} {
			if status, a, text := m.call(credential, "GET", path, ""); status == http.StatusOK || len(a.Users)+len(a.Keys) > 0 {
				t.Errorf("%s answers %d %s", path, status, text)
			}
		}
		if status, _, _ := m.call(credential, "PATCH", "/v2/users/alice", `{"operator":true}`); status == http.StatusOK {
			t.Error("a user changes the role")
		}
	}
}

// The operator's list has the keys of all users, with the filters of one's own.
func TestOperatorPagesListAllKeys(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	for user, scope := range map[string]string{"alice": "Inputs:Get", "bob": policy.ScopeAll} {
		m.token(keys.Credential{Kind: policy.PAT, UserID: user, Scopes: []string{scope}, Description: "of " + user})
	}
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("bob", func(u *keys.User) error { u.Suspended = true; return nil })
		return err
	})
	for query, want := range map[string][2]bool{
		"": {true, true}, "?show=full": {false, true}, "?q=bob": {false, true}, "?q=of+alice": {true, false}, "?show=revoked": {false, false}, "?show=disabled": {false, false},
	} {
		status, _, text := m.page(m.sessions["alice"], "", "/portal/operator/keys"+query, "", nil)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", query, status, text)
		}
		for i, user := range []string{"alice", "bob"} {
			row := strings.Contains(text, `>of `+user) && strings.Contains(text, `href="/portal/operator/users/`+user+`"`)
			if row != want[i] {
				t.Errorf("%s: the key of %s is listed: %v: %s", query, user, row, text)
			}
		}
		if suspended := strings.Contains(text, "Suspended"); suspended != want[1] {
			t.Errorf("%s: bob is suspended: %v", query, suspended)
		}
		link := regexp.MustCompile(`href="(/portal/operator/keys/download[^"]*)"`).FindStringSubmatch(text)
		if link == nil {
			t.Fatalf("%s: no download: %s", query, text)
		}
		m.downloadsKeys(html.UnescapeString(link[1]), map[string]bool{"alice,,of alice": want[0], "bob,,of bob": want[1]})
	}
}

// downloadsKeys checks which lines the operator's CSV has.
func (m *managed) downloadsKeys(target string, want map[string]bool) {
	m.T.Helper()
	status, header, text := m.page(m.sessions["alice"], "", target, "", nil)
	if status != http.StatusOK || header.Get("Content-Disposition") != `attachment; filename="keys-of-all-users.csv"` || !strings.HasPrefix(text, "state,id,type,user,") {
		m.T.Errorf("%s: the download is %d %v: %s", target, status, header, text)
	}
	for line, is := range want {
		if strings.Contains(text, line) != is {
			m.T.Errorf("%s: the download has %s: %v: %s", target, line, !is, text)
		}
		if is && strings.HasPrefix(line, "bob") && !strings.Contains(text, "\nsuspended,") {
			m.T.Errorf("%s: the download has no state of bob: %s", target, text)
		}
	}
}

// The list of a user's keys has the same menus as the other lists. A menu revokes only
// its own key, whatever is selected.
func TestOperatorPagesHaveRowMenus(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	one, other := m.PAT("bob", policy.ScopeAll), m.PAT("bob", policy.ScopeAll)
	const user = "/portal/operator/users/bob"
	for _, from := range []string{user, "/portal/operator/keys"} {
		_, _, text := m.page(m.sessions["alice"], "", from, "", nil)
		for _, key := range []string{one, other} {
			id := key[:len("cap_0123456789AB")]
			menu := regexp.MustCompile(`(?s)<summary[^>]*aria-label="Actions for ` + id + `[^>]*>.*?</details>`).FindString(text)
			for _, want := range []string{
				`href="/portal/operator/audit?user=bob&amp;key=` + id + `"`, `action="` + user + `/revoke"`,
				`name="key" value="` + id + `"`, `name="step" value="review"`,
			} {
				if !strings.Contains(menu, want) {
					t.Errorf("%s: the menu of %s has no %s: %s", from, id, want, menu)
				}
			}
		}
		for form := range strings.SplitSeq(text, "<form ") {
			if inside, _, closed := strings.Cut(form, "</form>"); closed && strings.Contains(inside, "<table") {
				t.Errorf("%s: the menus' forms are inside another form: %s", from, inside)
			}
		}
	}
}

// An operator suspends users and revokes their keys, at once, and the audit log
// names the operator.
func TestOperatorPagesCutOff(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	alice, bob := m.sessions["alice"], m.sessions["bob"]
	key := m.token(keys.Credential{Kind: policy.PAT, UserID: "bob", Scopes: []string{policy.ScopeAll}, Description: "of bob"})
	id := key[:len("cap_0123456789AB")]
	const users, user = "/portal/operator", "/portal/operator/users/bob"
	works := func(want int) {
		t.Helper()
		if status, _, text := m.call(key, "GET", "/v2/myscopes", ""); status != want {
			t.Errorf("the key is answered %d %s, want %d", status, text, want)
		}
	}
	post := func(target, from string, form url.Values, want int) http.Header {
		t.Helper()
		status, header, text := m.page(alice, "", target, from, form)
		if status != want {
			t.Errorf("%s: %d %s", target, status, text)
		}
		return header
	}
	for _, find := range []string{"bob", id} {
		if to := post(users, users, url.Values{"find": {find}}, http.StatusSeeOther).Get("Location"); to != user {
			t.Errorf("%s leads to %s", find, to)
		}
	}
	for _, find := range []string{"nobody", "cak_0123456789AB", key, "a/b"} {
		status, _, text := m.page(alice, "", users, users, url.Values{"find": {find}})
		if status != http.StatusNotFound || !strings.Contains(text, "find-wrong") || strings.Contains(text, key) {
			t.Errorf("%s is answered %d", find, status)
		}
	}
	works(http.StatusOK)
	post(user+"/suspend", user, url.Values{}, http.StatusSeeOther)
	works(http.StatusUnauthorized)
	post(user+"/resume", user, url.Values{}, http.StatusSeeOther)
	works(http.StatusOK)
	post("/portal/operator/users/alice/suspend", user, url.Values{}, http.StatusBadRequest)
	post(user+"/revoke", user, url.Values{"key": {id}, "step": {"review"}}, http.StatusOK)
	post("/portal/operator/users/alice/revoke", user, url.Values{"key": {id}, "step": {"done"}}, http.StatusBadRequest)
	works(http.StatusOK)
	post(user+"/revoke", user, url.Values{"key": {id}, "step": {"done"}}, http.StatusSeeOther)
	works(http.StatusUnauthorized)
	post(user+"/sessions", user, url.Values{}, http.StatusSeeOther)
	if status, _, _ := m.call(bob, "GET", "/v2/users/me", ""); status != http.StatusUnauthorized {
		t.Errorf("bob's session is answered %d", status)
	}
	_, _, text := m.page(alice, "", "/portal/operator/audit?user=bob", "", nil)
	if !strings.Contains(text, "key revoked") || !strings.Contains(text, "suspended: no → yes") || !strings.Contains(text, ">you<") {
		t.Errorf("the audit has %s", text)
	}
}
