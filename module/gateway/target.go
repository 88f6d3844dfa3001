package gateway

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// checkTarget refuses a request that the gate and an upstream could read
// differently, however the upstream reads it: its target, its framing, and
// attempts to leave HTTP. path is the escaped one, the bytes that are forwarded.
func (g *Gate) checkTarget(r *http.Request, path string, rule *policy.Rule) error {
	allowed := wire.Allowed{Slash: rule != nil && rule.AllowsEncodedSlash(), Colon: rule != nil && rule.AllowsColon()}
	if err := wire.CheckTarget(r, sentTarget(r), path, allowed); err != nil {
		return err
	}
	if g.ownership.Decodes() && !wire.Decodable(r.URL.RawQuery) {
		return wire.ErrQueryEscape
	}
	if g.ownership.Reserved(r.URL.RawQuery) {
		return wire.ErrQueryReserved
	}
	if query := r.URL.RawQuery; query != "" && rule != nil {
		may := func(method string) bool { return g.table.MayOverride(rule, path, method) }
		if err := wire.CheckOverride(query, may); err != nil {
			return err
		}
	}
	if err := wire.CheckFraming(r); err != nil {
		return err
	}
	return wire.CheckUpgrade(r)
}

// sentTarget returns the target as the client sent it. Handlers before the gate
// may have rewritten it.
func sentTarget(r *http.Request) string {
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return sent.RequestURI
	}
	return r.RequestURI
}
