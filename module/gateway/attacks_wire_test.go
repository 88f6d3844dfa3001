package gateway_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// attackConn is a connection over which the steps of a case are sent.
type attackConn interface {
	// send sends a step and reads its answers, as many as are given.
	send(s *attackStep, answers int) ([]reply, error)
	// honest sends a plain request and reads its answer; open is false where
	// the connection was closed instead.
	honest(target, credential string) (r reply, open bool)
	close()
}

// reply is what came back: ended where nothing did.
type reply struct {
	ended  bool
	status int
	header map[string]string
	body   string
}

// String is as the corpus writes it.
func (r reply) String() string {
	if r.ended {
		return "ended"
	}
	if grpc := r.header["grpc-status"]; grpc != "" {
		return "grpc " + grpc
	}
	var ours struct{ Status struct{ Code int } }
	if json.Unmarshal([]byte(r.body), &ours) == nil && ours.Status.Code != 0 {
		return fmt.Sprintf("%d %d", r.status, ours.Status.Code)
	}
	var problem struct{ Code int } // RFC 9457
	if json.Unmarshal([]byte(r.body), &problem) == nil && problem.Code != 0 {
		return fmt.Sprintf("%d %d", r.status, problem.Code)
	}
	return strconv.Itoa(r.status)
}

// sender is what the connections of all protocols have in common: what is sent
// is written with names in braces.
type sender struct {
	values map[string]string
}

func (s *sender) text(text string) (string, error) { return unescape(text, s.values) }

// fields reads header lines; a name that a case spells as it likes stays so.
func (s *sender) fields(lines []string) (fields [][2]string, err error) {
	for _, line := range lines {
		line, err := s.text(line)
		if err != nil {
			return nil, err
		}
		at := strings.Index(line[min(1, len(line)):], ":")
		if at < 0 {
			return nil, fmt.Errorf("the header line %q has no colon", line)
		}
		fields = append(fields, [2]string{line[:at+1], strings.TrimPrefix(line[at+2:], " ")})
	}
	return fields, nil
}

// requestFields are the fields of a request step over HTTP/2 and HTTP/3. Lines
// that begin with a colon replace its own pseudo-headers.
func (s *sender) requestFields(step *attackStep, scheme string) ([][2]string, error) {
	method, target, _ := strings.Cut(step.text, " ")
	target, err := s.text(target)
	if err != nil {
		return nil, err
	}
	fields := [][2]string{{":method", method}, {":scheme", scheme}, {":authority", s.values["host"]}, {":path", target}}
	own, err := s.fields(step.lines)
	if err != nil {
		return nil, err
	}
	for _, f := range own {
		switch {
		case strings.EqualFold(f[0], "Host"):
			fields[2][1] = f[1]
		default:
			fields = append(fields, [2]string{strings.ToLower(f[0]), f[1]})
		}
	}
	return fields, nil
}

// trailerFields are the trailers of a step over HTTP/2 and HTTP/3.
func (s *sender) trailerFields(step *attackStep) ([][2]string, error) {
	fields, err := s.fields(step.trailers)
	if step.kind == "request" {
		for i := range fields {
			fields[i][0] = strings.ToLower(fields[i][0])
		}
	}
	return fields, err
}

// h1Conn is HTTP/1.1.
type h1Conn struct {
	sender
	conn net.Conn
	in   *bufio.Reader
}

func dialH1(addr string, values map[string]string) (*h1Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &h1Conn{sender{values}, conn, bufio.NewReader(conn)}, conn.SetDeadline(time.Now().Add(gatetest.Deadline))
}

func (c *h1Conn) close() { c.conn.Close() }

func (c *h1Conn) send(s *attackStep, answers int) ([]reply, error) {
	method := ""
	var text strings.Builder
	switch s.kind {
	case "bytes":
		for _, line := range s.lines {
			line, err := c.text(line)
			if err != nil {
				return nil, err
			}
			text.WriteString(line)
		}
	case "request":
		var err error
		if method, err = c.request(&text, s); err != nil {
			return nil, err
		}
	}
	// The connection of a client that is refused early may have been closed.
	_, _ = io.WriteString(c.conn, text.String())
	var all []reply
	for range answers {
		all = append(all, c.read(method))
	}
	return all, nil
}

// request writes a request step as a plain client would.
func (c *h1Conn) request(b *strings.Builder, s *attackStep) (method string, err error) {
	method, target, _ := strings.Cut(s.text, " ")
	if target, err = c.text(target); err != nil {
		return "", err
	}
	fields, err := c.fields(s.lines)
	if err != nil {
		return "", err
	}
	body, err := c.text(s.body)
	if err != nil {
		return "", err
	}
	trailers, err := c.fields(s.trailers)
	if err != nil {
		return "", err
	}
	has := func(name string) bool {
		for _, f := range fields {
			if strings.EqualFold(f[0], name) {
				return true
			}
		}
		return false
	}
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\n", method, target)
	if !has("Host") {
		fmt.Fprintf(b, "Host: %s\r\n", c.values["host"])
	}
	for _, f := range fields {
		fmt.Fprintf(b, "%s: %s\r\n", f[0], f[1])
	}
	switch {
	case trailers != nil:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if body != "" {
			fmt.Fprintf(b, "%x\r\n%s\r\n", len(body), body)
		}
		b.WriteString("0\r\n")
		for _, f := range trailers {
			fmt.Fprintf(b, "%s: %s\r\n", f[0], f[1])
		}
		b.WriteString("\r\n")
	case s.hasBody && !has("Content-Length"):
		fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		b.WriteString("\r\n" + body)
	}
	return method, nil
}

// read reads an answer, past those that are not final.
func (c *h1Conn) read(method string) reply {
	for {
		resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err != nil {
			return reply{ended: true}
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		r := reply{status: resp.StatusCode, header: map[string]string{}}
		for name, values := range resp.Header {
			r.header[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return reply{ended: true}
		}
		r.body = string(body)
		return r
	}
}

func (c *h1Conn) honest(target, credential string) (reply, bool) {
	_, _ = fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Key %s\r\n\r\n", target, c.values["host"], credential)
	r := c.read("GET")
	return r, !r.ended
}
