package gateway

import "testing"

// The portal's address is known if there is one, on one host with a name.
func TestPortalAddress(t *testing.T) {
	with := func(portal string, hosts ...string) managedSite { return managedSite{hosts: hosts, portal: portal} }
	for name, c := range map[string]struct {
		sites []managedSite
		want  string
	}{
		"one":           {[]managedSite{with("", "api.example.com"), with("/portal", "keys.example.com")}, "https://keys.example.com/portal"},
		"none":          {[]managedSite{with("", "api.example.com")}, ""},
		"two":           {[]managedSite{with("/portal", "a.example.com"), with("/portal", "b.example.com")}, ""},
		"two hosts":     {[]managedSite{with("/portal", "a.example.com", "b.example.com")}, ""},
		"another port":  {[]managedSite{with("/portal", "a.example.com:8443")}, ""},
		"every address": {[]managedSite{with("/portal", ":443")}, ""},
		"a wildcard":    {[]managedSite{with("/portal", "*.example.com")}, ""},
		"a placeholder": {[]managedSite{with("/portal", "{env.HOST}")}, ""},
		"unknown hosts": {[]managedSite{with("/portal")}, ""},
	} {
		if got := portalAddress(c.sites); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
