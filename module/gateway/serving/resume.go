package serving

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// lingerVar names the variable of a request that leads to its innermost
// Request, once the gate's handler has returned. It is a function, which no
// placeholder shows anything of.
const lingerVar = "api_keys.lingering"

type lingering func() *Request

// linger keeps a request on the list whose gate has returned, for those that
// may serve it on. It is called by the request's own goroutine.
func (f *Request) linger() {
	if inner, ok := caddyhttp.GetVar(f.ctx, lingerVar).(lingering); ok {
		f.inner = inner()
	}
	if _, ok := f.ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		caddyhttp.SetVar(f.ctx, lingerVar, lingering(func() *Request { return f }))
	}
	context.AfterFunc(f.server, f.finish)
}

// resumer stands in front of error routes, so that a request that they serve
// ends as it would behind the gate, wherever it is stuck.
type resumer struct{}

// ServeHTTP hands the request on.
func (resumer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if outermost, ok := caddyhttp.GetVar(r.Context(), lingerVar).(lingering); ok {
		for f := outermost(); f != nil; f = f.inner {
			if f.resume(w, r) {
				defer f.Leave(false)
			}
		}
	}
	return next.ServeHTTP(w, r)
}

// resume takes the request up again, with the writer and the request that the
// error routes have. It returns false if the client has gone.
func (f *Request) resume(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended != 0:
		panic(http.ErrAbortHandler)
	case f.finished:
		return false
	}
	before := f.cancel
	ctx, cancel := context.WithCancel(r.Context())
	f.ctx, f.cancel = ctx, func() { cancel(); before() }
	f.w, f.left, f.returned = w, false, false
	*r = *r.WithContext(ctx)
	return true
}

// WatchErrorRoutes puts a resumer in front of the error routes that can follow
// a gate: those of its server, and those of the subroutes around it. Caddy
// provisions them after the routes that the gate is among.
func WatchErrorRoutes(around []caddy.Module) {
	for _, m := range around {
		switch m := m.(type) {
		case *caddyhttp.App:
			for _, server := range m.Servers {
				watch(server.Errors)
			}
		case *caddyhttp.Subroute:
			watch(m.Errors)
		default: // it has no error routes
		}
	}
}

func watch(errors *caddyhttp.HTTPErrorConfig) {
	if errors == nil || len(errors.Routes) == 0 {
		return
	}
	if first := errors.Routes[0].Handlers; len(first) == 1 && first[0] == caddyhttp.MiddlewareHandler(resumer{}) {
		return
	}
	front := caddyhttp.Route{Handlers: []caddyhttp.MiddlewareHandler{resumer{}}}
	errors.Routes = append(caddyhttp.RouteList{front}, errors.Routes...)
}
