package directory

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// pool holds the directory of every store that is open in this process. A new
// configuration starts before the old one stops, and requests of the old one
// continue after it has stopped. If each had a directory of its own, a
// revocation through one would not reach the other's cache, and the two would
// wait for each other's lock on the file.
var pool = struct {
	sync.Mutex
	open map[string]*shared
}{open: map[string]*shared{}}

// shared is a directory with its users: one lease for each configuration, and
// the requests inside.
type shared struct {
	*Directory
	key    string
	leases []*Lease // oldest first, guarded by pool

	// draining is true if no lease is left. closed is true if the directory is
	// closed or about to be.
	draining, closed atomic.Bool
	inside           [insideStripes]struct {
		n atomic.Int64
		_ [56]byte // a cache line each
	}
}

// insideStripes spreads the count of requests, so that cores don't wait for
// each other.
const insideStripes = 64

// Lease is one configuration's use of a directory.
type Lease struct {
	*Directory
	shared     *shared
	cacheBytes int64
	retention  time.Duration // of the audit log
	maximums   keys.Maximums
	plans      policy.Plans
	observer   Observer
}

// Lend opens the store's directory, or shares the one that is already open. A
// directory that is about to close is kept open. cacheBytes is the budget of
// the cache, 0 for none; that of the newest lease counts.
func Lend(opener keys.Opener, cacheBytes int64) (*Lease, error) {
	key, err := opener.Key()
	if err != nil {
		return nil, err
	}
	pool.Lock()
	defer pool.Unlock()
	s := pool.open[key]
	if s == nil {
		store, err := opener.Open()
		if err != nil {
			return nil, err
		}
		d, err := New(store, cacheBytes)
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		s = &shared{Directory: d.Directory, key: key}
		pool.open[key] = s
	}
	s.draining.Store(false)
	l := &Lease{Directory: s.Directory, shared: s, cacheBytes: cacheBytes, retention: DefaultAuditRetention, maximums: keys.Maximums{Keys: keys.DefaultMaxKeys, Apps: keys.DefaultMaxApps}}
	if n := len(s.leases); n > 0 {
		// The plans of the previous lease apply until this lease has its own.
		l.plans = s.leases[n-1].plans
	}
	s.leases = append(s.leases, l)
	s.configure()
	return l, nil
}

// KeepAudit changes how long the audit log goes back, for as long as this is
// the newest lease.
func (l *Lease) KeepAudit(retention time.Duration) {
	pool.Lock()
	defer pool.Unlock()
	l.retention = retention
	l.shared.configure()
}

// Bound changes how much one user may have, for as long as this is the newest
// lease.
func (l *Lease) Bound(maximums keys.Maximums) {
	pool.Lock()
	defer pool.Unlock()
	l.maximums = maximums
	l.shared.configure()
}

// Plan changes the plans, for as long as this is the newest lease.
func (l *Lease) Plan(plans policy.Plans) {
	pool.Lock()
	defer pool.Unlock()
	l.plans = plans
	l.shared.configure()
}

// Observe sets the observer of the directory, for as long as this is the newest
// lease.
func (l *Lease) Observe(o Observer) {
	pool.Lock()
	defer pool.Unlock()
	l.observer = o
	l.shared.configure()
}

// configure gives the directory the settings of its newest lease. It is called
// with the pool locked.
func (s *shared) configure() {
	if n := len(s.leases); n > 0 {
		s.SetCache(s.leases[n-1].cacheBytes)
		s.SetAuditRetention(s.leases[n-1].retention)
		s.SetMaximums(s.leases[n-1].maximums)
		s.SetPlans(s.leases[n-1].plans)
		s.SetObserver(s.leases[n-1].observer)
	}
}

// Close returns the lease. After the last lease, the last request inside closes
// the directory, or Close does if there is none. Close doesn't wait for
// requests.
func (l *Lease) Close() error {
	pool.Lock()
	defer pool.Unlock()
	s := l.shared
	i := slices.Index(s.leases, l)
	if i < 0 {
		return nil
	}
	s.leases = slices.Delete(s.leases, i, i+1)
	if len(s.leases) > 0 {
		s.configure()
		return nil
	}
	s.draining.Store(true)
	return s.closeIfEmpty()
}

// Visit keeps a directory open from [Lease.Enter] to [Visit.Exit].
type Visit struct {
	shared *shared
	stripe uint8 // of inside
}

// Enter keeps the directory open until [Visit.Exit] is called. It returns false
// if the directory has been closed.
func (l *Lease) Enter() (Visit, bool) {
	v := Visit{l.shared, uint8(rand.Uint32() % insideStripes)} //nolint:gosec // no secret; it spreads requests
	n := &v.shared.inside[v.stripe].n
	n.Add(1)
	if !v.shared.closed.Load() {
		return v, true
	}
	n.Add(-1)
	// closeIfEmpty may only be checking: look again under the lock.
	pool.Lock()
	defer pool.Unlock()
	if v.shared.closed.Load() {
		return Visit{}, false
	}
	n.Add(1)
	return v, true
}

// Exit ends the visit. It must be called once.
func (v Visit) Exit() {
	s := v.shared
	s.inside[v.stripe].n.Add(-1)
	if s.draining.Load() {
		pool.Lock()
		defer pool.Unlock()
		if err := s.closeIfEmpty(); err != nil {
			s.failed(TaskClose, err)
		}
	}
}

// closeIfEmpty closes a draining directory if no request is inside. It is
// called with the pool locked.
//
// It first sets closed and then counts. A request first counts itself and then
// reads closed. So one of the two sees the other.
func (s *shared) closeIfEmpty() error {
	if !s.draining.Load() || s.closed.Swap(true) {
		return nil
	}
	for i := range s.inside {
		if s.inside[i].n.Load() != 0 {
			s.closed.Store(false) // the last of them calls this again
			return nil
		}
	}
	delete(pool.open, s.key)
	if err := s.close(); err != nil {
		return fmt.Errorf("closing the key store: %w", err)
	}
	return nil
}
