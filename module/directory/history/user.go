package history

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func (h *run) context() context.Context { return context.Background() }

// user is how the directory is reached: by itself, or by the lease of the
// newest configuration.
type user struct {
	h         *run
	directory *directory.Owned
	lease     atomic.Pointer[directory.Lease]
}

// Key makes the user an opener, for leases.
func (u *user) Key() (string, error) { return u.h.path, nil }

// Open opens the store, with the history's faults.
func (u *user) Open() (keys.Store, error) {
	s, err := u.h.Setup.Open(u.h.path)
	if err != nil {
		return nil, err
	}
	return &faultyStore{s, &u.h.storeFaults}, nil
}

func (h *run) open() error {
	h.use.h = h
	if h.reloads {
		l, err := h.use.lend(h.cacheBytes)
		h.use.lease.Store(l)
		return err
	}
	s, err := h.use.Open()
	if err != nil {
		return err
	}
	h.use.directory, err = h.Directory(s, largest, h.clock.Now, h.collide)
	h.use.directory.SetCache(h.cacheBytes)
	return err
}

// lend takes a lease with a cache of that size. What is opened without a cache
// gets room for a large one, which takes a moment to clear; so it is turned
// off afterwards.
func (u *user) lend(cacheBytes int64) (*directory.Lease, error) {
	l, err := directory.Lend(u, max(cacheBytes, 1))
	if err == nil {
		l.SetCache(cacheBytes)
	}
	return l, err
}

// with keeps the directory open while fn asks it.
func (u *user) with(fn func(*directory.Directory) error) error {
	if u.directory != nil {
		return fn(u.directory.Directory)
	}
	for {
		l := u.lease.Load()
		if visit, open := l.Enter(); open {
			defer visit.Exit()
			return fn(l.Directory)
		}
		runtime.Gosched() // the next one is on its way
	}
}

// reload puts the next configuration in the place of the last, mostly without
// a gap between them.
func (u *user) reload(r *rand.Rand) error {
	last := u.lease.Load()
	gap := r.IntN(4) == 0
	if gap {
		if err := last.Close(); err != nil {
			return err
		}
	}
	var next *directory.Lease
	for {
		var err error
		if next, err = u.lend(anyCache(r)); err == nil {
			break
		}
		// The reads of opening may fail, too.
		if !errors.Is(err, keys.ErrUnavailable) {
			return err
		}
	}
	u.lease.Store(next)
	if gap {
		return nil
	}
	return last.Close()
}

func (u *user) close() error {
	if u.directory != nil {
		return u.directory.Close()
	}
	return u.lease.Load().Close()
}
