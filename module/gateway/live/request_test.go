package live

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// liveRequest is a request under way, as its client sees it.
type liveRequest struct {
	*upstreamSide
	at    time.Time  // of ended
	ended chan error // how it ended for the client, nil for well
	// well has the request end as it should.
	well func()
	// read has the client of a blocked response read on.
	read func()
}

func (r *liveRequest) end(err error) {
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

// keyUse is a credential, and the app that it is used on.
type keyUse struct{ text, owner, app string }

func (h *keyUse) path() string { return "/v2/users/" + h.owner + "/apps/" + h.app + "/live" }

// open begins a request of a kind, and returns when it is under way.
func (s *liveServer) open(t *testing.T, c *liveClient, kind, via string, as keyUse) *liveRequest {
	t.Helper()
	r, err := s.tryOpen(t, c, kind, via, as)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *liveServer) tryOpen(t *testing.T, c *liveClient, kind, via string, as keyUse) (*liveRequest, error) {
	t.Helper()
	var r *liveRequest
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
	case <-time.After(gatetest.Deadline):
		return nil, errors.New("it didn't begin")
	}
}

// untilBlocked waits until the upstream writes no more, because nobody reads.
func (r *liveRequest) untilBlocked(t *testing.T) {
	t.Helper()
	last, since := int64(0), time.Now()
	gatetest.Until(t, "a response that is blocked", func() bool {
		if n := r.progress.Load(); n != last || n == 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > 50*time.Millisecond || len(r.ended) > 0
	})
	if len(r.ended) == 0 {
		close(r.ready)
	}
}

func (s *liveServer) openHTTP(t *testing.T, c *liveClient, kind, via string, as keyUse) *liveRequest {
	name, p := s.newSide()
	r := &liveRequest{upstreamSide: p, ended: make(chan error, 1)}
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
		if resp.StatusCode == http.StatusOK { // a refusal is read at once
			<-reads
		}
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
		gatetest.Receive(t, first, "the first bytes at the client")
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

// whole reports whether a client got all that there was.
func whole(kind string, text []byte, p *upstreamSide) error {
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

func (s *liveServer) openWebSocket(t *testing.T, c *liveClient, as keyUse) *liveRequest {
	t.Helper()
	name, p := s.newSide()
	r := &liveRequest{upstreamSide: p, ended: make(chan error, 1)}
	conn, err := c.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(gatetest.Deadline)); err != nil {
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
