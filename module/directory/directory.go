package directory

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
	"github.com/caddy-api-keys/gateway/module/turns"
)

// DefaultCacheBytes is the cache's budget unless the configuration says
// otherwise.
const DefaultCacheBytes = 64 << 20

// Directory finds the holder of a credential, and is the only way to change a
// store. It is safe for concurrent use.
type Directory struct {
	store keys.Store
	// shared is the store if several processes use it, or nil.
	shared keys.Shared
	cache  *ristretto.Cache[uint64, *Entry]
	// cacheOff bypasses the cache, which is kept: closing one under traffic
	// would panic.
	cacheOff atomic.Bool

	// generations of the digests, by [slot]. A cached entry counts only while
	// the generation of its digest is the one from before its load.
	generations [1 << 16]atomic.Uint64
	loads       singleflight.Group
	loaded      atomic.Uint64

	live [liveStripes]liveStripe

	lock           writeLock
	walks, lookUps *turns.Queue
	// unfinished wakes up the task that finishes deletions.
	unfinished chan struct{}
	maximums   atomic.Pointer[keys.Maximums]
	finishing  sync.Mutex

	// newest is the newest write time in the store, in Unix nanoseconds.
	newest atomic.Int64
	clock  func() time.Time

	usage    usage
	activity activity
	meters   meters
	// allotting are the running calls of takeAhead.
	allotting sync.WaitGroup
	// plans are those of the configuration.
	plans atomic.Pointer[policy.Plans]
	// began is when ticks began.
	began    time.Time
	flushing sync.Mutex
	throttle *signin.Throttle
	secret   [32]byte // of the store
	// retention of the audit log, in nanoseconds.
	retention atomic.Int64
	closing   chan struct{}
	upkeep    sync.WaitGroup
	observer  atomic.Pointer[Observer]
	failing   atomic.Pointer[error]
}

// Owned is a directory with the right to close it. A [Lease] doesn't have it,
// because others share the directory.
type Owned struct{ *Directory }

// Close writes pending last uses and releases the store. The directory must not
// be used afterwards.
func (o *Owned) Close() error { return o.close() }

// New returns a directory over a store. Closing the directory closes the store.
// cacheBytes is the budget of the cache, 0 for none.
func New(store keys.Store, cacheBytes int64) (*Owned, error) {
	d, err := open(store, cacheBytes, time.Now, func(key uint64) (uint64, uint64) { return key, 0 })
	if err != nil {
		return nil, err
	}
	return &Owned{d}, nil
}

// open also takes the parts that tests replace: the clock, and the hash by which
// the cache finds entries.
func open(store keys.Store, cacheBytes int64, clock func() time.Time, hash func(uint64) (uint64, uint64)) (*Directory, error) {
	d, err := openIdle(store, cacheBytes, clock, hash)
	if err != nil {
		return nil, err
	}
	d.finishSoon() // begun before a restart
	d.upkeep.Go(d.keepUp)
	return d, nil
}

// openIdle opens a directory whose upkeep nothing runs.
func openIdle(store keys.Store, cacheBytes int64, clock func() time.Time, hash func(uint64) (uint64, uint64)) (*Directory, error) {
	d := &Directory{store: store, clock: clock, closing: make(chan struct{}), unfinished: make(chan struct{}, 1), walks: turns.New(1, maxWalks), lookUps: turns.New(1, maxWalks), throttle: signin.NewThrottle()}
	d.shared, _ = store.(keys.Shared)
	d.retention.Store(int64(DefaultAuditRetention))
	d.SetMaximums(keys.Maximums{})
	d.plans.Store(new(policy.Plans))
	d.began = clock()
	d.SetObserver(nil)
	budget := cacheBytes
	if budget <= 0 {
		budget = DefaultCacheBytes
	}
	var err error
	d.cache, err = ristretto.NewCache(&ristretto.Config[uint64, *Entry]{
		// Ten counters for each entry that fits, as ristretto advises, at
		// about 512 bytes an entry.
		NumCounters:        max(budget/512, 100) * 10,
		MaxCost:            budget,
		BufferItems:        64,
		IgnoreInternalCost: true, // Entry.cost counts it
		KeyToHash:          hash,
	})
	if err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	d.SetCache(cacheBytes)
	err = store.View(context.Background(), func(r keys.Reader) error {
		at, err := r.LastWrite()
		d.floor(at)
		if err != nil {
			return err
		}
		id, err := r.StoreID()
		d.secret = sha256.Sum256([]byte(id))
		return err
	})
	if err != nil {
		d.cache.Close()
		return nil, fmt.Errorf("reading the key store: %w", err)
	}
	store.Feed(d.changed)
	return d, nil
}

