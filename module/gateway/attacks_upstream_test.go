package gateway_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is an upstream that keeps every byte it is sent, and reads HTTP/1.1
// to the letter: what it would have to guess at is a mistake of the client that
// sent it. Its answers name the request that they are to.
type recorder struct {
	addr  string
	mu    sync.Mutex
	all   []*recorded
	conns []net.Conn
	// sent is all that came over any connection.
	sent bytes.Buffer
}

// recorded is a request as it came.
type recorded struct {
	method, target string
	lines          []string // of the header
	trailers       []string
	body           []byte
	// whole is true if the request came to its end, and broken why it didn't.
	whole  bool
	broken error
}

func newRecorder(t *testing.T) *recorder {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &recorder{addr: ln.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.conns = append(u.conns, c)
			u.mu.Unlock()
			running.Go(func() { u.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		u.mu.Lock()
		for _, c := range u.conns {
			c.Close()
		}
		u.mu.Unlock()
		running.Wait()
	})
	return u
}

// Write keeps what was read.
func (u *recorder) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sent.Write(p)
}

func (u *recorder) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(io.TeeReader(c, u))
	for {
		r, err := u.read(in)
		if err != nil {
			return
		}
		answer := "reached " + r.method + " " + r.target
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(answer))
		if r.method == "HEAD" {
			answer = ""
		}
		if _, err := io.WriteString(c, head+answer); err != nil {
			return
		}
	}
}

// read reads a request. It is on the list from the end of its header on.
func (u *recorder) read(in *bufio.Reader) (*recorded, error) {
	r := new(recorded)
	// Nothing at all is the end of the connection.
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	length, chunked, err := r.readHead(in)
	u.mu.Lock()
	u.all = append(u.all, r)
	u.mu.Unlock()
	var body []byte
	var trailers []string
	if err == nil && chunked {
		body, trailers, err = readChunks(in)
	} else if err == nil {
		body = make([]byte, length)
		var n int
		n, err = io.ReadFull(in, body)
		body = body[:n]
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	r.body, r.trailers, r.whole, r.broken = body, trailers, err == nil, err
	return r, err
}

func (r *recorded) readHead(in *bufio.Reader) (length int64, chunked bool, err error) {
	line, err := crlfLine(in)
	if err != nil {
		return 0, false, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" || parts[0] == "" || parts[1] == "" {
		return 0, false, fmt.Errorf("the request line %q", line)
	}
	r.method, r.target = parts[0], parts[1]
	if r.lines, err = headerLines(in); err != nil {
		return 0, false, err
	}
	for _, line := range r.lines {
		switch name, value, _ := strings.Cut(line, ": "); {
		case strings.EqualFold(name, "Content-Length"):
			if length > 0 || chunked {
				return 0, false, errors.New("more than one length")
			}
			if length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return 0, false, err
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			if length > 0 || chunked || value != "chunked" {
				return 0, false, errors.New("another transfer encoding")
			}
			chunked = true
		}
	}
	return length, chunked, nil
}

func crlfLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(line, "\r\x00") {
		return "", fmt.Errorf("the line %q", line)
	}
	return line, nil
}

// headerLines reads to the empty line.
func headerLines(in *bufio.Reader) (lines []string, err error) {
	for {
		line, err := crlfLine(in)
		if err != nil || line == "" {
			return lines, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || !strings.HasPrefix(value, " ") || strings.TrimSpace(value) != value[1:] {
			return nil, fmt.Errorf("the header line %q", line)
		}
		lines = append(lines, line)
	}
}

// isToken reports whether a text may be a field's name (RFC 9110, section
// 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func readChunks(in *bufio.Reader) (body []byte, trailers []string, err error) {
	for {
		line, err := crlfLine(in)
		if err != nil {
			return body, nil, err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return body, nil, fmt.Errorf("the chunk's length %q", line)
		}
		if n == 0 {
			trailers, err = headerLines(in)
			return body, trailers, err
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return body, nil, err
		}
		body = append(body, chunk...)
		if line, err = crlfLine(in); err != nil || line != "" {
			return body, nil, fmt.Errorf("a chunk that is longer than it says: %w", err)
		}
	}
}

func (u *recorder) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.all)
}

// since are the requests from the nth on, as they are now.
func (u *recorder) since(n int) (all []recorded) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.all[n:] {
		all = append(all, *r)
	}
	return all
}

// patience is how long a request that was sent may take to come, or to end.
const patience = 10 * time.Second

// await waits until so many requests have come, from the nth on, and all have
// come to an end, a good or a bad one. It answers those that there are.
func (u *recorder) await(n, many int) []recorded {
	for end := time.Now().Add(patience); ; {
		all := u.since(n)
		running := slices.ContainsFunc(all, func(r recorded) bool { return !r.whole && r.broken == nil })
		if len(all) >= many && !running || time.Now().After(end) {
			return all
		}
		<-time.After(time.Millisecond)
	}
}

// values are those of a header's lines, whatever the case of its name.
func (r *recorded) values(name string) (values []string) {
	for _, line := range r.lines {
		if got, value, _ := strings.Cut(line, ": "); strings.EqualFold(got, name) {
			values = append(values, value)
		}
	}
	return values
}
