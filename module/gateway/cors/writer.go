package cors

import (
	"context"
	"io"
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// writer replaces the CORS headers by ours when the header is written. What
// Access-Control-Expose-Headers names by then is kept and joined with ours.
type writer struct {
	*caddyhttp.ResponseWriterWrapper
	policy  *Policy
	origin  string // empty where it is not allowed, or there is none
	settled bool
}

// Guard puts a writer in the way of a response that keeps the CORS headers
// ours, and returns the writer to serve with. Caddy's directive header stands
// before the gate, and changes the header after it where it is deferred, so the
// writer goes below it. settle is to be called where the response is written
// past the writer, as Caddy does for a handler's error.
func (p *Policy) Guard(w http.ResponseWriter, r *http.Request) (guarded http.ResponseWriter, settle func()) {
	own := &writer{policy: p}
	if origin := r.Header["Origin"]; len(origin) == 1 && p.allows(origin[0]) {
		own.origin = origin[0]
	}
	if deferred := lastDeferred(w); deferred != nil {
		own.ResponseWriterWrapper = &caddyhttp.ResponseWriterWrapper{ResponseWriter: deferred.ResponseWriter}
		deferred.ResponseWriter = own
		return w, own.settle
	}
	own.ResponseWriterWrapper = &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}
	return own, own.settle
}

// writerIn finds our writer below another, nil if there is none.
func writerIn(w http.ResponseWriter) *writer {
	for {
		if own, ok := w.(*writer); ok {
			return own
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = outer.Unwrap()
	}
}

// deferredWriter is the type of the writer by which Caddy's headers handler
// defers its operations, nil where it can't be reached into. Each request has
// its own. Caddy doesn't export it, but exports the field that it wraps.
var deferredWriter = func() (found reflect.Type) {
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewEmptyReplacer())
	handler := headers.Handler{Response: &headers.RespHeaderOps{Deferred: true}}
	// It defers, and so can't fail.
	_ = handler.ServeHTTP(new(wire.Nowhere), new(http.Request).WithContext(ctx),
		caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			if _, ok := wrappedBy(w); ok {
				found = reflect.TypeOf(w)
			}
			return nil
		}))
	return found
}()

func wrappedBy(w http.ResponseWriter) (*caddyhttp.ResponseWriterWrapper, bool) {
	v := reflect.ValueOf(w)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, false
	}
	field := v.Elem().FieldByName("ResponseWriterWrapper")
	if !field.IsValid() {
		return nil, false
	}
	return reflect.TypeAssert[*caddyhttp.ResponseWriterWrapper](field)
}

// lastDeferred finds the deferred operations that come last, nil where there
// are none.
func lastDeferred(w http.ResponseWriter) (last *caddyhttp.ResponseWriterWrapper) {
	for {
		if deferredWriter != nil && reflect.TypeOf(w) == deferredWriter {
			last, _ = wrappedBy(w)
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return last
		}
		w = outer.Unwrap()
	}
}

// WriteHeader settles the CORS headers, then writes all.
func (w *writer) WriteHeader(status int) {
	w.settle()
	w.settled = w.settled || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write writes the header first, if nobody has.
func (w *writer) Write(data []byte) (int, error) {
	w.begin()
	return w.ResponseWriterWrapper.Write(data)
}

// ReadFrom writes the header first, if nobody has.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	return w.ResponseWriterWrapper.ReadFrom(src)
}

// FlushError writes the header first, if nobody has.
func (w *writer) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) begin() {
	if !w.settled {
		w.WriteHeader(http.StatusOK)
	}
}

func (w *writer) settle() {
	if w.settled {
		return
	}
	h := w.Header()
	expose := slices.Clone(w.policy.expose)
	for name := range h {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if !strings.HasPrefix(canonical, "Access-Control-") {
			continue
		}
		if canonical == "Access-Control-Expose-Headers" {
			expose.addLists(h[name])
		}
		delete(h, name)
	}
	if !slices.Contains(h["Vary"], "Origin") {
		h["Vary"] = append(h["Vary"], "Origin")
	}
	if w.origin != "" {
		h.Set("Access-Control-Allow-Origin", w.origin)
		h.Set("Access-Control-Expose-Headers", strings.Join(expose, ", "))
	}
}
