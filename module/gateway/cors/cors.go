// Package cors answers browsers that ask whether scripts of other origins may
// call a site, and keeps the answers' headers right (Fetch, "CORS protocol").
package cors

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// Config says which origins' scripts may call.
type Config struct {
	// Origins are scheme, host and port, such as https://app.example.com; * is
	// every origin.
	Origins []string `json:"origins"`
	// Headers are further request headers that scripts may send, besides
	// Authorization and the other headers that the site reads credentials
	// from, Content-Type, and those of gRPC-Web.
	// Default: none.
	Headers []string `json:"headers,omitempty"`
	// Expose are further response headers that scripts may read, besides
	// WWW-Authenticate, Retry-After, the RateLimit headers, those of gRPC, and
	// those that the upstream's Access-Control-Expose-Headers names.
	// Default: none.
	Expose []string `json:"expose,omitempty"`
}

// Policy is a [Config] that was checked. It never changes.
type Policy struct {
	origins      []string
	allowHeaders string
	expose       headerNames
}

// exposed are the response headers that scripts may always read.
var exposed = []string{
	"WWW-Authenticate", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin",
	"RateLimit", "RateLimit-Policy", "Retry-After",
}

// Compile checks a configuration. credentials are the headers that the site
// reads credentials from, besides Authorization.
func Compile(c *Config, credentials []string) (*Policy, error) {
	if len(c.Origins) == 0 {
		return nil, fmt.Errorf("cors: name the origins whose scripts may call")
	}
	for i, o := range c.Origins {
		if slices.Contains(c.Origins[:i], o) {
			return nil, fmt.Errorf("cors %s: it is given twice", o)
		}
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || o != u.Scheme+"://"+u.Host || o != strings.ToLower(o)) {
			return nil, fmt.Errorf("cors %q: an origin is scheme, host and port in lower case, such as https://app.example.com", o)
		}
	}
	var allowed headerNames
	allowed.add("Authorization", "Content-Type", "X-Grpc-Web", "X-User-Agent", "Grpc-Timeout")
	allowed.add(credentials...)
	for _, h := range c.Headers {
		if !wire.IsToken(h) {
			return nil, fmt.Errorf("cors headers %q: that is not a header name", h)
		}
		allowed.add(textproto.CanonicalMIMEHeaderKey(h))
	}
	var expose headerNames
	expose.add(exposed...)
	for _, h := range c.Expose {
		if !wire.IsToken(h) {
			return nil, fmt.Errorf("cors expose %q: that is not a header name; name the response headers that scripts may read, such as X-Request-Id", h)
		}
		expose.add(h)
	}
	return &Policy{origins: slices.Clone(c.Origins), allowHeaders: strings.Join(allowed, ", "), expose: expose}, nil
}

// headerNames is a list of header names, each of them once in any case.
type headerNames []string

func (list *headerNames) add(names ...string) {
	for _, name := range names {
		if !slices.ContainsFunc(*list, func(known string) bool { return strings.EqualFold(known, name) }) {
			*list = append(*list, name)
		}
	}
}

// addLists adds the names of header lines, each of which is a list.
func (list *headerNames) addLists(lines []string) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); wire.IsToken(name) {
				list.add(name)
			}
		}
	}
}

func (p *Policy) allows(origin string) bool {
	return slices.Contains(p.origins, origin) || slices.Contains(p.origins, "*")
}

// IsPreflight reports whether a request is one by which a browser asks before
// it lets a script call (Fetch, "CORS-preflight request"). It is not where p is
// nil.
func (p *Policy) IsPreflight(r *http.Request) bool {
	return p != nil && r.Method == http.MethodOptions &&
		len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// Preflight answers a preflight request for a path that has these methods.
func (p *Policy) Preflight(w http.ResponseWriter, r *http.Request, methods []string) {
	if own := writerIn(w); own != nil {
		own.settled = true // these headers are ours already
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	origin := r.Header["Origin"]
	if len(origin) != 1 || !p.allows(origin[0]) || len(methods) == 0 {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.Set("Access-Control-Allow-Origin", origin[0])
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", p.allowHeaders)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
