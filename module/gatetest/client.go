package gatetest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Protocols are the versions of HTTP that Client speaks.
var Protocols = []string{"HTTP/1.1", "HTTP/2"}

// Client returns a client that speaks one of Protocols, in clear.
func Client(tb testing.TB, protocol string) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	if protocol == "HTTP/2" {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	tb.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: Deadline}
}

// Answer is a response, and the request as it was forwarded.
type Answer struct {
	*http.Response
	// Text is the response's body.
	Text string
	// Forwarded is the request as the upstream saw it, nil if it never did.
	Forwarded *Request
}

// APIStatus is the status object of an answer of the gate.
type APIStatus struct {
	Code             int
	Description      string
	Details          string
	ReqID            string   `json:"req_id"`
	MissingScopes    []string `json:"missing_scopes"`
	MissingEndpoints []string `json:"missing_endpoints"`
}

// APIStatus returns the answer's status object.
func (a *Answer) APIStatus(tb testing.TB) (s APIStatus) {
	tb.Helper()
	if err := json.Unmarshal([]byte(a.Text), &struct{ Status any }{&s}); err != nil {
		tb.Errorf("%s: %v in %q", a.Status, err, a.Text)
	}
	return s
}

// Ask sends a request with header lines, such as "Authorization: Key …".
func (s *Server) Ask(c *http.Client, method, target string, lines ...string) *Answer {
	s.T.Helper()
	return s.AskBody(c, method, target, nil, lines...)
}

// AskBody sends a request with a body and header lines.
func (s *Server) AskBody(c *http.Client, method, target string, body io.Reader, lines ...string) *Answer {
	s.T.Helper()
	r, err := http.NewRequest(method, "http://"+s.Addr+target, body)
	if err != nil {
		s.T.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	before := s.Upstream.Count()
	resp, err := c.Do(r)
	if err != nil {
		s.T.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	a := &Answer{Response: resp, Text: string(text)}
	if s.Upstream.Count() > before {
		a.Forwarded = s.Upstream.Last()
	}
	return a
}

// Dial opens a connection to the site and writes text to it.
func (s *Server) Dial(text string) net.Conn {
	s.T.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(Deadline)); err != nil {
		s.T.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		s.T.Fatal(err)
	}
	return conn
}

// Raw writes text to a new connection and returns the status that comes back
// first, or 0 if the connection is closed without one.
func (s *Server) Raw(text string) int {
	s.T.Helper()
	conn := s.Dial(text)
	defer conn.Close()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// DoAgain sends a request as a client that reloads don't disturb: after an error
// of the connection it tries again, as RFC 9110, section 9.2.2, allows for
// idempotent methods. At a reload the server opens its socket again, and the
// kernel resets connections that wait in the old one's queue; that happens with
// any handler, and before one is asked.
func DoAgain(c *http.Client, r *http.Request) (*http.Response, error) {
	var resp *http.Response
	var err error
	for range 10 {
		if resp, err = c.Do(r); err == nil { //nolint:gosec // the request is the test's own
			return resp, nil
		}
		if r.GetBody != nil {
			r.Body, _ = r.GetBody()
		}
	}
	return nil, err
}
