package gateway

import (
	"net/netip"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Address implements [authz.Facts].
func (q *question) Address() netip.Addr {
	address, err := netip.ParseAddr(q.address)
	if err != nil {
		return netip.Addr{} // in no list
	}
	return address
}

// Beyond implements [authz.Facts].
func (q *question) Beyond(values policy.Values) string {
	if q.managed {
		return ""
	}
	return q.decider.places.Beyond(values, q.Rule, q.Path, q.query, &q.contents)
}

// routeFacts are those of requests for a route that name no more than necessary, and
// come from an address that the caller may use.
type routeFacts struct {
	places *tenant.Places
	rule   *policy.Rule
}

// Address implements [authz.Facts].
func (routeFacts) Address() netip.Addr { return netip.Addr{} }

// Beyond implements [authz.Facts].
func (f routeFacts) Beyond(values policy.Values) string { return f.places.BeyondRoute(values, f.rule) }
