package management

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// somePlans are plans of the global option api_keys.
const somePlans = `
	plan default {
		rate 600/m burst 1000
		quota 100000/day
	}
	plan pro {
		quota 1000000/month
		concurrent 1
		addresses 192.0.2.0/24 2001:db8::/32
	}
`

// plan loads the configuration again, with plans.
func (m *managed) plan(routes, plans string) {
	m.T.Helper()
	const options = "\tapi_keys {\n\t\tstore "
	text := m.Caddyfile(routes)
	if !strings.Contains(text, options) {
		m.T.Fatalf("no global option in %s", text)
	}
	if err := m.Load(strings.Replace(text, options, "\tapi_keys {\n"+plans+"\t\tstore ", 1)); err != nil {
		m.T.Fatal(err)
	}
}

// operatorPage opens a page, or sends a form, as alice.
func (m *managed) operatorPage(target string, form url.Values, want int) string {
	m.T.Helper()
	status, header, text := m.page(m.sessions["alice"], "", target, target, form)
	if status != want {
		m.T.Fatalf("%s is answered %d, want %d: %s", target, status, want, text)
	}
	if to := header.Get("Location"); to != "" {
		return to
	}
	return html.UnescapeString(text)
}

// contains checks which texts a page has.
func contains(t *testing.T, page, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %s in %s", page, want, text)
		}
	}
}

var shownVersion = regexp.MustCompile(`name="version" value="(\d+)"`)

func versionIn(t *testing.T, text string) string {
	t.Helper()
	m := shownVersion.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no version in %s", text)
	}
	return m[1]
}

// The operator sees the plans in words. Without plans, the page shows a Caddyfile
// that adds some, and it is valid.
func TestOperatorPagesListPlans(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	const page = "/portal/operator/plans"
	text := m.operatorPage(page, nil, http.StatusOK)
	contains(t, "without plans", text, "There are no plans")
	example := regexp.MustCompile(`(?s)<pre[^>]*>(.*?)</pre>`).FindStringSubmatch(text)
	if example == nil {
		t.Fatalf("no example in %s", text)
	}
	if _, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(example[1]), nil); err != nil || len(warnings) > 0 {
		t.Errorf("the example is refused: %v %v", err, warnings)
	}
	contains(t, "the user without plans", m.operatorPage("/portal/operator/users/bob", nil, http.StatusOK), "The configuration has no plans")

	m.plan(managedRoutes, somePlans)
	contains(t, "with plans", m.operatorPage(page, nil, http.StatusOK),
		"600 requests a minute, at most 1,000 at once<br>100,000 a day", "for every user without another plan",
		"1,000,000 a month<br>1 request at the same time", "192.0.2.0/24, 2001:db8::/32", "The plan default applies to every user")
}

// The operator gives plans to users and applications. The audit log has the change.
func TestOperatorPagesGivePlans(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	m.plan(managedRoutes, somePlans)
	const user = "/portal/operator/users/bob"
	for _, c := range []struct {
		name, form, none string
		held             func(keys.Reader) (string, error)
	}{
		{"user", user + "/plan", "default: 600 requests a minute", func(r keys.Reader) (string, error) {
			u, err := r.User("bob")
			return u.Plan, err
		}},
		{"app", user + "/apps/bob-app/plan", "none: only the plan of the user applies", func(r keys.Reader) (string, error) {
			a, err := r.App(keys.AppRef{OwnerID: "bob", AppID: "bob-app"})
			return a.Plan, err
		}},
	} {
		text := m.operatorPage(c.form, nil, http.StatusOK)
		contains(t, c.name, text, `<option value="" selected>`+c.none, `<option value="pro">pro: 1,000,000 a month, 1 request at the same time, from 192.0.2.0/24, 2001:db8::/32`)
		version := versionIn(t, text)
		if to := m.operatorPage(c.form, url.Values{"plan": {"pro"}, "version": {version}}, http.StatusSeeOther); to != user+"?done=plan-changed#notice" {
			t.Errorf("%s: leads to %s", c.name, to)
		}
		m.Update(func(tx *keys.Tx) error {
			if plan, err := c.held(tx); plan != "pro" || err != nil {
				t.Errorf("%s: the plan is %q, %v", c.name, plan, err)
			}
			return nil
		})
		contains(t, c.name, m.operatorPage(c.form, nil, http.StatusOK), `<option value="pro" selected>`)

		text = m.operatorPage(c.form, url.Values{"plan": {""}, "version": {version}}, http.StatusConflict)
		contains(t, c.name, text, "It was changed since you opened this form", `data-label="Yours" class="long"><span>none<`, `data-label="Now saved" class="long"><span>pro<`, `<option value="" selected>`)
		m.operatorPage(c.form, url.Values{"plan": {""}, "version": {versionIn(t, text)}}, http.StatusSeeOther)
		text = m.operatorPage(c.form, url.Values{"plan": {"gold"}, "version": {versionIn(t, m.operatorPage(c.form, nil, http.StatusOK))}}, http.StatusBadRequest)
		contains(t, c.name, text, `id="plan-wrong"`, "no such plan", `<option value="gold" selected>`)
	}
	audit := m.operatorPage("/portal/operator/audit?user=bob", nil, http.StatusOK)
	contains(t, "the audit", audit, "account changed<br><span class=\"hint\">plan: pro<", "account changed<br><span class=\"hint\">plan: pro → none<",
		"application changed<br><span class=\"hint\">plan: pro<", "application changed<br><span class=\"hint\">plan: pro → none<", ">you<")
	m.operatorPage("/portal/operator/users/nobody/plan", nil, http.StatusNotFound)
	m.operatorPage("/portal/operator/users/bob/apps/nothing/plan", nil, http.StatusNotFound)
}

