package gatetest

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func init() { caddy.RegisterModule(new(faultyModule)) }

// faultyModule is the store faulty: the bbolt store, of which a test holds up or
// breaks the reads.
type faultyModule struct {
	Path string `json:"path"`
}

// CaddyModule returns the module's registration.
func (*faultyModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "api_keys.stores.faulty", New: func() caddy.Module { return new(faultyModule) }}
}

// UnmarshalCaddyfile reads "faulty <path>".
func (m *faultyModule) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&m.Path) {
		return d.ArgErr()
	}
	return nil
}

// Key returns what tells this store from others.
func (m *faultyModule) Key() (string, error) { return "faulty:" + m.Path, nil }

// Open opens the store.
func (m *faultyModule) Open() (keys.Store, error) {
	s, err := boltstore.Open(m.Path)
	return faultyStore{s}, err
}

// beforeReads is what BeforeReads has set.
var beforeReads atomic.Pointer[func() error]

type faultyStore struct{ keys.Store }

// View reads, unless the test prevents it.
func (s faultyStore) View(ctx context.Context, fn func(keys.Reader) error) error {
	if before := beforeReads.Load(); before != nil {
		if err := (*before)(); err != nil {
			return err
		}
	}
	return s.Store.View(ctx, fn)
}

// StartFaulty is Start with a store that BeforeReads can hold up or break.
func StartFaulty(tb testing.TB, options string, directives ...string) *Server {
	tb.Helper()
	tb.Cleanup(func() { BeforeReads(nil) })
	return startOn(tb, "faulty", options, directives...)
}

// BeforeReads has fn called before each read of the store of StartFaulty. If fn
// returns an error, the read fails with it; if it panics, so does the read. A nil
// function leaves the store alone.
func BeforeReads(fn func() error) {
	if fn == nil {
		beforeReads.Store(nil)
		return
	}
	beforeReads.Store(&fn)
}

// Interface guards
var _ caddyfile.Unmarshaler = (*faultyModule)(nil)
