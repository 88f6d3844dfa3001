// Package machine has what tests need from the machine that they run on: free
// addresses, programs and npm modules. It imports nothing of the project, so
// that tests of every package can use it.
package machine

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports are handed out below those that systems give to outgoing connections
// and to programs that listen on port 0 (from 32768 on Linux, from 49152
// elsewhere), and each has a guard: who listens on the guard has the port, so
// that tests of other processes, which run at the same time, leave it alone.
// Asking for port 0 and giving it back would be shorter, and hands one port to
// two tests in some hundred runs.
const (
	firstPort = 20_000
	ports     = 10_000
	toGuard   = -ports
)

// FreeAddress returns an address of this machine, host and port, on which nobody
// listens by TCP or UDP. No other test gets it before tb ends. A configuration
// needs it, because it names a port before anybody listens on it.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	for range ports {
		port := firstPort + rand.IntN(ports) //nolint:gosec // no secret; it spreads processes apart
		guard, err := lc.Listen(tb.Context(), "tcp", address(port+toGuard))
		if err != nil {
			continue
		}
		if isFree(tb, port) {
			tb.Cleanup(func() { _ = guard.Close() })
			return address(port)
		}
		_ = guard.Close()
	}
	tb.Fatalf("no port of 127.0.0.1 from %d to %d is free; end what listens there", firstPort, firstPort+ports-1)
	return ""
}

func isFree(tb testing.TB, port int) bool {
	var lc net.ListenConfig
	tcp, err := lc.Listen(tb.Context(), "tcp", address(port))
	if err != nil {
		return false
	}
	_ = tcp.Close()
	udp, err := lc.ListenPacket(tb.Context(), "udp", address(port))
	if err != nil {
		return false
	}
	_ = udp.Close()
	return true
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
