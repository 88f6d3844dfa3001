// Package gatetest is the harness of the tests that need a running gate: a Caddy
// server with a gate, an upstream that records what reaches it, clients, the log,
// and a store that fails on demand.
//
// A typical test starts a server, fills its store and asks:
//
//	server := gatetest.Start(t, "route GET /v2/inputs Inputs:Get")
//	server.AddUsers("alice")
//	server.AddApp("alice", "shop")
//	key := server.AppKey("alice", "shop", "Inputs:Get")
//	a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/v2/inputs", "Authorization: Key "+key)
//	// a.StatusCode, and a.Forwarded if the request reached the upstream
//
// A process has one Caddy, so the tests of a package that uses this one run one
// after another. The tests of several packages run at the same time: each server
// has addresses of its own. What a server needs ends with its test.
package gatetest

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Deadline is how long a test waits for an event before it fails.
const Deadline = 30 * time.Second

// Operator is the actor of changes that a test makes in the store.
var Operator = keys.Actor{ID: keys.Operator}

// Until waits until condition is true. If it never is, the test fails and names
// the event.
func Until(tb testing.TB, event string, condition func() bool) {
	tb.Helper()
	for end := time.Now().Add(Deadline); !condition(); {
		if time.Now().After(end) {
			tb.Fatalf("%s: it didn't happen", event)
		}
		<-time.After(time.Millisecond)
	}
}

// Receive returns the next value of a channel. If none comes, the test fails and
// names the event.
func Receive[T any](tb testing.TB, c <-chan T, event string) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(Deadline):
		tb.Fatalf("%s: it didn't happen", event)
	}
	return v
}

// WaitClosed reads from a connection until its other side closes it.
func WaitClosed(tb testing.TB, conn net.Conn) {
	tb.Helper()
	_, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		tb.Error("the connection is still open")
	}
}
