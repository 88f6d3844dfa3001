package directory

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// No more keys wait for a flush than there is room for, whether it comes or
// fails. Half of them wake it up.
func TestActivityOfManyKeys(t *testing.T) {
	c := keys.Credential{Digest: credential.DigestOf("k"), ID: "cap_1", Kind: policy.PAT, UserID: "alice"}
	d, s, _ := newUsageDirectory(t, c)
	use := func(i int) *tally {
		var digest credential.Digest
		binary.BigEndian.PutUint64(digest[:], uint64(i))
		e := &Entry{digest: digest, tally: d.activity.tallyOf(digest)}
		d.Allowed(e, d.Today())
		return e.tally
	}
	for i := range maxCounted / 2 {
		if use(i); len(d.unfinished) > 0 && i < maxCounted/2-1 {
			t.Fatalf("a flush is due after %d keys", i)
		}
	}
	if len(d.unfinished) != 1 {
		t.Error("no flush is due")
	}
	for i := range maxCounted {
		use(i)
	}
	over := use(maxCounted)
	if n := len(d.activity.counted); n != maxCounted || over.allowed.Load() != 0 {
		t.Errorf("%d keys are counted, and one more %d times", n, over.allowed.Load())
	}
	s.fail = keys.ErrUnavailable
	if err := d.Flush(t.Context()); err == nil {
		t.Error("the flush went well")
	}
	if use(maxCounted); len(d.activity.counted)+len(d.activity.unwritten) != maxCounted {
		t.Errorf("%d keys are counted, and %d wait to be written", len(d.activity.counted), len(d.activity.unwritten))
	}
	s.fail = nil
	if err := d.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if over = use(maxCounted); len(d.activity.counted) != 1 || over.allowed.Load() != 1 {
		t.Errorf("%d keys are counted after the flush", len(d.activity.counted))
	}
}

// A day's requests count on that day, even if they are written on another.
func TestActivityAtMidnight(t *testing.T) {
	c := keys.Credential{Digest: credential.DigestOf("k"), ID: "cap_1", Kind: policy.PAT, UserID: "alice"}
	d, _, now := newUsageDirectory(t, c)
	e := mustFind(t, d, c.Digest)
	today := keys.DateOf(now.time())
	now.set(time.Date(2026, 3, 4, 23, 59, 59, 999, time.UTC))
	d.Allowed(e, d.Today())
	d.Refused(e, keys.Cause{Reason: "owner"})
	now.set(time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC))
	d.Allowed(e, d.Today())
	d.Allowed(e, d.Today())
	a := d.activity.collect()[c.Digest]
	if len(a) != 2 || a[0].Date != today || a[0].Allowed != 1 || a[0].AllRefused() != 1 || a[1].Allowed != 2 || a[1].AllRefused() != 0 {
		t.Errorf("counted %v", a)
	}
}

// An allowed request allocates nothing.
func TestAllowedAllocatesNothing(t *testing.T) {
	c := keys.Credential{Digest: credential.DigestOf("k"), ID: "cap_1", Kind: policy.PAT, UserID: "alice"}
	d, _, _ := newUsageDirectory(t, c)
	e := mustFind(t, d, c.Digest)
	d.Allowed(e, d.Today())
	if n := testing.AllocsPerRun(1000, func() { d.Allowed(e, d.Today()) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkAllowed is what counting costs an allowed request: of many keys, and
// of one key on all processors.
func BenchmarkAllowed(b *testing.B) {
	d, err := openIdle(&usageStore{}, 0, time.Now, func(k uint64) (uint64, uint64) { return k, 0 })
	if err != nil {
		b.Fatal(err)
	}
	defer d.cache.Close()
	entries := make([]Entry, 10_000)
	for i := range entries {
		binary.BigEndian.PutUint64(entries[i].digest[:], uint64(i))
		entries[i].tally = new(tally)
	}
	today := d.Today()
	b.Run("many keys", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			d.Allowed(&entries[i%len(entries)], today)
		}
	})
	b.Run("one key", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				d.Allowed(&entries[0], today)
			}
		})
	})
}
