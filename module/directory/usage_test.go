package directory

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// usageStore is a store that keeps last uses too.
type usageStore struct {
	mapStore
	used map[credential.Digest]keys.Usage
	fail error
}

func (s *usageStore) Used(_ context.Context, uses []keys.Use) error {
	if s.fail != nil {
		return s.fail
	}
	for _, use := range uses {
		if _, ok := s.credentials[use.Digest]; ok {
			s.used[use.Digest] = use.Usage
		}
	}
	return nil
}

// testClock is a clock that a test sets while the directory reads it.
type testClock struct{ at atomic.Pointer[time.Time] }

func (c *testClock) time() time.Time   { return *c.at.Load() }
func (c *testClock) set(now time.Time) { c.at.Store(&now) }

// newUsageDirectory runs no upkeep, so that uses are written only when a test
// says so.
func newUsageDirectory(t *testing.T, c keys.Credential) (*Directory, *usageStore, *testClock) {
	t.Helper()
	now := new(testClock)
	now.set(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	s := &usageStore{mapStore: mapStore{credentials: map[credential.Digest]keys.Credential{c.Digest: c}}, used: map[credential.Digest]keys.Usage{}}
	d, err := openIdle(s, 0, now.time, func(k uint64) (uint64, uint64) { return k, 0 })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d, s, now
}

func mustFind(t *testing.T, d *Directory, digest credential.Digest) *Entry {
	t.Helper()
	e, err := d.Find(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestLastUse(t *testing.T) {
	c := keys.Credential{Digest: credential.DigestOf("k"), ID: "cap_1", Kind: policy.PAT, UserID: "alice"}
	d, s, now := newUsageDirectory(t, c)
	want := func(what string, minute int, address string) {
		t.Helper()
		last, err := d.LastUsed(&s.mapStore, c.Digest)
		if err != nil || last != (keys.Usage{At: time.Date(2026, 3, 4, 5, minute, 0, 0, time.UTC), Address: address}) {
			t.Errorf("%s: %+v, %v; want 5:%d and %s", what, last, err, minute, address)
		}
	}
	if _, err := d.LastUsed(&s.mapStore, c.Digest); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("%v before the first use, want ErrNotFound", err)
	}
	e := mustFind(t, d, c.Digest)
	d.Used(e, "192.0.2.1")
	want("noted, and not yet written", 6, "192.0.2.1")
	d.Used(e, "198.51.100.9")
	now.set(now.time().Add(time.Minute))
	d.Used(e, "192.0.2.2")
	want("a minute later", 7, "192.0.2.2")

	s.fail = keys.ErrUnavailable
	if err := d.Flush(t.Context()); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("%v where the store fails", err)
	}
	want("not written, and not lost", 7, "192.0.2.2")
	s.fail = nil
	if err := d.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if s.used[c.Digest].Address != "192.0.2.2" {
		t.Errorf("%+v was written", s.used)
	}

	// Of what was revoked meanwhile nothing is written.
	clear(s.used)
	now.set(now.time().Add(time.Hour))
	d.Used(e, "192.0.2.3")
	delete(s.credentials, c.Digest)
	if err := d.Flush(t.Context()); err != nil || len(s.used) != 0 {
		t.Errorf("%+v was written of a revoked key (%v)", s.used, err)
	}
}

// A session that isn't used for long enough ends, and one that is goes on to
// its expiry.
func TestIdleSession(t *testing.T) {
	c := keys.Credential{
		Digest: credential.DigestOf("s"), ID: "cas_1", Kind: policy.Session, UserID: "alice", Idle: time.Hour,
		CreatedAt: time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC), ExpiresAt: time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC),
	}
	d, _, now := newUsageDirectory(t, c)
	standing := func(what string, want keys.Standing) {
		t.Helper()
		if got := d.Standing(mustFind(t, d, c.Digest)); got != want {
			t.Errorf("%s: standing %v, want %v", what, got, want)
		}
	}
	now.set(time.Date(2026, 3, 4, 5, 59, 0, 0, time.UTC))
	standing("59 minutes after its creation", keys.Active)
	now.set(now.time().Add(time.Minute))
	standing("an hour after it", keys.Expired)

	now.set(now.time().Add(-time.Minute))
	for range 2 {
		d.Used(mustFind(t, d, c.Digest), "")
		now.set(now.time().Add(59 * time.Minute))
		standing("59 minutes after its use", keys.Active)
	}
	d.Used(mustFind(t, d, c.Digest), "")
	now.set(time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC))
	standing("used, and at its end", keys.Expired)
}

// The end of a session moves only with its uses, and not with lookups, which a
// live request repeats.
func TestTheEndOfASession(t *testing.T) {
	began := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	c := keys.Credential{
		Digest: credential.DigestOf("s"), ID: "cas_1", Kind: policy.Session, UserID: "alice",
		Idle: time.Hour, CreatedAt: began, ExpiresAt: began.Add(100 * time.Minute),
	}
	d, _, now := newUsageDirectory(t, c)
	ends := func(what string, want time.Time) {
		t.Helper()
		if got := mustFind(t, d, c.Digest).Ends(); !got.Equal(want) {
			t.Errorf("%s: it ends at %v, want %v", what, got, want)
		}
	}
	ends("new", began.Add(time.Hour))
	now.set(began.Add(30 * time.Minute))
	ends("looked up", began.Add(time.Hour))
	d.Used(mustFind(t, d, c.Digest), "")
	used := began.Add(30 * time.Minute).Truncate(time.Minute)
	ends("used", used.Add(time.Hour))
	now.set(began.Add(70 * time.Minute))
	d.Used(mustFind(t, d, c.Digest), "")
	ends("used until it expires", c.ExpiresAt)
}
