package directory

import (
	"sync"
	"sync/atomic"
	"weak"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// meter measures what a key, an app or a user has used. All entries whose limits it
// measures share the meter, including entries that are loaded later.
type meter struct {
	id     credential.Digest
	bucket bucket
	window atomic.Pointer[window]
	// live is how many requests are live.
	live atomic.Int64

	// charged is set by each request, and reset by the flush.
	charged atomic.Bool
	// released is true while only entries keep the meter.
	released atomic.Bool
	// quiet counts the flushes since the last request. It is guarded by the mutex
	// of meters.
	quiet int

	_ [48]byte // so that no two meters share a cache line
}

// meters are the meters in use. A meter without recent requests is released once the
// store knows its usage. A released meter lasts as long as the entries that have it.
type meters struct {
	mu  sync.Mutex
	all map[credential.Digest]*metered

	// walked is how far shortenSpendings has come. It is guarded by flushing.
	walked credential.Digest
}

// metered is a meter. kept is nil while the meter is released.
type metered struct {
	kept *meter
	weak weak.Pointer[meter]
}

// quietFlushes is the number of flushes without a request after which a meter is
// released. They take longer than any transaction that loads an entry, so no
// transaction reads the store from before the last write of the meter.
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

// used notes a request that the meter has counted. If the meter is being released at
// the same time, either release sees the count, or used sees that the meter is
// released.
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

// release releases the meters that have had no requests for long, and forgets
// released meters that no entry has. It is called once for each flush.
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
