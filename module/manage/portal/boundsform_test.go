package portal

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// newBoundedPortal returns a portal whose configuration has plans and resources, and
// which has a key with one limit of each kind.
func newBoundedPortal(t *testing.T) *testPortal {
	s := newTestPortal(t)
	s.plans = []manage.Plan{
		{Name: "free", Limits: policy.Limits{Rate: policy.Rate{N: 10, Per: time.Second, Burst: 10}}},
		{Name: "office", Addresses: []string{"192.0.2.0/24"}},
	}
	s.resources = []string{"dataset", "model"}
	s.bounds = manage.Key{
		Plan: "free", Limits: policy.Limits{Rate: policy.Rate{N: 10, Per: time.Second, Burst: 20}, Quota: policy.Quota{N: 10000, Per: policy.Month}, Concurrent: 5},
		Addresses: []string{"192.0.2.0/24", "198.51.100.7"}, Resources: policy.Values{"model": {"gpt", "llama-3*"}},
	}
	return s
}

// boundsTyped are all fields, as the key of newBoundedPortal has them.
func boundsTyped() url.Values {
	return url.Values{
		"plan": {"free"}, "rate": {"10/s burst 20"}, "quota": {"10000/month"}, "concurrent": {"5"},
		"addresses": {"192.0.2.0/24\r\n198.51.100.7\r\n"}, "resource.model": {"gpt\r\n\r\n llama-3* \r\n"}, "resource.dataset": {""},
	}
}

// Fields that are filled in are sent, and empty ones are left out.
func TestKeysAreMadeWithBounds(t *testing.T) {
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"all": {boundsTyped(), "addresses:[192.0.2.0/24 198.51.100.7] apps:[map[id:shop]] description: " +
			"limits:map[concurrent:5 quota:10000/month rate:10/s burst 20] plan:free resources:map[model:[gpt llama-3*]] scopes:[]"},
		"none": {
			url.Values{"plan": {""}, "rate": {" "}, "addresses": {"\r\n"}, "resource.model": {" \r\n"}},
			"apps:[map[id:shop]] description: scopes:[]",
		},
		"commas": {
			url.Values{"addresses": {"192.0.2.7, 2001:db8::/32"}},
			"addresses:[192.0.2.7 2001:db8::/32] apps:[map[id:shop]] description: scopes:[]",
		},
	} {
		s := newBoundedPortal(t)
		s.refuse = &manage.Status{Code: manage.CodeInvalid, Details: "enough"}
		s.send("/apps/shop/new", withStep(c.form, "done"))
		if got := fmt.Sprint(s.changed); got != "[POST /v2/users/me/keys map[keys:[map["+c.want+"]]]]" {
			t.Errorf("%s: sent %s", name, got)
		}
	}
}

func withStep(form url.Values, step string) url.Values {
	form = maps.Clone(form)
	form.Set("step", step)
	return form
}

// Only what differs from the key is sent. A field that the form doesn't have stays,
// and an emptied one removes the limit.
func TestBoundsOfKeysAreChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change url.Values
		drop   []string
		want   string
	}{
		"nothing":            {want: ""},
		"no fields":          {drop: slices.Collect(maps.Keys(boundsTyped())), want: ""},
		"plan":               {change: url.Values{"plan": {""}}, want: "plan:"},
		"rate":               {change: url.Values{"rate": {"5/m"}}, want: "limits:map[rate:5/m]"},
		"no rate":            {change: url.Values{"rate": {""}}, want: "limits:map[rate:]"},
		"no quota":           {change: url.Values{"quota": {""}}, want: "limits:map[quota:]"},
		"none at once":       {change: url.Values{"concurrent": {""}}, want: "limits:map[concurrent:<nil>]"},
		"addresses":          {change: url.Values{"addresses": {"192.0.2.7"}}, want: "addresses:[192.0.2.7]"},
		"no addresses":       {change: url.Values{"addresses": {""}}, want: "addresses:[]"},
		"resource":           {change: url.Values{"resource.dataset": {"x"}}, want: "resources:map[dataset:[x]]"},
		"no resource":        {change: url.Values{"resource.model": {""}}, want: "resources:map[model:[]]"},
		"undeclared is kept": {change: url.Values{"resource.voice": {"x"}}, want: ""},
	} {
		s := newBoundedPortal(t)
		form := boundsTyped()
		maps.Copy(form, c.change)
		for _, field := range c.drop {
			form.Del(field)
		}
		form.Set("expires", "30d")
		status, _, page := s.send("/keys/cak_1/change", withStep(form, "done"))
		if status != http.StatusSeeOther || len(s.changed) != 1 {
			t.Fatalf("%s: %d after %v: %s", name, status, s.changed, page)
		}
		got := regexp.MustCompile(`(description|id|scopes|expires_at):\S*( scopes:\[\])?( |\]\]\]$)`).ReplaceAllString(strings.TrimPrefix(s.changed[0], "PATCH /v2/users/me/keys map[action:overwrite keys:[map["), "")
		if got = strings.TrimSpace(got); got != c.want {
			t.Errorf("%s: sent %q, want %q, all of it is %s", name, got, c.want, s.changed[0])
		}
	}
}