// Secret returns a secret key for one purpose. It is derived from the store's
// ID, so it lasts as long as the store.
func (d *Directory) Secret(purpose string) [32]byte {
	mac := hmac.New(sha256.New, d.secret[:])
	mac.Write([]byte(purpose))
	return [32]byte(mac.Sum(nil))
}

// Throttle returns the counts that slow down password guessing. They last as long
// as the directory, which outlives configurations.
func (d *Directory) Throttle() *signin.Throttle { return d.throttle }

// SetMaximums changes what one user may have.
func (d *Directory) SetMaximums(m keys.Maximums) { d.maximums.Store(&m) }

// SetAuditRetention changes how long the audit log goes back.
func (d *Directory) SetAuditRetention(retention time.Duration) {
	d.retention.Store(int64(retention))
}

// SetCache changes the budget of the cache, in bytes; 0 turns it off.
func (d *Directory) SetCache(bytes int64) {
	if bytes > 0 {
		d.cache.UpdateMaxCost(bytes)
	}
	d.cacheOff.Store(bytes <= 0)
}

func (d *Directory) close() error {
	close(d.closing)
	d.upkeep.Wait()
	d.allotting.Wait()
	err := d.Flush(context.Background())
	if d.shared != nil {
		err = errors.Join(err, d.settleAllotments(context.Background(), true))
	}
	if errors.Is(err, keys.ErrUnavailable) {
		// The store has its own error. Losing the last uses matters less.
		d.failed(TaskLastUse, err)
		err = nil
	}
	err = errors.Join(err, d.store.Close())
	d.cache.Close()
	return err
}

// Now returns the time by which credentials expire: the clock, but never before
// the newest write in the store. Expired credentials stay expired when the
// clock is set back.
func (d *Directory) Now() time.Time {
	now := d.clock()
	if newest := d.newest.Load(); now.UnixNano() < newest {
		return time.Unix(0, newest)
	}
	return now
}

// ticks returns a time in nanoseconds that doesn't change if the clock is set.
func (d *Directory) ticks() int64 { return int64(d.clock().Sub(d.began)) }

// Standing returns whether the entry's credential is valid now, and if not,
// why.
func (d *Directory) Standing(e *Entry) keys.Standing {
	if e.standing != keys.Active || e.expires == 0 && e.idle == 0 {
		return e.standing
	}
	if e.caller.Kind == policy.Session && d.newest.Load()-d.clock().UnixNano() > int64(keys.MaxBehind) {
		return keys.Expired // its age is unknown
	}
	now := d.Now().UnixNano()
	if e.expires != 0 && now >= e.expires || e.idle != 0 && now-e.seen.Load() >= e.idle {
		return keys.Expired
	}
	return keys.Active
}

// The store calls changed for every commit, before the change that caused it
// returns. changed first raises the generations, so that requests that register
// later see them, and then rechecks the registered requests.
func (d *Directory) changed(c keys.Change) {
	if c.Reset {
		d.newest.Store(c.At.UnixNano())
	}
	d.floor(c.At)
	if c.All {
		for i := range d.generations {
			d.generations[i].Add(1)
		}
		d.sweepAll()
		return
	}
	for _, group := range c.Groups {
		d.generation(group).Add(1)
	}
	for _, digest := range c.Touched {
		d.generation(digest).Add(1)
	}
	for _, digest := range c.Touched {
		d.sweep(digest)
	}
	for _, group := range c.Groups {
		d.sweepGroup(slot(group))
	}
}

// floor moves the newest write time forward.
func (d *Directory) floor(at time.Time) {
	if at.IsZero() {
		return
	}
	for n := at.UnixNano(); ; {
		old := d.newest.Load()
		if n <= old || d.newest.CompareAndSwap(old, n) {
			return
		}
	}
}

// MaxWrites returns how many records one change can write.
func (d *Directory) MaxWrites() int { return d.store.MaxWrites() }

// View reads the store, past the cache.
func (d *Directory) View(ctx context.Context, fn func(keys.Reader) error) error {
	return d.store.View(ctx, fn)
}
