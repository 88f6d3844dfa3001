package authz_test

import (
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
)

// The names and their order are a promise: logs, metrics and explanations are
// read by programs.
func TestReasonNames(t *testing.T) {
	want := []string{
		"target", "near_literal", "method_unknown", "preflight", "public",
		"credential_missing", "credential_several", "credential_malformed",
		"credential_unknown", "expired", "disabled", "suspended", "store_unavailable", "stale",
		"route_unknown", "method_not_allowed", "kind", "owner", "resource", "scopes",
		"address", "rate", "quota", "allowed",
	}
	var got []string
	var last authz.Step
	for _, r := range authz.Reasons() {
		got = append(got, r.String())
		if parsed, err := authz.ParseReason(r.String()); err != nil || parsed != r {
			t.Errorf("ParseReason(%q) is %v, %v", r, parsed, err)
		}
		if r.Step() < last || r.Step().String() == "" {
			t.Errorf("%s belongs to step %q, behind %q", r, r.Step(), last)
		}
		last = r.Step()
	}
	if !slices.Equal(got, want) {
		t.Errorf("the reasons are\n%q\nwant\n%q", got, want)
	}
	for _, name := range []string{"", "Target", "nothing", authz.Reason(200).String()} {
		if r, err := authz.ParseReason(name); err == nil {
			t.Errorf("ParseReason(%q) is %v", name, r)
		}
	}
	if zero := authz.Reason(0); zero.String() != "" || zero.Step() != 0 || authz.Reason(200).Step() != 0 {
		t.Errorf("no reason is called %q", zero)
	}
}
