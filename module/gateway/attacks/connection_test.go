package attacks

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
	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
)

// attackConn is a connection over which the steps of a case are sent.
type attackConn interface {
	// send sends a step and reads its answers, as many as are given.
	send(s *corpus.Step, answers int) ([]reply, error)
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

// h1Conn is HTTP/1.1.
type h1Conn struct {
	corpus.Writer
	conn net.Conn
	in   *bufio.Reader
}

func dialH1(addr string, values map[string]string) (*h1Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &h1Conn{corpus.Writer{Values: values}, conn, bufio.NewReader(conn)}, conn.SetDeadline(time.Now().Add(gatetest.Deadline))
}

func (c *h1Conn) close() { c.conn.Close() }

func (c *h1Conn) send(s *corpus.Step, answers int) ([]reply, error) {
	method := ""
	var text strings.Builder
	switch s.Kind {
	case "bytes":
		for _, line := range s.Lines {
			line, err := c.Text(line)
			if err != nil {
				return nil, err
			}
			text.WriteString(line)
		}
	case "request":
		var err error
		if method, err = c.Request(&text, s); err != nil {
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
	_, _ = fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Key %s\r\n\r\n", target, c.Values["host"], credential)
	r := c.read("GET")
	return r, !r.ended
}
