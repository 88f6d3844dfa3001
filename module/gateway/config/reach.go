package config

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// EndsAt tells where a request goes that the gate of a site never sees, and
// returns ok false where the gate sees it, or where that can't be told. The
// matchers of the configuration decide, and of its handlers those that rewrite
// a request.
func (s *Site) EndsAt(ctx context.Context, r *http.Request) (where string, ok bool) {
	var server server
	if s.server == nil || json.Unmarshal(s.server, &server) != nil || server.Routes == nil {
		return "", false
	}
	loading, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	way := way{ctx: loading, server: &server, gate: s.Gate}
	repl := caddy.NewReplacer()
	sent := r.Clone(ctx)
	sent.RemoteAddr = "127.0.0.1:1"
	sent = caddyhttp.PrepareRequest(sent, repl, new(wire.Nowhere), new(caddyhttp.Server))
	way.follow(server.Routes, sent, 0)
	if way.reached || way.unsure {
		return "", false
	}
	if way.ended != "" {
		return "it goes to " + way.ended, true
	}
	return "no handler forwards or answers it", true
}

// way is the way of one request through a server's routes.
type way struct {
	ctx    caddy.Context
	server *server
	gate   json.RawMessage

	reached, unsure bool
	ended           string // the handler that it ends with
}

// follow reports whether the request goes no further than these routes.
func (w *way) follow(routes caddyhttp.RouteList, r *http.Request, depth int) (ends bool) {
	if depth > maxDepth {
		w.unsure = true
		return true
	}
	groups := map[string]bool{}
	for _, route := range routes {
		if route.Group != "" && groups[route.Group] {
			continue
		}
		if err := route.ProvisionMatchers(w.ctx); err != nil {
			w.unsure = true
			return true
		}
		matches, err := route.MatcherSets.AnyMatchWithError(r)
		if err != nil {
			w.unsure = true
			return true
		}
		if !matches {
			continue
		}
		groups[route.Group] = true
		for _, raw := range route.HandlersRaw {
			if w.handle(raw, r, depth) {
				return true
			}
		}
		if route.Terminal {
			return true
		}
	}
	return false
}

// handle reports whether the request goes no further than this handler.
func (w *way) handle(raw json.RawMessage, r *http.Request, depth int) (ends bool) {
	var h handler
	if json.Unmarshal(raw, &h) != nil {
		return false
	}
	switch h.Handler {
	case "api_keys":
		if w.reached = sameJSON(raw, w.gate); w.reached {
			return true
		}
	case "subroute":
		return w.follow(h.Routes, r, depth+1)
	case "invoke":
		if named, ok := w.server.NamedRoutes[h.Name]; ok {
			return w.follow(caddyhttp.RouteList{named}, r, depth+1)
		}
	case "rewrite":
		loaded, err := w.ctx.LoadModuleByID("http.handlers.rewrite", withoutHandler(raw))
		rewrites, ok := loaded.(caddyhttp.MiddlewareHandler)
		if err != nil || !ok {
			w.unsure = true
			return true
		}
		_ = rewrites.ServeHTTP(new(wire.Nowhere), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
	case "static_response", "error", "file_server":
		w.ended = h.String()
		return true
	default:
		if h.forwards() {
			w.ended = h.String()
			return true
		}
	}
	return false
}

func withoutHandler(raw json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return raw
	}
	delete(fields, "handler")
	text, err := json.Marshal(fields)
	if err != nil {
		return raw
	}
	return text
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
