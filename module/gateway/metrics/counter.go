package metrics

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counter is a counter that every request raises: it is spread over cells, so
// that cores don't wait for each other.
type counter struct {
	prometheus.CounterFunc
	cells [16]struct {
		n atomic.Uint64
		_ [56]byte // a cache line each
	}
}

func newCounter(opts prometheus.CounterOpts) *counter {
	c := new(counter)
	c.CounterFunc = prometheus.NewCounterFunc(opts, c.sum)
	return c
}

// Inc counts one more.
func (c *counter) Inc() {
	cell := rand.Uint32() % uint32(len(c.cells)) //nolint:gosec // no secret; it spreads requests
	c.cells[cell].n.Add(1)
}

func (c *counter) sum() float64 {
	total := uint64(0)
	for i := range c.cells {
		total += c.cells[i].n.Load()
	}
	return float64(total)
}
