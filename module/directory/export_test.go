package directory

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// NewForTest returns a directory with the clock of a test. If collide is true,
// the cache finds all entries under one hash.
func NewForTest(store keys.Store, cacheBytes int64, clock func() time.Time, collide bool) (*Owned, error) {
	hash := func(key uint64) (uint64, uint64) { return key, 0 }
	if collide {
		hash = func(uint64) (uint64, uint64) { return 7, 0 }
	}
	d, err := open(store, cacheBytes, clock, hash)
	return &Owned{d}, err
}

// NewIdle returns a directory with the clock of a test, whose upkeep nothing
// runs.
func NewIdle(store keys.Store, clock func() time.Time) (*Owned, error) {
	d, err := openIdle(store, DefaultCacheBytes, clock, func(key uint64) (uint64, uint64) { return key, 0 })
	return &Owned{d}, err
}

// WaitForCache returns when the cache has taken in what was put into it.
func (d *Directory) WaitForCache() { d.cache.Wait() }
