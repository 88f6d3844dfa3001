package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
)

// stage is a running Caddy with one site, in clear and over TLS, in front of
// an upstream of which a test plays the part in each request.
type stage struct {
	*world
	secure string // the address over TLS
	roots  *x509.CertPool

	mu    sync.Mutex
	parts map[string]*part
	cases int
}

// part is the upstream's in one request.
type part struct {
	ready    chan struct{} // closed when the request is where its kind has it
	finish   chan struct{} // closed by the test, for the request to end well
	left     chan error    // how it ended for the upstream, nil for well
	leftAt   time.Time     // when
	progress atomic.Int64  // bytes written
}

const liveSite = `
	route * /v2/users/{user_id}/apps/{app_id}/live Live:Get {
		endpoint /test.Live/Call
	}
	route grpc /test.Live/Call Live:Get
	owner_message /test.Live/Call user_app_id.user_id=1.1 user_app_id.app_id=1.2
	upgrade websocket`

// startStage runs Caddy. The site hands requests on over HTTP/1.1 or, where
// the header Via asks for it, over one connection of HTTP/2. There is no access
// log, for Caddy's counts the bytes of a body that may still be read, which the
// race detector finds.
func startStage(t *testing.T, options string) *stage {
	t.Helper()
	s := &stage{
		world:  &world{t: t, addr: freeAddress(t), storeModule: "bbolt", store: filepath.Join(t.TempDir(), "keys.db"), logs: captureLogs(t)},
		secure: freeAddress(t),
		parts:  map[string]*part{},
	}
	certificate, key, roots := newCertificate(t)
	s.roots = roots
	_, port, _ := net.SplitHostPort(s.addr)
	_, tlsPort, _ := net.SplitHostPort(s.secure)
	plain, calls := s.serveHTTP(t), s.serveGRPC(t)
	if err := s.load(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	log {
		level INFO
		output net %s
	}
	servers :%s {
		protocols h1 h2c
	}
	servers :%s {
		protocols h1 h2 h3
	}
	api_keys {
		store bbolt %s
	}
}
(site) {
	api_keys {
		%s
	}
	@calls header Content-Type application/grpc*
	@via header Via h2c
	reverse_proxy @calls h2c://%s
	reverse_proxy @via h2c://%s
	reverse_proxy %s
}
http://:%s {
	import site
}
https://:%s {
	tls %s %s
	import site
}
`, s.logs.addr, port, tlsPort, s.store, options, calls, plain, plain, port, tlsPort, certificate, key)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		s.logs.check(t)
	})
	return s
}

// part makes the part of a request, and the name by which the upstream finds
// it.
func (s *stage) part() (string, *part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &part{ready: make(chan struct{}), finish: make(chan struct{}), left: make(chan error, 1)}
	name := strconv.Itoa(len(s.parts))
	s.parts[name] = p
	return name, p
}

func (s *stage) find(name string) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[name]
}

func (s *stage) serveHTTP(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: http.HandlerFunc(s.play), Protocols: protocols, ReadHeaderTimeout: deadline}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

// play is the upstream's side of a request, of the kind that it names.
func (s *stage) play(w http.ResponseWriter, r *http.Request) {
	p := s.find(r.Header.Get("Part"))
	if p == nil {
		fmt.Fprint(w, "reached")
		return
	}
	err := p.play(w, r)
	p.leftAt = time.Now()
	p.left <- err
}

func (p *part) play(w http.ResponseWriter, r *http.Request) error {
	rc := http.NewResponseController(w)
	wait := func() error {
		close(p.ready)
		select {
		case <-p.finish:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	say := func(text string) error {
		_, err := io.WriteString(w, text)
		return errors.Join(err, rc.Flush())
	}
	switch kind := r.Header.Get("Kind"); kind {
	case "events":
		w.Header().Set("Content-Type", "text/event-stream")
		if err := say("data: first\n\n"); err != nil {
			return err
		}
		if err := wait(); err != nil {
			return err
		}
		return say("data: last\n\n")
	case "poll":
		if err := wait(); err != nil {
			return err
		}
		return say("answer")
	case "upload":
		if _, err := io.ReadFull(r.Body, make([]byte, len("first"))); err != nil {
			return err
		}
		close(p.ready)
		rest, err := io.ReadAll(r.Body)
		if err == nil && strings.Trim(string(rest), ".") != "last" {
			err = fmt.Errorf("the upload goes on with %q", rest)
		}
		return err
	case "duplex":
		if err := errors.Join(rc.EnableFullDuplex(), say("first")); err != nil {
			return err
		}
		close(p.ready)
		_, err := io.Copy(w, r.Body)
		return err
	case "download", "blocked":
		return p.write(w, kind == "blocked")
	case "websocket":
		conn, buf, err := rc.Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\nfirst", r.Header.Get("Sec-WebSocket-Key"))
		if err := buf.Flush(); err != nil {
			return err
		}
		close(p.ready)
		text, err := buf.ReadString('.')
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		return err
	default:
		return fmt.Errorf("nothing is called %s", kind)
	}
}

// write writes without end: as much as nobody reads, or a little again and
// again.
func (p *part) write(w http.ResponseWriter, asMuch bool) error {
	chunk, pause := make([]byte, 1<<10), time.NewTicker(time.Millisecond)
	defer pause.Stop()
	if asMuch {
		chunk = make([]byte, 64<<10)
		pause.Reset(time.Nanosecond)
	}
	for n := 0; ; n++ {
		select {
		case <-p.finish:
			return nil
		case <-pause.C:
		}
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		p.progress.Add(int64(len(chunk)))
		if n == 0 && !asMuch {
			close(p.ready)
		}
	}
}

// caller is a client with one connection to a site.
type caller struct {
	t        *testing.T
	protocol string
	http     *http.Client
	base     string
	dials    atomic.Int64
	dial     func() (net.Conn, error) // one of its own
	calls    *grpc.ClientConn
}

// liveProtocols are the ways by which a client comes: h1 and h2c in clear, the
// others over TLS.
var liveProtocols = []string{"h1", "h1s", "h2c", "h2", "h3"}

func (s *stage) caller(t *testing.T, protocol string) *caller {
	t.Helper()
	c := &caller{t: t, protocol: protocol, base: "http://" + s.addr}
	config := &tls.Config{RootCAs: s.roots, ServerName: "localhost"}
	address := s.addr
	if protocol != "h1" && protocol != "h2c" {
		_, port, _ := net.SplitHostPort(s.secure)
		address = s.secure
		c.base = "https://localhost:" + port
	}
	if protocol == "h3" {
		conn, err := quic.DialAddr(t.Context(), address, http3.ConfigureTLSConfig(config), &quic.Config{MaxStreamReceiveWindow: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		// Not by way of a transport: it would open another connection behind
		// any error.
		tr := new(http3.Transport)
		t.Cleanup(func() { tr.Close() })
		c.http = &http.Client{Transport: tr.NewClientConn(conn), Timeout: deadline}
		return c
	}
	dial := func(context.Context, string, string) (net.Conn, error) {
		c.dials.Add(1)
		return net.Dial("tcp", address)
	}
	tr := &http.Transport{
		DialContext: dial, TLSClientConfig: config, DisableCompression: true, Protocols: new(http.Protocols),
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
	}
	tr.Protocols.SetHTTP1(protocol == "h1" || protocol == "h1s")
	tr.Protocols.SetHTTP2(protocol == "h2")
	tr.Protocols.SetUnencryptedHTTP2(protocol == "h2c")
	t.Cleanup(tr.CloseIdleConnections)
	c.http = &http.Client{Transport: tr, Timeout: deadline}
	c.dial = func() (net.Conn, error) {
		conn, err := dial(t.Context(), "", "")
		if err != nil || protocol == "h1" {
			return conn, err
		}
		return tls.Client(conn, config), nil
	}
	return c
}

// multiplexes says whether all requests of a client are on one connection.
func (c *caller) multiplexes() bool { return c.protocol[:2] != "h1" }

// run is a request under way, as its client sees it.
type run struct {
	*part
	at    time.Time  // of ended
	ended chan error // how it ended for the client, nil for well
	// well has the request end as it should.
	well func()
	// read has the client of a blocked response read on.
	read func()
}

func (r *run) end(err error) {
	r.at = time.Now()
	r.ended <- err
}

// liveKinds are what may live long, and the protocols that can carry it.
var liveKinds = []struct {
	kind      string
	protocols []string
}{
	{"events", liveProtocols},
	{"poll", []string{"h1", "h2", "h3"}},
	{"download", []string{"h1", "h2", "h3"}},
	{"upload", liveProtocols},
	{"blocked", []string{"h1", "h2", "h3"}},
	{"duplex", []string{"h2c", "h2", "h3"}},
	{"websocket", []string{"h1", "h1s"}},
	{"gRPC before the answer", []string{"h2c", "h2"}},
	{"gRPC of a server", []string{"h2c", "h2"}},
	{"gRPC both ways", []string{"h2c", "h2"}},
}

// who is a credential, and whose app it is used on.
type who struct{ text, owner, app string }

func (h *who) path() string { return "/v2/users/" + h.owner + "/apps/" + h.app + "/live" }

// open begins a request of a kind, and returns when it is under way.
func (s *stage) open(t *testing.T, c *caller, kind, via string, as who) *run {
	t.Helper()
	r, err := s.tryOpen(t, c, kind, via, as)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *stage) tryOpen(t *testing.T, c *caller, kind, via string, as who) (*run, error) {
	t.Helper()
	var r *run
	switch {
	case strings.HasPrefix(kind, "gRPC"):
		r = s.openCall(t, c, kind, as)
	case kind == "websocket":
		r = s.openWebSocket(t, c, as)
	default:
		r = s.openHTTP(t, c, kind, via, as)
	}
	if kind == "blocked" {
		r.untilBlocked(t)
	}
	select {
	case <-r.ready:
		return r, nil
	case err := <-r.ended:
		return nil, fmt.Errorf("it ended too early: %w", err)
	case <-time.After(deadline):
		return nil, errors.New("it didn't begin")
	}
}

// untilBlocked waits until the upstream writes no more, because nobody reads.
func (r *run) untilBlocked(t *testing.T) {
	t.Helper()
	last, since := int64(0), time.Now()
	until(t, "a response that is blocked", func() bool {
		if n := r.progress.Load(); n != last || n == 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > 50*time.Millisecond || len(r.ended) > 0
	})
	close(r.ready)
}

func (s *stage) openHTTP(t *testing.T, c *caller, kind, via string, as who) *run {
	name, p := s.part()
	r := &run{part: p, ended: make(chan error, 1)}
	method, body := http.MethodGet, io.Reader(nil)
	reads, first := make(chan struct{}), make(chan struct{})
	r.well = func() { close(p.finish) }
	r.read = sync.OnceFunc(func() { close(reads) })
	switch kind {
	case "upload", "duplex":
		out, in := io.Pipe()
		method, body = http.MethodPost, out
		go trickle(in, p.finish)
	case "blocked":
		r.well = func() {
			close(p.finish)
			r.read()
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.base+as.path(), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Key "+as.text)
	req.Header.Set("Part", name)
	req.Header.Set("Kind", kind)
	req.Header.Set("Via", via)
	if kind != "blocked" {
		r.read()
	}
	go func() {
		resp, err := c.http.Do(req)
		if err != nil {
			close(first)
			r.end(err)
			return
		}
		defer resp.Body.Close()
		<-reads
		in := bufio.NewReader(resp.Body)
		_, _ = in.Peek(1)
		close(first)
		text, err := io.ReadAll(in)
		switch {
		case err == nil && resp.StatusCode != http.StatusOK:
			err = errors.New(resp.Status)
		case err == nil:
			err = whole(kind, text, p)
		}
		r.end(err)
	}()
	if kind == "events" || kind == "download" || kind == "duplex" {
		receive(t, first, "the first bytes at the client")
	}
	return r
}

// trickle sends little by little, until the request is over. (A client of
// net/http that waits for more to send doesn't see its connection end.)
func trickle(in *io.PipeWriter, finish chan struct{}) {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for _, err := io.WriteString(in, "first"); err == nil; {
		select {
		case <-finish:
			_, _ = io.WriteString(in, "last")
			in.Close()
			return
		case <-pause.C:
			_, err = io.WriteString(in, ".")
		}
	}
}

// whole says whether a client got all that there was.
func whole(kind string, text []byte, p *part) error {
	want := map[string]string{
		"events": "data: first\n\ndata: last\n\n", "poll": "answer", "duplex": "firstfirstlast", "upload": "",
	}[kind]
	if kind == "download" || kind == "blocked" {
		if int64(len(text)) != p.progress.Load() {
			return fmt.Errorf("%d bytes were read, and %d written", len(text), p.progress.Load())
		}
		return nil
	}
	if strings.ReplaceAll(string(text), ".", "") != want {
		return fmt.Errorf("read %q, want %q", text, want)
	}
	return nil
}

func (s *stage) openWebSocket(t *testing.T, c *caller, as who) *run {
	t.Helper()
	name, p := s.part()
	r := &run{part: p, ended: make(chan error, 1)}
	conn, err := c.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nPart: %s\r\nKind: websocket\r\nAuthorization: Key %s\r\n\r\n", as.path(), name, as.text)
	r.well = func() { _, _ = io.WriteString(conn, "last.") }
	go func() {
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
			err = errors.New(resp.Status)
		}
		if err == nil {
			var text []byte
			text, err = io.ReadAll(in)
			if err == nil && string(text) != "firstlast." {
				err = fmt.Errorf("read %q", text)
			}
		}
		r.end(err)
	}()
	return r
}
