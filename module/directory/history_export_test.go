package directory

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// NewTestDirectory is a directory with the clock of a test. Where collide says
// so its cache finds all entries under one hash.
func NewForTest(store keys.Store, cacheBytes int64, clock func() time.Time, collide bool) (*Directory, error) {
	hash := func(key uint64) (uint64, uint64) { return key, 0 }
	if collide {
		hash = func(uint64) (uint64, uint64) { return 7, 0 }
	}
	return newWith(store, cacheBytes, clock, hash)
}
