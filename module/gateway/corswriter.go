package gateway

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
)

// corsWriter replaces the CORS headers by ours when the header is written. What
// Access-Control-Expose-Headers names by then is kept and joined with ours.
type corsWriter struct {
	*caddyhttp.ResponseWriterWrapper
	cors    *CORS
	origin  string // empty where it is not allowed, or there is none
	settled bool
}

// crossOrigin puts the writer that keeps the CORS headers ours in the way of
// the response, and returns the writer to serve with. Caddy's directive header
// stands before the gate, and changes the header after it where it is deferred,
// so the writer goes below it.
func (g *Gate) crossOrigin(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *corsWriter) {
	cw := &corsWriter{cors: g.CORS}
	if origin := r.Header["Origin"]; len(origin) == 1 && g.CORS.allows(origin[0]) {
		cw.origin = origin[0]
	}
	if deferred := lastDeferred(w); deferred != nil {
		cw.ResponseWriterWrapper = &caddyhttp.ResponseWriterWrapper{ResponseWriter: deferred.ResponseWriter}
		deferred.ResponseWriter = cw
		return w, cw
	}
	cw.ResponseWriterWrapper = &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}
	return cw, cw
}

// corsWriterIn finds the gate's writer below another, nil where there is none.
func corsWriterIn(w http.ResponseWriter) *corsWriter {
	for {
		if cw, ok := w.(*corsWriter); ok {
			return cw
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
	_ = handler.ServeHTTP(&recorder{}, new(http.Request).WithContext(ctx),
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
func (w *corsWriter) WriteHeader(status int) {
	w.settle()
	w.settled = w.settled || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write writes the header first, if nobody has.
func (w *corsWriter) Write(data []byte) (int, error) {
	w.begin()
	return w.ResponseWriterWrapper.Write(data)
}

// ReadFrom writes the header first, if nobody has.
func (w *corsWriter) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	return w.ResponseWriterWrapper.ReadFrom(src)
}

// FlushError writes the header first, if nobody has.
func (w *corsWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *corsWriter) begin() {
	if !w.settled {
		w.WriteHeader(http.StatusOK)
	}
}

func (w *corsWriter) settle() {
	if w.settled {
		return
	}
	h := w.Header()
	expose := headerNames(slices.Clone(w.cors.expose))
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
