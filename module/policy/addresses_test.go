package policy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

func addresses(t *testing.T, list string) policy.Addresses {
	t.Helper()
	a, err := policy.ParseAddresses(strings.Fields(list))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestParseAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.0/24":                         "192.0.2.0/24",
		"192.0.2.7":                            "192.0.2.7",
		"192.0.2.7/32 192.0.2.7":               "192.0.2.7",
		"2001:db8::/32 10.0.0.0/8 2001:DB8::1": "10.0.0.0/8 2001:db8::/32 2001:db8::1",
		"::ffff:192.0.2.0/120":                 "192.0.2.0/24",
		"::ffff:192.0.2.7":                     "192.0.2.7",
		"0.0.0.0/0 ::/0":                       "0.0.0.0/0 ::/0",
	} {
		if got := strings.Join(addresses(t, text).Texts(), " "); got != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
	for _, text := range []string{"", "192.0.2.1/24", "192.0.2", "192.0.2.0/33", "fe80::1%eth0", "::ffff:0:0/90", "example.com", "192.0.2.0/024", "01.2.3.4"} {
		if got, err := policy.ParseAddresses([]string{text}); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
	if got, err := policy.ParseAddresses(nil); got != nil || err != nil {
		t.Errorf("no list: got %v, %v", got, err)
	}
	if got, err := policy.ParseAddresses([]string{}); got == nil || err != nil {
		t.Errorf("an empty list: got %v, %v", got, err)
	}
	if _, err := policy.ParseAddresses(slices.Repeat([]string{"192.0.2.1"}, policy.MaxAddresses+1)); err == nil {
		t.Error("too many are accepted")
	}
}

func TestAddressesContain(t *testing.T) {
	list := addresses(t, "192.0.2.0/24 2001:db8::/32 203.0.113.7")
	for text, want := range map[string]bool{
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.3.1": false, "2001:db8:1::1": true, "2001:db9::1": false,
		"203.0.113.7": true, "203.0.113.8": false, "2001:db8::1%eth0": true,
	} {
		if got := list.Contains(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if list.Contains(netip.Addr{}) || !policy.Addresses(nil).Contains(netip.Addr{}) {
		t.Error("an unknown address is in a list, or not in none")
	}
	if (policy.Addresses{}).Contains(netip.MustParseAddr("192.0.2.1")) {
		t.Error("an empty list has an address")
	}
}

func TestAddressesWithin(t *testing.T) {
	for _, row := range []struct {
		list, of string
		within   bool
		and      string
	}{
		{"192.0.2.0/25", "192.0.2.0/24", true, "192.0.2.0/25"},
		{"192.0.2.0/24", "192.0.2.0/25", false, "192.0.2.0/25"},
		{"192.0.2.0/24 10.0.0.1", "10.0.0.0/8 192.0.2.0/24", true, "10.0.0.1 192.0.2.0/24"},
		{"192.0.2.0/24 10.0.0.1", "192.0.2.0/24", false, "192.0.2.0/24"},
		{"::/0", "0.0.0.0/0", false, ""},
	} {
		a, b := addresses(t, row.list), addresses(t, row.of)
		if got := a.Within(b); got != row.within {
			t.Errorf("%s within %s: %v", row.list, row.of, got)
		}
		if got := strings.Join(a.And(b).Texts(), " "); got != row.and || a.And(b) == nil {
			t.Errorf("%s and %s: %q", row.list, row.of, got)
		}
	}
	some := addresses(t, "10.0.0.0/8")
	if policy.Addresses(nil).Within(some) || !some.Within(nil) || !(policy.Addresses{}).Within(some) {
		t.Error("no list is any address, and an empty one is none")
	}
}
