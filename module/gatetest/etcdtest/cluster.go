//go:build linux

// Package etcdtest runs real etcd servers for tests: each member of a cluster is a
// process of its own, which a test can kill, stop for a while, restore from a
// snapshot and replace.
//
//	cluster := etcdtest.Start(t, 3)
//	client := cluster.Client()
//	cluster.Leader().Kill()
//
// What a cluster needs ends with its test. If the test fails, the end of each
// member's log is shown.
package etcdtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// Deadline is how long a test waits for an event before it fails.
const Deadline = 60 * time.Second

// Cluster is a running etcd. One goroutine at a time may use it.
type Cluster struct {
	tb      testing.TB
	binary  string
	dir     string
	args    []string
	members []*Member
	// scheme is that of the clients' URLs, and tls is set if it is https.
	scheme string
	tls    *tls.Config
	// hosts are those that the members run on. Without any they run on loopback.
	hosts []*Host
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Option changes how a cluster is started.
type Option func(*Cluster)

// Args gives each member more flags.
func Args(flags ...string) Option {
	return func(c *Cluster) { c.args = append(c.args, flags...) }
}

// UnsafeNoFsync has members leave their writes to the kernel, which is faster.
// It is for tests that don't need what a power cut would lose.
func UnsafeNoFsync() Option { return Args("--unsafe-no-fsync") }

// On runs each member on a host of its own: the first on the first, and so on.
func On(hosts ...*Host) Option {
	return func(c *Cluster) { c.hosts = hosts }
}

// Start runs a cluster of so many members, and returns when each answers
// linearizable reads.
func Start(tb testing.TB, members int, options ...Option) *Cluster {
	tb.Helper()
	return start(tb, Binary(tb), members, options...)
}

func start(tb testing.TB, binary string, members int, options ...Option) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, binary: binary, dir: tb.TempDir(), scheme: "http"}
	for _, option := range options {
		option(c)
	}
	c.dial = new(net.Dialer).DialContext
	if len(c.hosts) > 0 {
		if len(c.hosts) != members {
			tb.Fatalf("%d hosts for %d members", len(c.hosts), members)
		}
		c.dial = c.hosts[0].net.test.DialContext
	}
	if c.scheme == "https" {
		if err := c.makeCertificate(); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(c.end)
	const attempts = 3
	for attempt := 1; ; attempt++ {
		err := c.startMembers(members)
		if err == nil {
			return c
		}
		c.killAll()
		if !errors.Is(err, errAddressInUse) || attempt == attempts {
			tb.Fatal(err)
		}
	}
}

// startMembers starts a cluster that has no data yet.
func (c *Cluster) startMembers(n int) error {
	c.members = nil
	for i := range n {
		m := &Member{cluster: c, Name: fmt.Sprintf("m%d", i), state: "new"}
		if len(c.hosts) > 0 {
			m.Host = c.hosts[i]
			m.peer, m.client = m.Host.Addr()+":2380", m.Host.Addr()+":2379"
		} else {
			m.peer, m.client = machine.FreeAddress(c.tb), machine.FreeAddress(c.tb)
		}
		m.log = filepath.Join(c.dir, m.Name+".log")
		c.members = append(c.members, m)
		if err := m.newData(); err != nil {
			return err
		}
	}
	for _, m := range c.members {
		if err := m.launch(); err != nil {
			return err
		}
	}
	return c.ready()
}

// Members returns all members, running or not.
func (c *Cluster) Members() []*Member { return c.members }

// Member returns one of the members. The first is 0.
func (c *Cluster) Member(i int) *Member { return c.members[i] }

// Endpoints returns the URLs of all members for clients, http://HOST:PORT, or
// https with the option TLS.
func (c *Cluster) Endpoints() (urls []string) {
	for _, m := range c.members {
		urls = append(urls, m.Endpoint())
	}
	return urls
}

// WaitReady waits until each member that runs answers linearizable reads.
func (c *Cluster) WaitReady() {
	c.tb.Helper()
	if err := c.ready(); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *Cluster) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	for _, m := range c.members {
		if m.Running() {
			if err := m.ready(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cluster) killAll() {
	for _, m := range c.members {
		if m.Process != nil {
			m.Kill()
		}
	}
}

// end ends all members. A member that ended by itself fails the test.
func (c *Cluster) end() {
	for _, m := range c.members {
		if m.Process != nil && !m.Running() && !m.killed {
			c.tb.Errorf("%s ended by itself: %v", m.Name, m.State())
		}
	}
	c.killAll()
	if !c.tb.Failed() {
		return
	}
	for _, m := range c.members {
		c.tb.Logf("the log of %s ends with\n%s", m.Name, tail(m.log))
	}
}

// tail returns the last lines of a log.
func tail(file string) string {
	const count, width = 20, 300
	text, err := os.ReadFile(file) //nolint:gosec // a file in the test's folder
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-count):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), width)]
	}
	return strings.Join(lines, "\n")
}
