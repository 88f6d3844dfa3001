//go:build linux

package fleettest

import (
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// While the Caddys are restarted one after the other, changes can be made. Clients that
// try the next Caddy if one doesn't listen get only good answers.
func TestRollingRestart(t *testing.T) {
	c := startCaddies(t)
	c.makeAlice(filepath.Join(c.folder, "password"))
	key := c.list[0].makeKeys(t, 1)[0]
	var over atomic.Bool
	var good, elsewhere atomic.Int64
	var clients sync.WaitGroup
	for n := range 2 * gates {
		clients.Go(func() {
			for at := n; !over.Load(); at++ {
				g := c.list[at%gates]
				status, err := g.get(t.Context(), ":8080"+someInputs, key)
				switch {
				case err != nil: // the Caddy has ended, or has yet to start
					elsewhere.Add(1)
				case status != http.StatusOK:
					t.Errorf("%s answers %d", g.host.Name, status)
				default:
					good.Add(1)
				}
				<-time.After(time.Millisecond)
			}
		})
	}
	for i, g := range c.list {
		g.Signal(syscall.SIGTERM)
		waitUntil(t, func() bool { return !g.Running() })
		c.list[(i+1)%gates].makeKeys(t, 1)
		g.run()
	}
	over.Store(true)
	clients.Wait()
	t.Logf("%d good answers, %d requests that had to try another Caddy", good.Load(), elsewhere.Load())
	if good.Load() == 0 {
		t.Error("no request was answered")
	}
}
