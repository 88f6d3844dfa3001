package directory

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// mapStore is a store of credentials alone, for what can only be tested from
// inside.
type mapStore struct {
	keys.Reader
	credentials map[credential.Digest]keys.Credential
	lastWrite   time.Time
	feed        func(keys.Change)
}

func (s *mapStore) View(_ context.Context, fn func(keys.Reader) error) error { return fn(s) }
func (s *mapStore) Update(context.Context, func(keys.Writer) error) (keys.Commit, error) {
	return keys.Commit{}, keys.ErrUnavailable
}
func (s *mapStore) MaxWrites() int                               { return keys.MinWrites }
func (s *mapStore) Spent(context.Context, []keys.Spending) error { return keys.ErrUnavailable }
func (s *mapStore) Used(context.Context, []keys.Use) error       { return keys.ErrUnavailable }
func (s *mapStore) Ready(context.Context) error                  { return nil }
func (s *mapStore) Feed(feed func(keys.Change))                  { s.feed = feed }
func (s *mapStore) Close() error                                 { return nil }
func (s *mapStore) LastWrite() (time.Time, error)                { return s.lastWrite, nil }
func (s *mapStore) StoreID() (string, error)                     { return "a store", nil }
func (s *mapStore) User(id string) (keys.User, error)            { return keys.User{ID: id}, nil }
func (s *mapStore) Tombstone(credential.Digest) (keys.Tombstone, error) {
	return keys.Tombstone{}, keys.ErrNotFound
}
func (s *mapStore) LastUsed(credential.Digest) (keys.Usage, error) {
	return keys.Usage{}, keys.ErrNotFound
}
func (s *mapStore) Users(uint64) iter.Seq2[keys.User, error] { return nil }
func (s *mapStore) Deletions() iter.Seq2[keys.Deletion, error] {
	return func(func(keys.Deletion, error) bool) {}
}
func (s *mapStore) Credential(d credential.Digest) (keys.Credential, error) {
	if c, ok := s.credentials[d]; ok {
		return c, nil
	}
	return keys.Credential{}, keys.ErrNotFound
}

// The cache tells entries apart by a hash of eight bytes. Should two digests
// share one, neither is ever answered with the other's record.
func TestConstantHash(t *testing.T) {
	s := &mapStore{credentials: map[credential.Digest]keys.Credential{}}
	var digests []credential.Digest
	for range 50 {
		text, id := credential.Mint("ca", policy.PAT)
		c := keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.PAT, UserID: "alice"}
		s.credentials[c.Digest] = c
		digests = append(digests, c.Digest)
	}
	d, err := openIdle(s, DefaultCacheBytes, time.Now, func(uint64) (uint64, uint64) { return 7, 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	for range 20 {
		for _, digest := range digests {
			e, err := d.Find(t.Context(), digest)
			if err != nil || e.caller.KeyID != s.credentials[digest].ID {
				t.Fatalf("answered with %v (%v), want %v", e.caller.KeyID, err, s.credentials[digest].ID)
			}
			d.cache.Wait()
		}
	}
}

// An expired key stays expired when the clock is set back behind the newest
// write.
func TestClockSetBack(t *testing.T) {
	now := time.Now()
	text, id := credential.Mint("ca", policy.PAT)
	c := keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.PAT, UserID: "alice", ExpiresAt: now.Add(-time.Minute)}
	s := &mapStore{credentials: map[credential.Digest]keys.Credential{c.Digest: c}, lastWrite: now}
	clock := now.Add(-24 * time.Hour)
	d, err := openIdle(s, DefaultCacheBytes, func() time.Time { return clock }, func(k uint64) (uint64, uint64) { return k, 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	e, err := d.Find(t.Context(), c.Digest)
	if err != nil || d.Standing(e) != keys.Expired {
		t.Errorf("standing %v (%v), want expired", d.Standing(e), err)
	}
	// A later write moves the floor on; an earlier one does not move it back.
	s.feed(keys.Change{At: now.Add(time.Hour)})
	s.feed(keys.Change{At: now.Add(-time.Hour)})
	if got := d.Now(); !got.Equal(now.Add(time.Hour).Truncate(0)) {
		t.Errorf("now is %v, want %v", got, now.Add(time.Hour))
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	text, id := credential.Mint("ca", policy.PAT)
	c := keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.PAT, UserID: "alice"}
	d, err := openIdle(&mapStore{credentials: map[credential.Digest]keys.Credential{c.Digest: c}}, DefaultCacheBytes, time.Now, func(k uint64) (uint64, uint64) { return k, 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if _, err := d.Find(t.Context(), c.Digest); err != nil {
		t.Fatal(err)
	}
	d.cache.Wait()
	// ristretto hands on what was read in batches of 64: one allocation each.
	if n := testing.AllocsPerRun(1000, func() { _, _ = d.Find(context.Background(), c.Digest) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFind(b *testing.B) {
	s := &mapStore{credentials: map[credential.Digest]keys.Credential{}}
	var digests []credential.Digest
	for range 10_000 {
		text, id := credential.Mint("ca", policy.PAT)
		c := keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.PAT, UserID: "alice"}
		s.credentials[c.Digest] = c
		digests = append(digests, c.Digest)
	}
	d, err := New(s, DefaultCacheBytes)
	if err != nil {
		b.Fatal(err)
	}
	defer d.close()
	for _, digest := range digests {
		_, _ = d.Find(b.Context(), digest)
		d.cache.Wait()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if e, err := d.Find(b.Context(), digests[i%len(digests)]); err != nil || !e.Exists() {
			b.Fatal("not found")
		}
	}
}