// The form for a plan changes nothing else. Operators can't change their own plan.
func TestOperatorPagesChangeOnlyPlans(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	m.plan(managedRoutes, somePlans)
	const bobs, own = "/portal/operator/users/bob/plan", "/portal/operator/users/alice/plan"
	form := url.Values{"plan": {"pro"}, "name": {"other"}, "suspended": {"true"}, "operator": {"true"}}
	form.Set("version", versionIn(t, m.operatorPage(bobs, nil, http.StatusOK)))
	m.operatorPage(bobs, form, http.StatusSeeOther)
	contains(t, "the own plan", m.operatorPage(own, nil, http.StatusOK), "<p>default: 600 requests a minute", "another operator")
	contains(t, "the own plan", m.operatorPage(own, url.Values{"plan": {"pro"}, "version": {"1"}}, http.StatusBadRequest), "This is your own account, and the plan could lock you out")
	m.Update(func(tx *keys.Tx) error {
		for user, plan := range map[string]string{"alice": "", "bob": "pro"} {
			u, err := tx.User(user)
			if u.Plan != plan || u.Name != "" || u.Suspended || u.Operator != (user == "alice") || err != nil {
				t.Errorf("%s is %+v, %v", user, u, err)
			}
		}
		return nil
	})
	// The plan is in use, and then no longer in the configuration.
	m.plan(managedRoutes, "plan small {\nrate 1/s\n}\n")
	contains(t, "a lost plan", m.operatorPage(bobs, nil, http.StatusOK), `<option value="pro" selected>pro: not in the configuration`, "refused with 503")
}

// The operator sees the limits of a key, in the lists and on the key's page.
func TestOperatorPagesShowBounds(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	m.makeOperator("alice", true)
	m.plan(managedRoutes, somePlans)
	addresses, err := policy.ParseAddresses([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	key := m.token(keys.Credential{
		Kind: policy.AppKey, UserID: "bob", AppID: "bob-app", Scopes: []string{"Inputs:Get"}, Plan: "pro",
		Limits: policy.Limits{Concurrent: 3}, Addresses: addresses, Resources: policy.Values{"model": {"llama-3*"}},
	})
	id := key[:len("cak_0123456789AB")]
	for _, list := range []string{"/portal/operator/keys", "/portal/operator/users/bob"} {
		contains(t, list, m.operatorPage(list, nil, http.StatusOK), "plan pro, concurrent 3, from 192.0.2.0/24 and 1 more", `href="/portal/operator/keys/`+id+`"`)
	}
	contains(t, "the key", m.operatorPage("/portal/operator/keys/"+id, nil, http.StatusOK),
		"<dt>Plan</dt><dd>pro</dd>", "<dt>Limits</dt><dd>3 requests at the same time</dd>", "<span>192.0.2.0/24</span>", "<span>model=llama-3*</span>",
		"<dt>Plan of the application</dt><dd>none ", "<dt>Plan of the user</dt><dd>default ")
	contains(t, "the file", m.operatorPage("/portal/operator/keys/download", nil, http.StatusOK), ",pro,concurrent 3,192.0.2.0/24,model=llama-3*,")
	m.operatorPage("/portal/operator/keys/cak_0123456789AB", nil, http.StatusNotFound)
}
