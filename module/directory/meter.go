package directory

import (
	"sync"
	"sync/atomic"
	"weak"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// meter measures what is used by a key, an app or a user. Every entry that it
// bounds has the same meter, and so does an entry that is loaded later.
type meter struct {
	id     credential.Digest
	bucket bucket
	window atomic.Pointer[window]
	// live is how many requests are live.
	live atomic.Int64

	// charged is set by each request, and taken back by the flush.
	charged atomic.Bool
	// released is true while only entries keep the meter.
	released atomic.Bool
	// quiet counts the flushes since the last request. It is guarded by the mutex
	// of meters.
	quiet int

	_ [48]byte // so that no two meters share a cache line
}

// meters are the meters in use. A meter that nothing uses is released: then it
// lasts as long as the entries that have it, and what it knows is stored.
type meters struct {
	mu  sync.Mutex
	all map[credential.Digest]*metered

	// walked is how far shortenSpendings has come. It is guarded by flushing.
	walked credential.Digest
}

// metered is a meter. kept is nil while it is released.
type metered struct {
	kept *meter
	weak weak.Pointer[meter]
}

// quietFlushes is after how many flushes without a request a meter is released. It
// is longer than any transaction in which an entry is loaded, so that none of them
// reads from before the last write of the meter.
const quietFlushes = 20

// of returns a meter. stored returns what the store knows of a new one.
func (all *meters) of(id credential.Digest, stored func() (keys.Spending, error)) (*meter, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if m := all.known(id); m != nil {
		return m, nil
	}
	m := &meter{id: id}
	s, err := stored()
	if err != nil {
		return nil, err
	}
	if s.Used > 0 {
		m.window.Store(newWindow(s))
	}
	if all.all == nil {
		all.all = map[credential.Digest]*metered{}
	}
	all.all[id] = &metered{kept: m, weak: weak.Make(m)}
	return m, nil
}

// known returns a meter if there is one, and keeps it again.
func (all *meters) known(id credential.Digest) *meter {
	at := all.all[id]
	if at == nil {
		return nil
	}
	m := at.weak.Value()
	if m != nil {
		at.kept, m.quiet = m, 0
		m.released.Store(false)
	}
	return m
}

// setRate sets the rate of a meter's bucket.
func (all *meters) setRate(m *meter, r policy.Rate, ticks int64) {
	all.mu.Lock()
	defer all.mu.Unlock()
	m.bucket.setRate(r, ticks)
}

// used notes a request, which the meter has counted. A meter that is being released
// meanwhile sees the count, or this sees that it is released.
func (all *meters) used(m *meter) {
	if !m.charged.Load() {
		m.charged.Store(true)
	}
	if m.released.Load() {
		all.mu.Lock()
		defer all.mu.Unlock()
		all.known(m.id)
	}
}

// list returns the meters that are kept.
func (all *meters) list() []*meter {
	all.mu.Lock()
	defer all.mu.Unlock()
	list := make([]*meter, 0, len(all.all))
	for _, at := range all.all {
		if at.kept != nil {
			list = append(list, at.kept)
		}
	}
	return list
}

// release releases the meters that nothing has used for long, and forgets those
// that no entry has. It is called once for each flush.
func (all *meters) release(ticks int64) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for id, at := range all.all {
		m := at.kept
		switch {
		case m == nil && at.weak.Value() == nil:
			delete(all.all, id)
		case m == nil:
		case m.charged.Swap(false):
			m.quiet = 0
		default:
			m.quiet++
			if m.quiet < quietFlushes {
				continue
			}
			m.released.Store(true)
			if m.inUse(ticks) {
				m.released.Store(false)
				continue
			}
			at.kept = nil
		}
	}
}

// inUse reports whether the meter knows something that the store doesn't.
func (m *meter) inUse(ticks int64) bool {
	return m.charged.Load() || m.live.Load() > 0 || m.bucket.full.Load() > ticks || m.window.Load().dirty()
}
