package gatetest

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// Logs gathers what Caddy logs to a network address, and knows the secrets that
// must not be in it.
type Logs struct {
	// Addr is the address for Caddy's "output net".
	Addr string

	mu      sync.Mutex
	text    bytes.Buffer
	secrets []string
	conns   []net.Conn
}

// CaptureLogs starts to listen for logs.
func CaptureLogs(tb testing.TB) *Logs {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &Logs{Addr: ln.Addr().String()}
	go l.accept(ln)
	tb.Cleanup(func() {
		_ = ln.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range l.conns {
			_ = c.Close()
		}
	})
	return l
}

func (l *Logs) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return // the test has ended
		}
		l.mu.Lock()
		l.conns = append(l.conns, c)
		l.mu.Unlock()
		go l.read(c)
	}
}

func (l *Logs) read(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		l.mu.Lock()
		l.text.Write(buf[:n])
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// AddSecret adds a text that must not be logged, nor the digest of it.
func (l *Logs) AddSecret(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, s)
}

// Secrets returns the texts that must not be logged.
func (l *Logs) Secrets() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.secrets)
}

// String returns the log so far.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Wait waits until a line of the log has all of the parts, and returns it.
func (l *Logs) Wait(tb testing.TB, parts ...string) string {
	tb.Helper()
	for end := time.Now().Add(Deadline); ; {
		for line := range strings.Lines(l.String()) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return line
			}
		}
		if time.Now().After(end) {
			tb.Fatalf("no log line has %q", parts)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Check fails the test if a secret was logged.
func (l *Logs) Check(tb testing.TB) {
	tb.Helper()
	text := l.String()
	for _, s := range l.Secrets() {
		for line := range strings.Lines(text) {
			if strings.Contains(line, s) || strings.Contains(line, credential.DigestOf(s).String()) {
				tb.Errorf("a credential was logged: %s", line)
			}
		}
	}
}

func (l *Logs) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = bytes.Buffer{}
}
