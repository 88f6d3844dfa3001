package gateway

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// passing are handlers that serve nothing once the next handler has returned
// without an error, or that have no next handler.
var passing = map[string]bool{
	"http.handlers.api_keys":        true,
	"http.handlers.api_keys_manage": true,
	"http.handlers.authentication":  true,
	"http.handlers.encode":          true,
	"http.handlers.error":           true,
	"http.handlers.file_server":     true,
	"http.handlers.headers":         true,
	"http.handlers.log_append":      true,
	"http.handlers.map":             true,
	"http.handlers.request_body":    true,
	"http.handlers.rewrite":         true,
	"http.handlers.static_response": true,
	"http.handlers.timeouts":        true,
	"http.handlers.tracing":         true,
	"http.handlers.vars":            true,
}

// enclosure is what is known of the handlers in front of a gate.
type enclosure struct {
	server *caddyhttp.Server
	passes bool
}

// endsRequests reports whether a request is over once the gate's handler has
// returned without an error. It is not where a handler in front of the gate may
// serve something else then, such as intercept, and where such a handler can't
// be ruled out.
func (g *Gate) endsRequests(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil {
		return false
	}
	known := g.enclosure.Load()
	if known == nil || known.server != server {
		_, passes := g.enclosedBy(server.Routes)
		known = &enclosure{server, passes}
		g.enclosure.Store(known)
	}
	return known.passes
}

// enclosedBy reports whether the gate stands in routes, and if so, whether
// all handlers in front of it are passing ones.
func (g *Gate) enclosedBy(routes caddyhttp.RouteList) (found, passes bool) {
	for i, route := range routes {
		found, passes := g.behind(route.Handlers)
		if !found {
			continue
		}
		for _, before := range routes[:i] {
			// Such a route has no route behind it, or is an alternative.
			apart := before.Terminal || before.Group != "" && before.Group == route.Group
			passes = passes && (apart || allPass(before.Handlers))
		}
		return true, passes
	}
	return false, false
}

// behind is enclosedBy for the handlers of one route.
func (g *Gate) behind(handlers []caddyhttp.MiddlewareHandler) (found, passes bool) {
	for i, h := range handlers {
		switch h := h.(type) {
		case *Gate:
			if h == g {
				return true, allPass(handlers[:i])
			}
		case *caddyhttp.Subroute:
			if found, passes := g.enclosedBy(h.Routes); found {
				return true, passes && allPass(handlers[:i])
			}
		default: // it holds no gate that is known of
		}
	}
	return false, false
}

func allPass(handlers []caddyhttp.MiddlewareHandler) bool {
	for _, h := range handlers {
		if sub, ok := h.(*caddyhttp.Subroute); ok {
			for _, route := range sub.Routes {
				if !allPass(route.Handlers) {
					return false
				}
			}
			continue
		}
		m, ok := h.(caddy.Module)
		if !ok || !passing[string(m.CaddyModule().ID)] {
			return false
		}
	}
	return true
}
