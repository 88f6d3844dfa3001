package management

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

const inputsOfAlice = "/v2/users/alice/apps/alice-app/inputs"

// usedKey makes two keys of alice's: one that was used on three days, for 104
// requests that were allowed and 32 that were refused, and one that was not.
func usedKey(m *managed) (used, unused string) {
	m.T.Helper()
	c := keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"Inputs:Get"}}
	used, unused = m.token(c), m.token(c)
	if err := m.Load("{\nadmin off\npersist_config off\n}"); err != nil {
		m.T.Fatal(err)
	}
	store, err := boltstore.Open(m.StorePath)
	if err != nil {
		m.T.Fatal(err)
	}
	var before keys.Activity
	today := keys.DateOf(time.Now())
	before.Allow(today-20, 80)
	before.Refuse(today-20, keys.NewCause("expired", nil, nil), 30)
	before.Allow(today-3, 20)
	err = store.Used(m.T.Context(), []keys.Use{{Digest: credential.DigestOf(used), Activity: before, Today: today}})
	if err := store.Close(); err != nil {
		m.T.Fatal(err)
	}
	if err != nil {
		m.T.Fatal(err)
	}
	m.Reload(portalRoutes)
	for range 4 {
		m.request(used, "GET "+inputsOfAlice, 200)
	}
	for range 2 {
		m.request(used, "POST "+inputsOfAlice, 403)
	}
	if err := m.Directory().Flush(m.T.Context()); err != nil {
		m.T.Fatal(err)
	}
	return used, unused
}

// The page of a key shows the numbers that the API answers, and grants what was
// missing. Another user sees nothing of it.
func TestPortalShowsActivity(t *testing.T) {
	m := startManagedWith(t, portalRoutes, "api_keys_manage {\nportal /portal\n}")
	key, unused := usedKey(m)
	session, path := m.sessions["alice"], "/portal/keys/"+key[:16]
	a := m.activity(key)
	_, _, page := m.page(session, "", path, "", nil)
	page = html.UnescapeString(page)
	for _, want := range []string{
		fmt.Sprintf("data-allowed>%d</strong>", a.Allowed), fmt.Sprintf("data-refused>%d</strong>", a.Refused),
		"It had expired", "Grant Inputs:Add</button>", "key created",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if a.Allowed != 104 || a.Refused != 32 || strings.Count(page, "<title>") != 31 {
		t.Errorf("%d allowed, %d refused, %d titles", a.Allowed, a.Refused, strings.Count(page, "<title>"))
	}
	link := path + "?days=7#activity"
	if !strings.Contains(page, `href="`+link+`"`) || !strings.Contains(page, "in 30 days, at most 110 on one day") {
		t.Errorf("no link to 7 days: %s", page)
	}
	_, _, page = m.page(session, "", path+"?days=7", "", nil)
	for _, want := range []string{"data-allowed>24</strong>", "data-refused>2</strong>", "in 7 days, at most 20 on one day", path + `?days=30#activity"`} {
		if !strings.Contains(page, want) {
			t.Errorf("7 days: no %q in %s", want, page)
		}
	}
	if n := strings.Count(page, "<title>"); n != 8 || strings.Contains(page, "It had expired") {
		t.Errorf("7 days: %d titles, and older refusals: %s", n, page)
	}
	for _, days := range []string{"0", "31", "8", "x", "%zz"} {
		if status, _, page := m.page(session, "", path+"?days="+days, "", nil); status != http.StatusOK || !strings.Contains(page, "data-allowed>104</strong>") {
			t.Errorf("%s days: %d %s", days, status, page)
		}
	}
	if _, _, page := m.page(session, "", "/portal/keys/"+unused[:16], "", nil); !strings.Contains(page, "has not been used yet") || strings.Contains(page, "?days=") {
		t.Errorf("an unused key: %s", page)
	}
	grant := url.Values{"missing": {"Inputs:Add"}, "version": {"1"}}
	bob := m.sessions["bob"]
	if status, _, page := m.page(bob, "", path, "", nil); status != http.StatusNotFound || strings.Contains(page, "104") {
		t.Errorf("bob: %d %s", status, page)
	}
	if status, _, page := m.page(bob, "", path+"/grant-refused", "/portal/tokens/new", grant); status != http.StatusNotFound {
		t.Errorf("bob grants: %d %s", status, page)
	}
	m.request(key, "POST "+inputsOfAlice, 403)
	if status, _, page := m.page(session, "", path+"/grant-refused", path, grant); status != http.StatusSeeOther {
		t.Fatalf("alice grants: %d %s", status, page)
	}
	m.request(key, "POST "+inputsOfAlice, 200)
}

// A person sees the bars and the table, in every scheme and on a phone.
func TestPortalActivityInABrowser(t *testing.T) {
	dir, err := filepath.Abs("../../../testdata/portal")
	if err != nil {
		t.Fatal(err)
	}
	machine.NPMModules(t, dir)
	node, browser := machine.Program(t, "node"), machine.Program(t, "chromium", "chromium-browser", "google-chrome")
	m := startManagedWith(t, portalRoutes, "api_keys_manage {\nportal /portal\n}")
	const password = "correct horse battery staple"
	hash, err := signin.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.PasswordHash = hash; return nil })
		return err
	})
	key, unused := usedKey(m)
	m.browse(dir, node, browser, "activity.mjs", "activity", "PASSWORD="+password, "KEY="+key[:16], "UNUSED="+unused[:16])
}
