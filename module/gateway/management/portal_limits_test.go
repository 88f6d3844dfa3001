package management

import (
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// startLimited starts a portal whose configuration has a plan and a resource.
func startLimited(t *testing.T) *managed {
	t.Helper()
	m := startManagedWith(t, portalRoutes, "api_keys_manage {\nportal /portal\n}")
	m.Options = "plan free {\nrate 100/s\n}"
	m.Reload(portalRoutes + "\nresource model path model_id")
	return m
}

// The gate enforces the limits that a user fills in. The key's page shows how much of
// them is used, and why requests were refused.
func TestPortalLimitsAKey(t *testing.T) {
	m := startLimited(t)
	alice := m.sessions["alice"]
	const form, model = "/portal/apps/alice-app/new", "/v2/users/alice/apps/alice-app/models/"
	status, header, text := m.page(alice, "", form, form, url.Values{
		"step": {"done"}, "expires": {"30d"}, "scope": {"Predict", "Models:Get"}, "plan": {"free"}, "rate": {"1/h burst 3"}, "quota": {"100/month"},
		"concurrent": {"5"}, "addresses": {"203.0.113.0/24"}, "resource.model": {"llama-3*"},
	})
	if status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, text)
	}
	once := regexp.MustCompile(`keys/(cak_\w{12})/secret`).FindStringSubmatch(header.Get("Location"))
	if once == nil {
		t.Fatalf("it leads to %q", header.Get("Location"))
	}
	var key keys.Credential
	m.Update(func(tx *keys.Tx) (err error) {
		key, err = tx.CredentialByID(once[1])
		return err
	})
	if key.Plan != "free" || key.Limits.Concurrent != 5 || key.Limits.Quota.N != 100 || len(key.Addresses) != 1 || !key.Resources.Equal(policy.Values{"model": {"llama-3*"}}) {
		t.Errorf("made %+v", key)
	}

	// The test uses a key of its own with the same limits, because the secret of the
	// other key is shown only once.
	credential := m.token(keys.Credential{
		Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: key.Scopes, Limits: key.Limits, Addresses: key.Addresses, Resources: key.Resources,
	})
	path := "/portal/keys/" + credential[:16]
	m.request(credential, "POST "+model+"llama-3-8b/outputs", 403) // not from this address
	change := url.Values{"step": {"done"}, "expires": {"never"}, "scope": key.Scopes, "addresses": {"127.0.0.0/8\n::1"}, "version": {"1"}}
	if status, _, text := m.page(alice, "", path+"/change", path+"/change", change); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, text)
	}
	m.request(credential, "POST "+model+"other/outputs", 403)
	for range 3 {
		m.request(credential, "POST "+model+"llama-3-8b/outputs", 200)
	}
	m.request(credential, "POST "+model+"llama-3-8b/outputs", 429)
	if err := m.Directory().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _, page := m.page(alice, "", path, "", nil)
	page = html.UnescapeString(page)
	for _, want := range []string{
		"1 request an hour, at most 3 at once; 0 left now", "3 of 100 this month, until 1 ", "0 of 5 requests at the same time now", "127.0.0.0/8, ::1", "Only for model llama-3*:",
		"It may not be used from that address", "It addressed a resource beyond its limits", "It sent too many requests at once",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if status, _, page := m.page(m.sessions["bob"], "", path, "", nil); status != http.StatusNotFound || strings.Contains(page, "llama") {
		t.Errorf("bob: %d %s", status, page)
	}

	// A plan that is no longer configured refuses all requests, and the page says so.
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential(credential[:16], func(c *keys.Credential) error { c.Plan = "free"; return nil })
		return err
	})
	m.Options = ""
	m.Reload(portalRoutes + "\nresource model path model_id")
	m.request(credential, "POST "+model+"llama-3-8b/outputs", 503)
	m.Reload(portalRoutes)
	if status, _, page := m.page(alice, "", path, "", nil); status != http.StatusOK || !strings.Contains(page, "the configuration has no plan <strong>free</strong>") {
		t.Errorf("without the plan: %d %s", status, page)
	}
	if status, _, page := m.page(alice, "", path+"/change", "", nil); status != http.StatusOK || !strings.Contains(page, "free: not in the configuration") || !strings.Contains(page, "Only for model") {
		t.Errorf("without the plan and the resource: %d %s", status, page)
	}
}

// A person limits a key with the keyboard, with and without JavaScript.
func TestPortalLimitsInABrowser(t *testing.T) {
	dir, err := filepath.Abs("../../../testdata/portal")
	if err != nil {
		t.Fatal(err)
	}
	machine.NPMModules(t, dir)
	node, browser := machine.Program(t, "node"), machine.Program(t, "chromium", "chromium-browser", "google-chrome")
	const password = "correct horse battery staple"
	hash, err := signin.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []string{"limits", "limits-plain", "limits-plain-phone"} {
		t.Run(task, func(t *testing.T) {
			m := startLimited(t)
			m.Update(func(tx *keys.Tx) error {
				_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.PasswordHash = hash; return nil })
				return err
			})
			m.browse(dir, node, browser, "limits.mjs", task, "PASSWORD="+password)
		})
	}
}
