package serving

import (
	"net/http"
	"sync/atomic"

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

// Enclosure tells what stands around a handler, such as a gate.
type Enclosure struct {
	gate  caddyhttp.MiddlewareHandler
	known atomic.Pointer[enclosing]
}

// NewEnclosure returns what stands around a handler. Nothing is looked at yet.
func NewEnclosure(gate caddyhttp.MiddlewareHandler) *Enclosure { return &Enclosure{gate: gate} }

// enclosing is what is known of the handlers in front of a gate.
type enclosing struct {
	server *caddyhttp.Server
	passes bool
}

// EndsRequests reports whether a request is over once the gate's handler has
// returned without an error. It is not where a handler in front of the gate may
// serve something else then, such as intercept, and where such a handler can't
// be ruled out.
func (e *Enclosure) EndsRequests(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil {
		return false
	}
	known := e.known.Load()
	if known == nil || known.server != server {
		_, passes := e.within(server.Routes)
		known = &enclosing{server, passes}
		e.known.Store(known)
	}
	return known.passes
}

// within reports whether the gate stands in routes, and if so, whether all
// handlers in front of it are passing ones.
func (e *Enclosure) within(routes caddyhttp.RouteList) (found, passes bool) {
	for i, route := range routes {
		found, passes := e.behind(route.Handlers)
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

// behind is within for the handlers of one route.
func (e *Enclosure) behind(handlers []caddyhttp.MiddlewareHandler) (found, passes bool) {
	for i, h := range handlers {
		if h == e.gate {
			return true, allPass(handlers[:i])
		}
		if sub, ok := h.(*caddyhttp.Subroute); ok {
			if found, passes := e.within(sub.Routes); found {
				return true, passes && allPass(handlers[:i])
			}
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
