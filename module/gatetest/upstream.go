package gatetest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Upstream is a server behind the gate. It keeps the requests that reach it and
// answers each with "reached", over HTTP/1.1 and h2c.
type Upstream struct {
	// Addr is its host and port.
	Addr string

	mu     sync.Mutex
	all    []*Request
	handle http.HandlerFunc
}

// Request is a request as the upstream saw it.
type Request struct {
	Method, URI, Proto string
	Header             http.Header
	Trailer            http.Header
	Body               string
}

// NewUpstream starts an upstream.
func NewUpstream(tb testing.TB) *Upstream {
	tb.Helper()
	u := new(Upstream)
	s := httptest.NewUnstartedServer(u)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	u.Addr = s.Listener.Addr().String()
	tb.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return u
}

// ServeHTTP keeps the request and answers it.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := &Request{Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Header: r.Header.Clone()}
	u.mu.Lock()
	u.all = append(u.all, seen)
	handle := u.handle
	u.mu.Unlock()
	if handle != nil {
		handle(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body) // the part of a broken body that came is kept too
	u.mu.Lock()
	seen.Body, seen.Trailer = string(body), r.Trailer.Clone()
	u.mu.Unlock()
	fmt.Fprint(w, "reached")
}

// AnswerWith has a handler answer the requests from now on. Their bodies are
// not kept.
func (u *Upstream) AnswerWith(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handle = h
}

// Count returns how many requests have reached the upstream.
func (u *Upstream) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.all)
}

// Last returns a copy of what has come of the last request. More of its body may
// be on the way.
func (u *Upstream) Last() *Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := *u.all[len(u.all)-1]
	return &last
}

func (u *Upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = nil
}

// IdentityHeaders returns what a request's headers with the default prefix say
// about its caller, in whatever spelling they arrive: the value of X-Caller-User-Id
// is that of user-id.
func IdentityHeaders(h http.Header) map[string]string {
	identity := map[string]string{}
	for name, values := range h {
		folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		if what, ok := strings.CutPrefix(folded, "x-caller-"); ok {
			identity[what] = strings.Join(values, "|")
		}
	}
	return identity
}