// A mistake is shown next to its field, before the review too. The fields are
// unfolded, and keep what was typed.
func TestMistakesInBounds(t *testing.T) {
	for _, c := range []struct {
		field, typed, id, says string
		// api is the API's name of the field, if the API finds the mistake.
		api string
	}{
		{"rate", "ten", "rate", "Rate &#34;ten&#34;: say per second", ""},
		{"quota", "10/year", "quota", "Quota &#34;10/year&#34;", ""},
		{"concurrent", "-1", "concurrent", "Write a number of requests from 1 to 1000000.", ""},
		{"concurrent", "1000001", "concurrent", "Write a number", ""},
		{"concurrent", "five", "concurrent", "Write a number", ""},
		{"addresses", "192.0.2.0/33", "addresses", "192.0.2.0/33", ""},
		{"resource.model", "*a*b*c*d*", "resource-model", "*a*b*c*d*", ""},
		{"plan", "free", "plan", "It won&#39;t do.", "keys[0].plan"},
		{"rate", "10/s", "rate", "It won&#39;t do.", "keys[0].limits.rate"},
		{"quota", "10/day", "quota", "It won&#39;t do.", "keys[0].limits.quota"},
		{"concurrent", "7", "concurrent", "It won&#39;t do.", "keys[0].limits.concurrent"},
		{"rate", "10/s", "limits", "It won&#39;t do.", "keys[0].limits"},
		{"addresses", "192.0.2.7", "addresses", "It won&#39;t do.", "keys[0].addresses"},
		{"resource.model", "x", "resource-model", "It won&#39;t do.", "keys[0].resources.model"},
		{"resource.model", "x", "resources", "It won&#39;t do.", "keys[0].resources"},
	} {
		for path, steps := range map[string][]string{"/apps/shop/new": {"review", "done"}, "/keys/cak_1/change": {"review", "done"}} {
			for _, step := range steps {
				if c.api != "" && step == "review" {
					continue
				}
				s := newBoundedPortal(t)
				s.bounds = manage.Key{}
				s.refuse = &manage.Status{Code: manage.CodeInvalid, Field: c.api, Details: c.api + ": it won't do"}
				_, _, page := s.send(path, url.Values{c.field: {c.typed}, "expires": {"30d"}, "step": {step}})
				if c.api == "" && len(s.changed) > 0 {
					t.Errorf("%s of %s: sent %v", c.field, path, s.changed)
				}
				wrong := regexp.MustCompile(`<p class="wrong" id="` + c.id + `-wrong">([^<]*)</p>`).FindStringSubmatch(page)
				if wrong == nil || !strings.Contains(wrong[1], c.says) {
					t.Errorf("%s %q of %s at %s says %q: %s", c.field, c.typed, path, step, wrong, page)
				}
				if n := strings.Count(page, `aria-invalid="true" aria-describedby="`+c.id+`-wrong`); n != 1 && c.id != "limits" && c.id != "resources" {
					t.Errorf("%s: %d fields are marked", c.field, n)
				}
				if !strings.Contains(page, `<details class="card" id="limits" open>`) {
					t.Errorf("%s: the fields are folded", c.field)
				}
				if kept := ` value="` + c.typed + `"`; !strings.Contains(page, kept) && !strings.Contains(page, ">"+c.typed+"</textarea>") {
					t.Errorf("%s: %q is lost: %s", c.field, c.typed, page)
				}
			}
		}
	}
}

