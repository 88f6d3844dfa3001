package portal

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The page of a key shows each limit, how much of it is used, and whether it belongs to
// the key, the app or the user. Limits that don't exist are not shown.
func TestLimitsOnThePageOfAKey(t *testing.T) {
	s := newBoundedPortal(t)
	s.plans[1].Name = policy.DefaultPlan // which applies to the account, because it has no other plan
	left, used, live := int64(15), int64(120), int64(1)
	month, day := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	over := int64(1500)
	s.limits = []manage.LimitUse{
		{
			Of: "key", Rate: s.bounds.Limits.Rate, RateLeft: &left, Quota: s.bounds.Limits.Quota, QuotaUsed: &used, QuotaEndsAt: &month, Concurrent: 5, Live: &live,
		},
		{Of: "app", Plan: "team", Quota: policy.Quota{N: 1000, Per: policy.Day}, QuotaUsed: &over, QuotaEndsAt: &day},
		{Of: "user", Plan: "default", Concurrent: 1, Live: new(int64)},
	}
	page := s.open("/keys/cak_1")
	for _, want := range []string{
		"<h3>This key</h3>", "<li>10 requests a second, at most 20 at once; 15 left now<svg", `<rect class="used" width="25" height="6"/>`,
		"<li>120 of 10,000 this month, until 1 December<svg", `<rect class="used" width="1" height="6"/>`, "<li>1 of 5 requests at the same time now<svg", `<rect class="used" width="20" height="6"/>`,
		"<h3>All keys of its application together, by the plan team</h3>", "<li>1,500 of 1,000 today, until 30 November 2026, 00:00 UTC<svg", `<rect class="used" width="100" height="6"/>`,
		"<h3>All keys and tokens of your account together, by the plan default</h3>", "<li>0 of 1 request at the same time now<svg", `<rect class="used" width="0" height="6"/>`,
		`<dt>Allowed addresses</dt><dd><span class="mono"><span>192.0.2.0/24, 198.51.100.7</span></span></dd>`,
		`<dt>Allowed addresses</dt><dd><span class="mono"><span>192.0.2.0/24</span></span><br><span class="hint">All keys and tokens of your account together, by the plan default</span></dd>`,
		`<dt>Only for model</dt><dd class="mono"><span>gpt, llama-3*</span></dd>`, "Only for model gpt or llama-3*: requests that name another value are refused.",
		`href="/portal/keys/cak_1/change?limits=open#limits">Change its limits</a>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	if strings.Contains(page, "as fast as they like") || strings.Contains(page, "dataset") || strings.Contains(page, "style=") {
		t.Errorf("a bounded key: %s", page)
	}
}

// The page of a key without limits says what that means, and leads to the form.
func TestPageOfAKeyWithoutLimits(t *testing.T) {
	s := newTestPortal(t)
	page := s.open("/keys/cak_1")
	if !strings.Contains(page, `Anyone who has this key can use it from anywhere, as fast as they like. <a href="/portal/keys/cak_1/change?limits=open#limits">Limit it</a>.`) {
		t.Errorf("no advice in %s", page)
	}
	if strings.Contains(page, "Allowed addresses") || strings.Contains(page, "Only for") || strings.Contains(page, `class="meter"`) {
		t.Errorf("limits that don't exist are shown: %s", page)
	}
}

// The page of a key whose limits can't be read still shows the key, and says why its
// requests are refused if its plan is not in the configuration.
func TestLimitsThatCantBeRead(t *testing.T) {
	s := newBoundedPortal(t)
	s.unread = &manage.Status{Code: manage.CodeStore, Details: "the store failed"}
	if page := s.open("/keys/cak_1"); !strings.Contains(page, "How much of the limits is used is unknown at the moment.") {
		t.Errorf("nothing says so: %s", page)
	}
	s.bounds.Plan = "gold"
	if page := s.open("/keys/cak_1"); !strings.Contains(page, "the configuration has no plan <strong>gold</strong>") {
		t.Errorf("nothing names the missing plan: %s", page)
	}
	s.unread = &manage.Status{Code: manage.CodeNotFound, Details: "revoked meanwhile"}
	r := s.status("/keys/cak_1")
	if r != 404 {
		t.Errorf("a key that was revoked meanwhile: %d", r)
	}
}

// The values that a key is limited to are described in a few words.
func TestValuesInWords(t *testing.T) {
	for want, values := range map[string]policy.Values{
		"":                                    nil,
		"model a":                             {"model": {"a"}},
		"dataset x, model a or b":             {"model": {"a", "b"}, "dataset": {"x"}},
		"model a, b, c and 1 more, no prompt": {"model": {"a", "b", "c", "d"}, "prompt": {}},
	} {
		if got := strings.Join(onlyFor(values), ", "); got != want {
			t.Errorf("%v: %q, want %q", values, got, want)
		}
	}
}

// Limits and resources in the history of a key are words, not maps.
func TestHistoryOfBounds(t *testing.T) {
	e := manage.AuditEntry{
		Before: []byte(`{"limits":{"rate":"10/s"},"resources":null}`),
		After:  []byte(`{"limits":{"concurrent":5,"rate":"20/s"},"resources":{"model":["a","b"]}}`),
	}
	const want = "limits: rate 10/s → concurrent 5, rate 20/s; resources: none → model a, b"
	if got := changes(e); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
