package wire

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// DropEmptyBody takes the body off a request that has none. Caddy wraps every
// body, so http.NoBody is seen no more. For the length 0, reverse_proxy forwards
// no body either.
func DropEmptyBody(r *http.Request) {
	if r.ContentLength == 0 {
		r.Body = http.NoBody
	}
}

// InChunks reports whether the request's end is that of a last chunk (RFC 9112,
// section 7.1).
func InChunks(r *http.Request) bool { return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 }

// Chunks is a body that remembers why it could not be read on: it was
// malformed, or a gate broke it off.
type Chunks struct {
	io.ReadCloser
	failed atomic.Pointer[error] // the upstream's connection reads in a goroutine of its own
}

// Read reads on.
func (c *Chunks) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && !harmless(err) {
		c.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Failed returns why the body could not be read on, nil if it could.
func (c *Chunks) Failed() error {
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// harmless reports whether a body ended as bodies may: at its end, with its
// connection, or because a handler ended it.
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