// The fields are folded unless something is set. The form has fields only for the
// plans and resources of the configuration and of the key.
func TestFieldsOfBounds(t *testing.T) {
	const folded, open = `<details class="card" id="limits">`, `<details class="card" id="limits" open>`
	s := newTestPortal(t)
	for path, want := range map[string]string{"/apps/shop/new": folded, "/tokens/new": folded, "/keys/cak_1/change": folded, "/keys/cak_1/change?limits=open": open} {
		page := s.open(path)
		if !strings.Contains(page, want) || strings.Contains(page, `name="plan"`) || strings.Contains(page, `name="resource.`) {
			t.Errorf("%s: not %s, or a plan or a resource without any: %s", path, want, page)
		}
	}
	if page := s.open("/apps/shop/collaborators/new"); strings.Contains(page, `id="limits"`) {
		t.Errorf("a collaborator has limits: %s", page)
	}
	s = newBoundedPortal(t)
	s.bounds.Plan, s.bounds.Resources = "gold", policy.Values{"voice": {"alto"}}
	page := s.open("/keys/cak_1/change")
	for _, want := range []string{
		open, `<option value="free">free: 10 requests a second</option>`, `<option value="office">office: from 192.0.2.0/24</option>`,
		`<option value="gold" selected>gold: not in the configuration</option>`, `name="rate" autocomplete="off" autocapitalize="none" spellcheck="false" value="10/s burst 20"`,
		`value="10000/month"`, `name="concurrent" inputmode="numeric" autocomplete="off" value="5"`, ">192.0.2.0/24\n198.51.100.7</textarea>",
		`name="resource.dataset"`, `name="resource.model"`, ">alto</textarea>", `<label for="resource-voice">Only for voice</label>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
}

// The review describes everything that is filled in, and its form sends it again. So
// does a form that was kept.
func TestBoundsAreReviewed(t *testing.T) {
	s := newBoundedPortal(t)
	_, _, page := s.send("/apps/shop/new", withStep(boundsTyped(), "review"))
	for _, want := range []string{
		"<dt>Plan</dt><dd>free</dd>", "<dt>Limits</dt><dd>10 requests a second, at most 20 at once<br>10,000 a month<br>5 requests at the same time</dd>",
		"<dt>Allowed addresses</dt><dd class=\"mono\"><span>192.0.2.0/24, 198.51.100.7</span></dd>", "<dt>Only for model</dt><dd class=\"mono\"><span>gpt, llama-3*</span></dd>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	if strings.Contains(page, "Only for dataset") {
		t.Errorf("a resource without values is shown: %s", page)
	}
	for name, values := range boundsTyped() {
		field := regexp.MustCompile(`(?s)<input type="hidden" name="` + regexp.QuoteMeta(name) + `" value="(.*?)">`).FindStringSubmatch(page)
		if field == nil || strings.Join(strings.Fields(field[1]), " ") != strings.Join(strings.Fields(values[0]), " ") {
			t.Errorf("%s is sent again as %q", name, field)
		}
	}
	_, _, page = s.send("/apps/shop/new", url.Values{"step": {"review"}})
	if strings.Contains(page, "<dt>Plan</dt>") || strings.Contains(page, "<dt>Limits</dt>") || strings.Contains(page, "<dt>Allowed addresses</dt>") {
		t.Errorf("limits that don't exist are shown: %s", page)
	}
}

// Two people who change the limits of a key see what differs.
func TestConflictsOfBounds(t *testing.T) {
	s := newBoundedPortal(t)
	s.refuse = &manage.Status{Code: manage.CodeConflict, Field: "keys[0].version", Details: "it is 9 by now"}
	form := url.Values{
		"description": {"one"}, "plan": {"office"}, "rate": {"600/m"}, "quota": {""}, "concurrent": {"1"}, "expires": {"never"},
		"addresses": {"192.0.2.0/24\n2001:db8::/32"}, "resource.model": {"gpt"}, "version": {"3"}, "step": {"done"},
	}
	_, _, page := s.send("/keys/cak_1/change", form)
	got := map[string][2]string{}
	for _, row := range regexp.MustCompile(`(?s)<tr>\s*<th scope="row" data-label="Field"><span>([^<]+).*?</tr>`).FindAllStringSubmatch(page, -1) {
		cells := regexp.MustCompile(`class="long"><span>([^<]*)</span>`).FindAllStringSubmatch(row[0], -1)
		got[row[1]] = [2]string{cells[0][1], cells[1][1]}
	}
	want := map[string][2]string{
		"Plan": {"office", "free"}, "Rate": {"600 requests a minute", "10 requests a second, at most 20 at once"}, "Quota": {"none", "10,000 a month"},
		"Requests at the same time": {"1 request", "5 requests"}, "Allowed addresses": {"2001:db8::/32", "198.51.100.7"}, "Only for model": {"nothing else", "llama-3*"},
	}
	if !maps.Equal(got, want) {
		t.Errorf("the differences are %q, want %q in %s", got, want, page)
	}
	if !strings.Contains(page, `value="600/m"`) || !strings.Contains(page, ">gpt</textarea>") {
		t.Errorf("what was typed is lost: %s", page)
	}
}
