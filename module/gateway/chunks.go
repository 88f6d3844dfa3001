package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// chunked hands on a request whose body comes in chunks (RFC 9112, section
// 7.1), and sees to it that none follows on its connection where they are
// malformed: what is left on the wire then may be anything. net/http sees to
// it only as long as nobody puts another body in the place of its own.
type chunked struct{ next caddyhttp.Handler }

// ServeHTTP has the gate refuse what could not be read to its end, or closes the
// connection where it has been answered already.
func (c chunked) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	body := &chunks{ReadCloser: r.Body}
	r.Body = body
	err := c.next.ServeHTTP(w, r)
	failed := body.failed.Load()
	switch {
	case failed == nil:
		return err
	case err != nil && breaks(*failed):
		return refuseMessage(*failed)
	case err != nil:
		return refuseTarget("the chunks of its body are malformed")
	}
	// A client that has gone away needs no answer.
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// inChunks says whether the request's end is that of a last chunk.
func inChunks(r *http.Request) bool { return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 }

// chunks is a body that remembers why it could not be read on: it was
// malformed, or a gate broke it off.
type chunks struct {
	io.ReadCloser
	failed atomic.Pointer[error] // the upstream's connection reads in a goroutine of its own
}

// Read reads on.
func (c *chunks) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && !harmless(err) {
		c.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// harmless says that a body ended as bodies may: at its end, with its
// connection, or because somebody here ended it.
func harmless(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrBodyReadAfterClose) {
		return true
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}
