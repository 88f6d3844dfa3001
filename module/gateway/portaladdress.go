package gateway

import "strings"

// portalAddress returns the address of the portal, such as
// https://keys.example.com/portal. It is empty unless there is one portal, on one
// host by name and on port 443, because a wrong link is worse than none.
func portalAddress(sites []managedSite) (address string) {
	for _, s := range sites {
		switch {
		case s.portal == "":
			continue
		case address != "" || len(s.hosts) != 1 || strings.ContainsAny(s.hosts[0], ":*{/"):
			return ""
		}
		address = "https://" + s.hosts[0] + s.portal
	}
	return address
}
