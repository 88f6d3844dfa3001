package differential

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// differentialProbe notes what comes before a gate, and what behind it.
type differentialProbe struct {
	// At is before or behind.
	At string `json:"at"`
}

func (*differentialProbe) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.differential_probe",
		New: func() caddy.Module { return new(differentialProbe) },
	}
}

func (p *differentialProbe) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&p.At) {
		return d.ArgErr()
	}
	return nil
}

// exchange is what is sent over one connection, and what became of it.
type exchange struct {
	number   int64
	site     string
	arrived  []*arrival // at Caddy, in their order
	allowed  []*allowed
	answers  []byte
	readings []*reading
}

// arrival is a request as Caddy's server reads it.
type arrival struct {
	method, target string
	allowed        *allowed // nil where the gate refused it
}

// allowed is a request as the gate hands it on.
type allowed struct {
	tag      string
	method   string
	path     string
	host     string
	header   http.Header
	route    *policy.Rule
	inBody   bool      // the gate looks into bodies
	identity [5]string // placeholders: user, key, kind, owner, app
	body     *bodyProbe
	// whole is true if the body came to its end.
	whole bool
	text  string
}

// exchanges is the one that runs.
var exchanges atomic.Pointer[exchange]

func (p *differentialProbe) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	x := exchanges.Load()
	if x == nil {
		return errors.New("nothing was sent")
	}
	if p.At == "before" {
		x.arrived = append(x.arrived, &arrival{method: r.Method, target: r.RequestURI})
		return next.ServeHTTP(w, r)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	a := &allowed{
		tag: fmt.Sprintf("%d.%d", x.number, len(x.allowed)), method: r.Method, path: r.URL.EscapedPath(), host: r.Host, inBody: strings.HasSuffix(x.site, inBody),
		header: r.Header.Clone(), route: routes.Find(r.Method, wire.IsGRPC(r), r.URL.EscapedPath()),
	}
	for i, name := range []string{"id", "key_id", "key_type", "owner_id", "app_id"} {
		a.identity[i], _ = repl.GetString("http.auth.user." + name)
	}
	x.allowed = append(x.allowed, a)
	x.arrived[len(x.arrived)-1].allowed = a
	r.Header.Set("X-Forwarded-Tag", a.tag)
	if r.Body != nil && r.Body != http.NoBody {
		a.body = &bodyProbe{ReadCloser: r.Body}
		r.Body = a.body
	}
	err := next.ServeHTTP(w, r)
	a.whole, a.text = a.body.read(r.ContentLength)
	return err
}

// bodyProbe keeps what is read of a body.
type bodyProbe struct {
	io.ReadCloser
	mu   sync.Mutex
	text bytes.Buffer
	end  bool
}

func (b *bodyProbe) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p[:n])
	b.end = b.end || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
	return n, err
}

func (b *bodyProbe) read(length int64) (whole bool, text string) {
	if b == nil {
		return true, ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end || length >= 0 && int64(b.text.Len()) == length, b.text.String()
}
