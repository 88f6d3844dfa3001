package memstore

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

func TestStore(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keys.Store { return newStore(t) })
}

// newStore returns a store that the end of the test closes and checks.
func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the test may have
	return s
}
