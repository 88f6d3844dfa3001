package etcdstore

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// fence stands in front of every decision.
type fence struct {
	now    func() time.Time
	length time.Duration
	// serve is true if a node that is not fresh decides all the same.
	serve atomic.Bool
	// known is the moment as of which the node knows everything, or nil.
	known atomic.Pointer[time.Time]
	// served counts the decisions of a node that was not fresh.
	served atomic.Uint64
}

// age returns how long ago the node knew everything, by the clock that shows
// more. The monotonic clock can't be set, and goes on while the process is
// stopped. It may stand still while the machine sleeps; the other one doesn't.
func age(known, now time.Time) time.Duration {
	return max(now.Sub(known), now.Round(0).Sub(known.Round(0)))
}

// fresh reports whether the node knew everything recently enough.
func (f *fence) fresh() bool {
	known := f.known.Load()
	return known != nil && age(*known, f.now()) <= f.length
}

// check returns nil if a decision may be made.
func (f *fence) check() error {
	if f.fresh() {
		return nil
	}
	if f.serve.Load() {
		f.served.Add(1)
		return nil
	}
	return fmt.Errorf("%w of the last %s: see that it reaches etcd", keys.ErrStale, f.length)
}

// open makes the node fresh as of a moment.
func (f *fence) open(known time.Time) { f.known.Store(&known) }

// close makes the node stale.
func (f *fence) close() { f.known.Store(nil) }

// left returns how long the node is still fresh, or a negative duration.
func (f *fence) left() time.Duration {
	known := f.known.Load()
	if known == nil {
		return -1
	}
	return f.length - age(*known, f.now())
}
