package differential

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(differentialListener)) }

// differentialListener has a server of Caddy's take its connections from
// memory. A fuzzer sends thousands a second: over TCP the ports would run out,
// and nobody could say when the server has read all there is.
type differentialListener struct {
	// Name is of the site that is behind.
	Name string `json:"name"`
}

// pipes are the listeners by site.
var pipes sync.Map

func (*differentialListener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.listeners.differential",
		New: func() caddy.Module { return new(differentialListener) },
	}
}

func (l *differentialListener) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&l.Name) {
		return d.ArgErr()
	}
	return nil
}

func (l *differentialListener) WrapListener(ln net.Listener) net.Listener {
	p := &pipeListener{Listener: ln, conns: make(chan net.Conn), closed: make(chan struct{})}
	pipes.Store(l.Name, p)
	return p
}

type pipeListener struct {
	net.Listener
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Listener.Close()
}

// pipeConn is a connection whose client has sent all it has to send, and hangs
// up when the server asks for more. While a request is being answered it stays:
// net/http then waits with a read of one byte, for the next request or the end,
// and an end would break off the answer.
type pipeConn struct {
	mu      sync.Mutex
	change  *sync.Cond
	in      []byte
	out     bytes.Buffer
	expired bool // the reading deadline is over
	ended   bool
	done    chan struct{} // closed with the server's side
}

func newPipeConn(sent []byte) *pipeConn {
	c := &pipeConn{in: sent, done: make(chan struct{})}
	c.change = sync.NewCond(&c.mu)
	return c
}

func (c *pipeConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.ended:
			return 0, net.ErrClosed
		case c.expired:
			return 0, os.ErrDeadlineExceeded
		case len(c.in) > 0:
			n := copy(p, c.in)
			c.in = c.in[n:]
			return n, nil
		case len(p) != 1:
			return 0, io.EOF
		}
		c.change.Wait()
	}
}

func (c *pipeConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	return c.out.Write(p)
}

// answered is what the server wrote.
func (c *pipeConn) answered() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.out.Bytes())
}

func (c *pipeConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		close(c.done)
		c.change.Broadcast()
	}
	return nil
}

// CloseWrite is the end: net/http reads nothing afterwards, and only waits for
// half a second.
func (c *pipeConn) CloseWrite() error { return c.Close() }

// SetReadDeadline knows deadlines that are over, by which net/http wakes the
// read of one byte. Others are never reached.
func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = !t.IsZero() && t.Before(time.Now())
	c.change.Broadcast()
	return nil
}

func (c *pipeConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *pipeConn) SetWriteDeadline(time.Time) error { return nil }
func (c *pipeConn) LocalAddr() net.Addr              { return pipeAddr }
func (c *pipeConn) RemoteAddr() net.Addr             { return pipeAddr }

var pipeAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

// Interface guards
var (
	_ caddy.ListenerWrapper = (*differentialListener)(nil)
	_ caddyfile.Unmarshaler = (*differentialListener)(nil)
)
