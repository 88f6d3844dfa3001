//go:build linux

package etcdtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// soon bounds what a cut must not let happen.
const soon = 300 * time.Millisecond

// pair is two hosts with a connection between them.
type pair struct {
	net            *Net
	a, b           *Host
	ln             net.Listener
	atA, atB       net.Conn
	linesA, linesB *bufio.Reader
}

func newPair(t *testing.T) *pair {
	t.Helper()
	n := NewNet(t)
	p := &pair{net: n, a: n.Host("a"), b: n.Host("b")}
	var err error
	if p.ln, err = p.b.Listen(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.ln.Close() })
	if p.atA, err = p.dial(t, Deadline); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.atA.Close() })
	if p.atB, err = p.ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.atB.Close() })
	p.linesA, p.linesB = bufio.NewReader(p.atA), bufio.NewReader(p.atB)
	return p
}

func (p *pair) dial(t *testing.T, patience time.Duration) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return p.a.DialContext(ctx, "tcp", p.ln.Addr().String())
}

// say writes a line.
func say(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(conn, line); err != nil {
		t.Fatal(err)
	}
}

// hears reports whether a line arrives in time.
func hears(t *testing.T, conn net.Conn, lines *bufio.Reader, line string, patience time.Duration) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got, err := lines.ReadString('\n')
	return err == nil && got == line+"\n"
}

func TestCutBothWays(t *testing.T) {
	p := newPair(t)
	say(t, p.atA, "whole")
	if !hears(t, p.atB, p.linesB, "whole", Deadline) {
		t.Fatal("the network doesn't work")
	}
	p.net.Cut(p.a, p.b)
	say(t, p.atA, "to b")
	say(t, p.atB, "to a")
	if hears(t, p.atB, p.linesB, "to b", soon) || hears(t, p.atA, p.linesA, "to a", soon) {
		t.Error("a packet passed the cut")
	}
	if conn, err := p.dial(t, soon); err == nil {
		_ = conn.Close()
		t.Error("a connection passed the cut")
	}
	p.net.Heal()
	if !hears(t, p.atB, p.linesB, "to b", Deadline) || !hears(t, p.atA, p.linesA, "to a", Deadline) {
		t.Error("the connection doesn't go on")
	}
}

func TestCutOneWay(t *testing.T) {
	p := newPair(t)
	p.net.CutOneWay(p.b, p.a)
	say(t, p.atA, "to b")
	if !hears(t, p.atB, p.linesB, "to b", Deadline) {
		t.Error("nothing arrives in the direction that isn't cut")
	}
	say(t, p.atB, "to a")
	if hears(t, p.atA, p.linesA, "to a", soon) {
		t.Error("a packet passed the cut")
	}
	p.net.Heal()
	if !hears(t, p.atA, p.linesA, "to a", Deadline) {
		t.Error("the connection doesn't go on")
	}
}

func TestDelayAndLoss(t *testing.T) {
	const late = 50 * time.Millisecond
	p := newPair(t)
	p.net.Delay(p.b, late, 10*time.Millisecond, 0)
	began := time.Now()
	say(t, p.atA, "there")
	if !hears(t, p.atB, p.linesB, "there", Deadline) {
		t.Fatal("nothing arrives")
	}
	say(t, p.atB, "back")
	if !hears(t, p.atA, p.linesA, "back", Deadline) {
		t.Fatal("nothing comes back")
	}
	if took := time.Since(began); took < 2*late {
		t.Errorf("there and back took %s", took)
	}

	p.net.Delay(p.b, 0, 0, 1)
	say(t, p.atA, "lost")
	if hears(t, p.atB, p.linesB, "lost", soon) {
		t.Error("nothing was lost")
	}
	p.net.Delay(p.b, 0, 0, 0.2)
	const size = 1 << 20
	go func() { _, _ = io.CopyN(p.atA, zeros{}, size) }() // what fails here, the reader notices
	if err := p.atB.SetReadDeadline(time.Now().Add(Deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, p.linesB, size); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestHostCommand(t *testing.T) {
	n := NewNet(t)
	host := n.Host("a")
	ln, err := n.Test().Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	out, err := host.Command("bash", "-c", fmt.Sprintf("echo hello >/dev/tcp/%s/%d; readlink /proc/self/ns/net", n.Test().Addr(), port)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if own, err := os.Readlink(threadNamespace); err != nil || own+"\n" == string(out) {
		t.Errorf("the command was in this process's namespace, %s, %v", out, err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if from := conn.RemoteAddr().(*net.TCPAddr).IP.String(); from != host.Addr() {
		t.Errorf("the connection is from %s", from)
	}
	if !hears(t, conn, bufio.NewReader(conn), "hello", Deadline) {
		t.Error("nothing arrives")
	}
}

// A leader that is cut off loses its place, and follows when the cut is healed.
func TestClusterOnHosts(t *testing.T) {
	n := NewNet(t)
	hosts := []*Host{n.Host("a"), n.Host("b"), n.Host("c")}
	c := Start(t, len(hosts), On(hosts...), UnsafeNoFsync())
	old := c.Leader()
	var others []*Host
	var rest []*Member
	for _, m := range c.Members() {
		if m != old {
			others, rest = append(others, m.Host), append(rest, m)
		}
	}
	n.Cut(old.Host, others...)
	put(t, c.Client(rest...), "a", "1")
	if leader := c.Leader(); leader == old {
		t.Error("the leader that is cut off still leads")
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := c.Client(old).Get(ctx, "a"); err == nil {
		t.Error("the member that is cut off answers a linearizable read")
	}
	n.Heal()
	c.WaitReady()
	want(t, c.Client(old), "a", "1")
}
