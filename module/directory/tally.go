package directory

import (
	"sync"
	"sync/atomic"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// tally counts the requests that presented one key since they were last
// collected. An allowed request costs one atomic addition. The tally takes a
// cache line of its own, so that its writers don't slow down the readers of the
// entry.
type tally struct {
	// allowed are the allowed requests of the day.
	allowed atomic.Uint64
	day     atomic.Int32

	mu sync.Mutex
	// rest are the refused requests, and the allowed ones of earlier days.
	rest keys.Activity

	_ [16]byte
}

// allow counts an allowed request. It reports whether it is the first since the
// last collection.
func (t *tally) allow(today keys.Date) (first bool) {
	if t.day.Load() != int32(today) {
		t.turn(today)
	}
	return t.allowed.Add(1) == 1
}

// turn begins a day.
func (t *tally) turn(today keys.Date) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putAside()
	t.day.Store(int32(today))
}

// putAside adds the allowed requests to the rest.
func (t *tally) putAside() {
	if n := t.allowed.Swap(0); n > 0 {
		t.rest.Allow(keys.Date(t.day.Load()), n)
	}
}

// refuse counts a refused request. It reports whether it is the first since the
// last collection.
func (t *tally) refuse(today keys.Date, why keys.Cause) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first = t.rest == nil
	t.rest.Refuse(today, why, 1)
	return first
}

// collect returns what was counted, and begins again.
func (t *tally) collect() keys.Activity {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putAside()
	counted := t.rest
	t.rest = nil
	return counted
}
