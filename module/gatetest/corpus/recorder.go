package corpus

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Recorder is an upstream that reads HTTP/1.1 to the letter: whatever it would
// have to guess is a mistake of the client that sent it. Its answers name the
// request that they answer.
type Recorder struct {
	// Addr is its host and port.
	Addr string

	mu    sync.Mutex
	all   []*Request
	conns []net.Conn
}

// Request is a request as it came.
type Request struct {
	Method, Target string
	// Lines are those of the header.
	Lines, Trailers []string
	Body            []byte
	// Whole is true if the request came to its end, and Broken is why it didn't.
	Whole  bool
	Broken error
}

// NewRecorder starts a recorder.
func NewRecorder(tb testing.TB) *Recorder {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	u := &Recorder{Addr: ln.Addr().String()}
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
	tb.Cleanup(func() {
		_ = ln.Close()
		u.mu.Lock()
		for _, c := range u.conns {
			_ = c.Close()
		}
		u.mu.Unlock()
		running.Wait()
	})
	return u
}

func (u *Recorder) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := u.read(in)
		if err != nil {
			return
		}
		answer := "reached " + r.Method + " " + r.Target
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(answer))
		if r.Method == "HEAD" {
			answer = ""
		}
		if _, err := io.WriteString(c, head+answer); err != nil {
			return
		}
	}
}

// read reads a request. It is on the list from the end of its header on.
func (u *Recorder) read(in *bufio.Reader) (*Request, error) {
	r := new(Request)
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
	r.Body, r.Trailers, r.Whole, r.Broken = body, trailers, err == nil, err
	return r, err
}

// Count returns how many requests have come.
func (u *Recorder) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.all)
}

// since returns the requests from the nth on, as they are now.
func (u *Recorder) since(n int) (all []Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.all[n:] {
		all = append(all, *r)
	}
	return all
}

// patience is how long a request that was sent may take to come, or to end.
const patience = 10 * time.Second

// Await waits until so many requests have come, from the nth on, and each has
// ended, well or badly. If they don't, it returns those that have come.
func (u *Recorder) Await(n, many int) []Request {
	for end := time.Now().Add(patience); ; {
		all := u.since(n)
		running := slices.ContainsFunc(all, func(r Request) bool { return !r.Whole && r.Broken == nil })
		if len(all) >= many && !running || time.Now().After(end) {
			return all
		}
		<-time.After(time.Millisecond)
	}
}

// Values returns the values of a header, whatever the case of its name.
func (r *Request) Values(name string) (values []string) {
	for _, line := range r.Lines {
		if got, value, _ := strings.Cut(line, ": "); strings.EqualFold(got, name) {
			values = append(values, value)
		}
	}
	return values
}
