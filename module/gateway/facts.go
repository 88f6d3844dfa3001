package gateway

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Address implements [authz.Facts].
func (q *question) Address() netip.Addr {
	address, err := netip.ParseAddr(q.address)
	if err != nil {
		return netip.Addr{} // of which no list is
	}
	return address
}

// Beyond implements [authz.Facts]. No site declares resources, so that a key that
// is limited to some values of one is refused everywhere.
func (q *question) Beyond(values policy.Values) string {
	if q.managed {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		return name
	}
	return ""
}
