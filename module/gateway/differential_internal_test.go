package gateway

import (
	"net/http"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// RouteOf is the route by which an app's gates, which have to be alike, decide
// on a request that looks like this.
func RouteOf(a *App, r *http.Request) *policy.Rule {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	return a.gates[len(a.gates)-1].table.Find(r.Method, wire.IsGRPC(r), r.URL.EscapedPath())
}
