package management

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// sent is the answer to a form that is sent twice.
type sent struct {
	status   int
	location string
	cookies  string
	err      error
}

// post sends a form. It may run at the same time as others.
func (m *managed) post(cookies, target string, form url.Values) (a sent) {
	req, err := http.NewRequest(http.MethodPost, "http://"+m.Addr+target, strings.NewReader(form.Encode()))
	if err != nil {
		return sent{err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", cookies)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return sent{err: err}
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return sent{res.StatusCode, res.Header.Get("Location"), strings.Join(res.Header.Values("Set-Cookie"), "\n"), err}
}

// twice sends a form twice, and returns both answers.
func (m *managed) twice(concurrent bool, cookies, target string, form url.Values) []sent {
	m.T.Helper()
	var list []sent
	if concurrent {
		answers := make(chan sent)
		for range 2 {
			go func() { answers <- m.post(cookies, target, form) }()
		}
		list = []sent{<-answers, <-answers}
	} else {
		list = []sent{m.post(cookies, target, form), m.post(cookies, target, form)}
	}
	for _, a := range list {
		if a.err != nil {
			m.T.Fatal(a.err)
		}
	}
	return list
}

// changesBy counts a user's changes in the audit log.
func (m *managed) changesBy(user string) int {
	m.T.Helper()
	status, a, text := m.call(m.sessions[user], "GET", "/v2/users/me/audit?per_page=1000", "")
	if status != http.StatusOK {
		m.T.Fatalf("%d %s", status, text)
	}
	return len(a.Entries)
}

var oneTimeToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// A form that is sent twice, at the same time or one after the other, is handled
// once. Both answers lead to the same page, which shows the new key if there is one.
func TestPortalFormsAreSentTwice(t *testing.T) {
	for _, concurrent := range []bool{true, false} {
		for _, c := range []struct {
			name, target, from string
			form               url.Values
			// want matches the location of the answer. secret matches what that page shows.
			want, secret string
			// changes is how many entries the audit log gets.
			changes int
		}{
			{"create an application", "/portal/apps", "/portal/apps", url.Values{"name": {"Shop"}}, `^/portal/keys/cak_\w+/secret$`, `value="cak_\w{12}_\w{38}"`, 2},
			{"create a key", "/portal/apps/alice-app/new", "/portal/apps/alice-app/new", url.Values{"step": {"done"}, "expires": {"30d"}, "scope": {"Inputs:Get"}}, `^/portal/keys/cak_\w+/secret$`, `value="cak_\w{12}_\w{38}"`, 1},
			{"create a token", "/portal/tokens/new", "/portal/tokens/new", url.Values{"step": {"done"}, "expires": {"never"}, "scope": {"All"}}, `^/portal/keys/cap_\w+/secret$`, `value="cap_\w{12}_\w{38}"`, 1},
			{"rotate", "/portal/keys/KEY/rotate", "/portal/keys/KEY/rotate", url.Values{"end": {"now"}, "expires": {"keep"}}, `^/portal/keys/cak_\w+/secret$`, `value="cak_\w{12}_\w{38}"`, 2},
			{"change", "/portal/keys/KEY/change", "/portal/keys/KEY/change", url.Values{"step": {"done"}, "expires": {"never"}, "description": {"changed"}, "version": {"1"}}, `^/portal/keys/KEY\?done=key-changed#notice$`, "", 1},
			{"disable", "/portal/keys/KEY/disable", "/portal/keys/KEY", url.Values{}, `^/portal/keys/KEY\?done=key-disabled#notice$`, "", 1},
			{"revoke", "/portal/keys/KEY/revoke", "/portal/keys/KEY/revoke", url.Values{}, `^/portal/apps/alice-app\?done=key-revoked#notice$`, "", 1},
			{"revoke several", "/portal/apps/alice-app/revoke", "/portal/apps/alice-app", url.Values{"key": {"KEY"}, "step": {"done"}}, `^/portal/apps/alice-app\?done=key-revoked#notice$`, "", 1},
			{"rename", "/portal/apps/alice-app/settings", "/portal/apps/alice-app/settings", url.Values{"name": {"Renamed"}, "version": {"1"}}, `^/portal/apps/alice-app.*\?done=app-changed#notice$`, "", 1},
			{"delete", "/portal/apps/alice-app/delete", "/portal/apps/alice-app/settings", url.Values{"sure": {"alice-app"}}, `^/portal/apps\?done=app-deleted#notice$`, "", 2},
			{"collaborator", "/portal/apps/alice-app/collaborators/new", "/portal/apps/alice-app/collaborators/new", url.Values{"user": {"bob"}, "scope": {"Inputs:Get"}, "step": {"done"}}, `\?done=collaborator-saved#notice$`, "", 1},
			{"sign out", "/portal/signout", "/portal/account", url.Values{}, `^/portal/signin\?done=signed-out#notice$`, "", 1},
		} {
			t.Run(fmt.Sprintf("%s, concurrent %v", c.name, concurrent), func(t *testing.T) {
				m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
				key := m.AppKey("alice", "alice-app", "Inputs:Get")
				named := strings.NewReplacer("KEY", key[:len("cak_0123456789AB")]).Replace
				session := m.Session("alice")
				cookie := "__Host-api-keys-session=" + session
				_, _, text := m.page(session, "", named(c.from), "", nil)
				form := url.Values{"form": {oneTimeToken.FindStringSubmatch(text)[1]}}
				for name, values := range c.form {
					for _, value := range values {
						form.Add(name, named(value))
					}
				}
				before := m.changesBy("alice")
				answers := m.twice(concurrent, cookie, named(c.target), form)
				if answers[0] != answers[1] || answers[0].status != http.StatusSeeOther || !regexp.MustCompile(named(c.want)).MatchString(answers[0].location) {
					t.Fatalf("the answers are %v", answers)
				}
				once := m.changesBy("alice") - before
				if m.post(cookie, named(c.target), form) != answers[0] || m.changesBy("alice")-before != once {
					t.Error("the third answer is different")
				}
				if once != c.changes {
					t.Errorf("%d changes, want %d", once, c.changes)
				}
				if c.secret == "" {
					return
				}
				secret := regexp.MustCompile(c.secret)
				given, _, _ := strings.Cut(answers[1].cookies, ";")
				location := answers[1].location
				for name, other := range map[string]string{"another session": m.sessions["alice"] + "; " + given, "another user": m.sessions["bob"] + "; " + given, "another browser": session} {
					if _, _, text := m.page(other, "", location, "", nil); secret.MatchString(text) {
						t.Errorf("%s sees the key", name)
					}
				}
				var shown []bool
				for range 2 {
					_, _, text := m.page(session+"; "+given, "", location, "", nil)
					shown = append(shown, secret.MatchString(text))
				}
				if !slices.Equal(shown, []bool{true, false}) {
					t.Errorf("the key is shown: %v", shown)
				}
			})
		}
	}
}

// A form that is sent again after its session has ended gets no cookies, and leads to
// the sign-in. Nobody sees the new key, and no second key is made.
func TestPortalFormsAreSentAgainAfterAnEnd(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	const target = "/portal/tokens/new"
	secret := regexp.MustCompile(`cap_\w{12}_\w{38}`)
	suspend := func(suspended bool) {
		m.Update(func(tx *keys.Tx) error {
			_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.Suspended = suspended; return nil })
			return err
		})
	}
	for name, end := range map[string]func(session, key string){
		"signed out":  func(session, _ string) { m.call(session, "POST", "/v2/logout", "") },
		"ended":       func(string, string) { m.call(m.sessions["alice"], "DELETE", "/v2/users/me/sessions", "") },
		"suspended":   func(string, string) { suspend(true) },
		"key revoked": func(_, key string) { m.call(m.sessions["alice"], "DELETE", "/v2/users/me/keys", `{"ids":["`+key+`"]}`) },
	} {
		session := m.Session("alice")
		cookie := "__Host-api-keys-session=" + session
		_, _, text := m.page(session, "", target, "", nil)
		form := url.Values{"form": {oneTimeToken.FindStringSubmatch(text)[1]}, "step": {"done"}, "expires": {"never"}, "scope": {"All"}, "description": {name}}
		first := m.post(cookie, target, form)
		once, _, _ := strings.Cut(first.cookies, ";")
		made := regexp.MustCompile(`cap_\w{12}`).FindString(first.location)
		if made == "" || once == "" {
			t.Fatalf("%s: %v", name, first)
		}
		end(session, made)
		again := m.post(cookie, target, form)
		if lives := name == "key revoked"; again.err != nil || again.location != first.location || (again.cookies == first.cookies) != lives || !lives && strings.Contains(again.cookies, once) {
			t.Errorf("%s: the answer is %v", name, again)
		}
		status, header, text := m.page(session+"; "+once, "", first.location, "", nil)
		if secret.MatchString(text) || status == http.StatusOK {
			t.Errorf("%s: the page of the key is %d %v: %s", name, status, header, text)
		}
		suspend(false)
		_, a, _ := m.call(m.sessions["alice"], "GET", "/v2/users/me/audit?action=key.create&per_page=1000", "")
		count := 0
		for _, e := range a.Entries {
			if strings.Contains(string(e.After), `"`+name+`"`) {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%s: %d keys were made", name, count)
		}
	}
}

// An operator's form that is sent again does nothing, whether or not its user still has
// the role.
func TestPortalFormsOfOperatorsAreSentAgain(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	const user = "/portal/operator/users/bob"
	_, _, text := m.page(m.sessions["alice"], "", user, "", nil)
	cookie, form := "__Host-api-keys-session="+m.sessions["alice"], url.Values{"form": {oneTimeToken.FindStringSubmatch(text)[1]}}
	if a := m.post(cookie, user+"/suspend", form); a.location != user+"?done=user-suspended#notice" {
		t.Fatalf("the answer is %v", a)
	}
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("bob", func(u *keys.User) error { u.Suspended = false; return nil })
		return err
	})
	for _, role := range []bool{true, false} {
		m.makeOperator("alice", role)
		if a := m.post(cookie, user+"/suspend", form); a.err != nil || a.cookies != "" {
			t.Errorf("with the role %v: %v", role, a)
		}
		if status, _, _ := m.call(m.sessions["bob"], "GET", "/v2/users/me", ""); status != http.StatusOK {
			t.Errorf("with the role %v: bob is suspended again: %d", role, status)
		}
	}
	if status, _, _ := m.page(m.sessions["alice"], "", user, "", nil); status != http.StatusNotFound {
		t.Errorf("without the role the page is %d", status)
	}
}
