package directory

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-api-keys/gateway/module/credential"
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
	cache *ristretto.Cache[uint64, *Entry]
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
	limits     atomic.Pointer[keys.Limits]
	finishing  sync.Mutex

	// newest is the newest write time in the store, in Unix nanoseconds.
	newest atomic.Int64
	clock  func() time.Time

	usage    usage
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
	d := &Directory{store: store, clock: clock, closing: make(chan struct{}), unfinished: make(chan struct{}, 1), walks: turns.New(1, maxWalks), lookUps: turns.New(1, maxWalks), throttle: signin.NewThrottle()}
	d.retention.Store(int64(DefaultAuditRetention))
	d.SetLimits(keys.Limits{})
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
	d.finishSoon() // begun before a restart
	d.upkeep.Go(d.keepUp)
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

// SetLimits changes what one user may have.
func (d *Directory) SetLimits(l keys.Limits) { d.limits.Store(&l) }

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
	err := d.Flush(context.Background())
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

// Loads returns how often an entry was read from the store.
func (d *Directory) Loads() uint64 { return d.loaded.Load() }

// Find returns the entry of a credential. An error means that the store
// couldn't answer. For an unknown credential, Find returns an [Entry] that
// doesn't exist.
//
// A Find that begins after a change was acknowledged never answers from before
// the change: a change commits, then raises the generations of the touched
// digests, then returns. A cached entry is used only if its generation, taken
// before its load began, is still the digest's. So an entry used after the
// raise was loaded after it, hence after the commit. If the cache forgets,
// reorders or fails to store an entry, that costs a load and nothing else.
func (d *Directory) Find(ctx context.Context, digest credential.Digest) (*Entry, error) {
	if e := d.cached(digest); e != nil {
		return e, nil
	}
	return d.load(ctx, digest, func(ctx context.Context) (*Entry, error) { return d.readCredential(ctx, digest) })
}

// Collaborator returns the entry of a collaborator, like [Directory.Find].
func (d *Directory) Collaborator(ctx context.Context, ref keys.CollaboratorRef) (*Entry, error) {
	digest := ref.Digest()
	if e := d.cached(digest); e != nil {
		return e, nil
	}
	return d.load(ctx, digest, func(ctx context.Context) (*Entry, error) {
		groups := d.groups(keys.UserGroup(ref.OwnerID), keys.AppGroup(ref.AppRef))
		return d.read(ctx, groups, func(r keys.Reader) (*Entry, error) { return loadCollaborator(r, ref) })
	})
}

func (d *Directory) cached(digest credential.Digest) *Entry {
	if d.cacheOff.Load() {
		return nil
	}
	e, ok := d.cache.Get(cacheKey(digest))
	// The whole digest is compared: the cache tells entries apart by a hash.
	if !ok || e.digest != digest || !d.current(e) {
		return nil
	}
	return e
}

// cacheKey is an integer, because a string would have to be allocated.
func cacheKey(digest credential.Digest) uint64 { return binary.LittleEndian.Uint64(digest[:8]) }

func (d *Directory) generation(digest credential.Digest) *atomic.Uint64 {
	return &d.generations[slot(digest)]
}

func slot(digest credential.Digest) uint16 { return binary.LittleEndian.Uint16(digest[8:10]) }

// current reports whether nothing has touched the entry since its load began.
func (d *Directory) current(e *Entry) bool {
	if e.generation != d.generation(e.digest).Load() {
		return false
	}
	for _, g := range e.groups {
		if d.generations[g.slot].Load() != g.generation {
			return false
		}
	}
	return true
}

// load reads an entry, once for all concurrent callers.
func (d *Directory) load(ctx context.Context, digest credential.Digest, read func(context.Context) (*Entry, error)) (*Entry, error) {
	// One caller may go away; the others still want the answer.
	ctx = context.WithoutCancel(ctx)
	v, err, _ := d.loads.Do(string(digest[:]), func() (any, error) {
		return d.readOnce(ctx, digest, read)
	})
	if err != nil {
		return nil, err
	}
	if e := v.(*Entry); d.current(e) {
		return e, nil
	}
	// The joined load may have begun before this call, and something has
	// changed since, so this call needs a load of its own.
	return d.readOnce(ctx, digest, read)
}

func (d *Directory) readOnce(ctx context.Context, digest credential.Digest, read func(context.Context) (*Entry, error)) (e *Entry, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, fmt.Errorf("%w: panic: %v\n%s", keys.ErrUnavailable, p, debug.Stack())
		}
	}()
	d.loaded.Add(1)
	// Before the read transaction begins: what commits between the two makes
	// the entry stale, though it has seen it, and that is the safe side.
	generation := d.generation(digest).Load()
	if e, err = read(ctx); err != nil {
		return nil, fmt.Errorf("reading the key store: %w", err)
	}
	e.digest, e.generation = digest, generation
	if !d.cacheOff.Load() {
		d.cache.Set(cacheKey(digest), e, e.cost())
	}
	return e, nil
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
