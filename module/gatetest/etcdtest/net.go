//go:build linux

package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// network is that of the hosts' addresses. Each Net has its own namespaces, so
// all use the same.
var network = netip.MustParsePrefix("10.99.0.0/24")

// Net is a network of hosts, each in a network namespace of its own. The test's
// process carries the packets between them, and loses or delays them as the test
// says, so TCP meets what it meets in a network that fails. It needs root and
// /dev/net/tun, and no other module of the kernel. Any goroutine may make faults.
//
//	network := etcdtest.NewNet(t)
//	a, b, gate := network.Host("a"), network.Host("b"), network.Host("gate")
//	cluster := etcdtest.Start(t, 2, etcdtest.On(a, b))
//	command := gate.Command("caddy", "run")
//	network.Cut(gate, a, b)
//	network.Heal()
type Net struct {
	tb testing.TB
	// test is the host that the test's own connections come from.
	test *Host

	mu      sync.RWMutex
	hosts   map[string]*Host
	byAddr  map[netip.Addr]*Host
	cut     map[way]bool
	delays  map[*Host]delay
	links   map[way]chan packet
	carried sync.WaitGroup
	closed  bool

	// dials are under way. ended ends those that a client has left behind.
	dials sync.WaitGroup
	ended context.Context
	end   context.CancelFunc
}

// way is the direction from one host to another.
type way struct{ from, to *Host }

// delay is what befalls the packets of a host.
type delay struct {
	least, jitter time.Duration
	loss          float64
}

// NewNet makes a network without hosts. It ends with the test.
func NewNet(tb testing.TB) *Net {
	tb.Helper()
	n := &Net{
		tb: tb, hosts: map[string]*Host{}, byAddr: map[netip.Addr]*Host{},
		cut: map[way]bool{}, delays: map[*Host]delay{}, links: map[way]chan packet{},
	}
	n.ended, n.end = context.WithCancel(context.Background())
	tb.Cleanup(n.close)
	n.test = n.Host("test")
	return n
}

// Test returns the host from which the test's process reaches the others. No
// fault concerns it unless the test names it.
func (n *Net) Test() *Host { return n.test }

// Host returns the host of this name. It makes the host if there isn't one.
func (n *Net) Host(name string) *Host {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		return h
	}
	addr := network.Addr()
	for range len(n.hosts) + 1 {
		addr = addr.Next()
	}
	ns, err := newNamespace(netip.PrefixFrom(addr, network.Bits()))
	if errors.Is(err, unix.EPERM) || errors.Is(err, fs.ErrNotExist) {
		machine.Missing(n.tb, "network namespaces need root and /dev/net/tun: %v", err)
	}
	if err != nil {
		n.tb.Fatal(err)
	}
	h := &Host{Name: name, net: n, addr: addr, namespace: ns}
	n.hosts[name], n.byAddr[addr] = h, h
	n.carried.Go(func() { n.carry(h) })
	return h
}

// Cut loses all packets between a host and others, both ways, until Heal.
func (n *Net) Cut(host *Host, others ...*Host) {
	for _, other := range others {
		n.CutOneWay(host, other)
		n.CutOneWay(other, host)
	}
}

// CutOneWay loses all packets from one host to others until Heal. Those in the
// other direction arrive.
func (n *Net) CutOneWay(from *Host, to ...*Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, other := range to {
		n.cut[way{from, other}] = true
	}
}

// Delay holds up each packet that a host sends or gets by a time between least
// and least plus jitter, in order, and loses this part of them, from 0 to 1,
// until Heal. A round trip takes twice as long.
func (n *Net) Delay(host *Host, least, jitter time.Duration, loss float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delays[host] = delay{least, jitter, loss}
}

// Heal ends all faults. What was lost stays lost, and TCP sends it again when
// its time comes.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	clear(n.delays)
}

// close ends the carriers. The kernel removes the namespaces when the last
// process in them ends.
func (n *Net) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.end()
	n.dials.Wait()
	n.mu.Lock()
	for _, h := range n.hosts {
		if err := errors.Join(h.namespace.device.Close(), h.namespace.file.Close()); err != nil {
			n.tb.Error(err)
		}
	}
	for _, link := range slices.Collect(maps.Values(n.links)) {
		close(link)
	}
	n.mu.Unlock()
	n.carried.Wait()
}

// beginDial counts a dial, unless the network has ended. A http.Transport goes on to
// dial when its client has left.
func (n *Net) beginDial() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.dials.Add(1)
	return true
}

// Host is a machine in a Net: a network namespace with an address.
type Host struct {
	Name string

	net       *Net
	addr      netip.Addr
	namespace namespace
}

// Addr returns the host's IP address.
func (h *Host) Addr() string { return h.addr.String() }

// Command returns a command that runs on the host. The kernel kills it if the
// test's process ends.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	inside := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), h.namespace.file.Fd())
	cmd := exec.Command("nsenter", append([]string{inside, "--", name}, args...)...) //nolint:gosec // what the test runs
	cmd.SysProcAttr = endWithTest()
	return cmd
}

// DialContext connects from the host. It is as a http.Transport wants it. It returns
// [net.ErrClosed] if the network has ended.
func (h *Host) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	if !h.net.beginDial() {
		return nil, net.ErrClosed
	}
	defer h.net.dials.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.net.ended, cancel)()
	err = h.namespace.inside(func() error {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Listen listens for TCP connections on a port of the host. Port 0 takes a free
// one.
func (h *Host) Listen(port int) (ln net.Listener, err error) {
	err = h.namespace.inside(func() error {
		var lc net.ListenConfig
		ln, err = lc.Listen(context.Background(), "tcp", netip.AddrPortFrom(h.addr, uint16(port)).String())
		return err
	})
	return ln, err
}
