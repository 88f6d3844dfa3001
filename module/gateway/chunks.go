package gateway

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// chunked hands on a request whose body comes in chunks (RFC 9112, section
// 7.1), and sees to it that none follows on its connection where they are
// malformed: what is left on the wire then may be anything. net/http sees to
// it only as long as nobody puts another body in the place of its own.
type chunked struct{ next caddyhttp.Handler }

// ServeHTTP has the gate refuse what could not be read to its end, or closes the
// connection where it has been answered already.
func (c chunked) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	body := &wire.Chunks{ReadCloser: r.Body}
	r.Body = body
	err := c.next.ServeHTTP(w, r)
	failed := body.Failed()
	switch {
	case failed == nil:
		return err
	case err != nil:
		if broken := tenant.BrokenOff(failed); broken != nil {
			return &refused{inspected(broken)}
		}
		return &refused{misread(wire.ErrChunks)}
	}
	// A client that has gone away needs no answer.
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
