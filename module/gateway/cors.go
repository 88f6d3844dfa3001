package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// CORS says which origins' scripts may call (Fetch, "CORS protocol").
type CORS struct {
	// Origins are scheme, host and port, as https://app.example.com; * is
	// every origin.
	Origins []string `json:"origins"`
	// Headers are further request headers that scripts may send, besides
	// Authorization, Content-Type, the session header and those of gRPC-Web.
	// Default: none.
	Headers []string `json:"headers,omitempty"`

	allowHeaders string
}

const exposeHeaders = "WWW-Authenticate, Grpc-Status, Grpc-Message"

func (c *CORS) provision(sessionHeader string) error {
	if len(c.Origins) == 0 {
		return fmt.Errorf("cors: name the origins whose scripts may call")
	}
	for i, o := range c.Origins {
		if slices.Contains(c.Origins[:i], o) {
			return fmt.Errorf("cors %s: it is given twice", o)
		}
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || o != u.Scheme+"://"+u.Host || o != strings.ToLower(o)) {
			return fmt.Errorf("cors %q: an origin is scheme, host and port in lower case, as https://app.example.com", o)
		}
	}
	allowed := []string{"Authorization", "Content-Type", "X-Grpc-Web", "X-User-Agent", "Grpc-Timeout"}
	if sessionHeader != "" {
		allowed = append(allowed, sessionHeader)
	}
	for _, h := range c.Headers {
		if !tokenSafe(h) {
			return fmt.Errorf("cors headers %q: that is no name of a header", h)
		}
		allowed = append(allowed, textproto.CanonicalMIMEHeaderKey(h))
	}
	c.allowHeaders = strings.Join(allowed, ", ")
	return nil
}

// crossOrigin makes the writer that keeps the CORS headers ours.
func (g *Gate) crossOrigin(w http.ResponseWriter, r *http.Request) *corsWriter {
	cw := &corsWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
	if origin := r.Header["Origin"]; len(origin) == 1 && g.CORS.allows(origin[0]) {
		cw.origin = origin[0]
	}
	return cw
}

func (c *CORS) allows(origin string) bool {
	return slices.Contains(c.Origins, origin) || slices.Contains(c.Origins, "*")
}

// isPreflight tells the requests by which a browser asks before it lets a
// script call (Fetch, "CORS-preflight request").
func (g *Gate) isPreflight(r *http.Request) bool {
	return g.CORS != nil && r.Method == http.MethodOptions &&
		len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// preflight answers from the table, and never forwards.
func (g *Gate) preflight(w http.ResponseWriter, r *http.Request, path string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	origin, methods := r.Header["Origin"], g.table.Allowed(path)
	if len(origin) != 1 || !g.CORS.allows(origin[0]) || len(methods) == 0 {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.Set("Access-Control-Allow-Origin", origin[0])
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", g.CORS.allowHeaders)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// corsWriter replaces the upstream's CORS headers by ours when the header is
// written.
type corsWriter struct {
	*caddyhttp.ResponseWriterWrapper
	origin  string // empty where it is not allowed, or there is none
	written bool
}

// WriteHeader settles the CORS headers, then writes all.
func (w *corsWriter) WriteHeader(status int) {
	w.settle()
	w.written = w.written || status >= 200 || status == http.StatusSwitchingProtocols
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
	if !w.written {
		w.WriteHeader(http.StatusOK)
	}
}

func (w *corsWriter) settle() {
	if w.written {
		return
	}
	h := w.Header()
	for name := range h {
		if strings.HasPrefix(textproto.CanonicalMIMEHeaderKey(name), "Access-Control-") {
			delete(h, name)
		}
	}
	if !slices.Contains(h["Vary"], "Origin") {
		h["Vary"] = append(h["Vary"], "Origin")
	}
	if w.origin != "" {
		h.Set("Access-Control-Allow-Origin", w.origin)
		h.Set("Access-Control-Expose-Headers", exposeHeaders)
	}
}
