package directory

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

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
	if err := d.fresh(); err != nil {
		return nil, err
	}
	if e := d.cached(digest); e != nil {
		return e, nil
	}
	return d.load(ctx, digest, func(ctx context.Context) (*Entry, error) { return d.readCredential(ctx, digest) })
}

// Collaborator returns the entry of a collaborator, like [Directory.Find].
func (d *Directory) Collaborator(ctx context.Context, ref keys.CollaboratorRef) (*Entry, error) {
	if err := d.fresh(); err != nil {
		return nil, err
	}
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
