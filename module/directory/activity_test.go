package directory_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

var lacksScope = keys.NewCause("scopes", []string{"Inputs:Add"}, nil)

func activityOf(t *testing.T, d *directory.Directory, digest credential.Digest) (a keys.Activity) {
	t.Helper()
	err := d.View(t.Context(), func(r keys.Reader) (err error) {
		a, err = r.Activity(digest)
		return err
	})
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		t.Fatal(err)
	}
	return a
}

func flush(t *testing.T, d *directory.Directory) {
	t.Helper()
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// openAt opens a directory over a store at a time that the test sets.
func openAt(t *testing.T, store keys.Store, start time.Time) (*directory.Owned, *atomic.Pointer[time.Time]) {
	t.Helper()
	now := new(atomic.Pointer[time.Time])
	now.Store(&start)
	d, err := directory.NewIdle(store, func() time.Time { return *now.Load() })
	if err != nil {
		t.Fatal(err)
	}
	return d, now
}

// Requests are counted by day, written by Flush, and counted on by the next
// directory of the store.
func TestActivity(t *testing.T) {
	d, m, c := newDirectory(t)
	e := find(t, d, c.Digest)
	for range 3 {
		d.Allowed(e, d.Today())
	}
	d.Refused(e, lacksScope)
	if a := activityOf(t, d, c.Digest); a != nil {
		t.Errorf("%v was written before the flush", a)
	}
	flush(t, d)
	today := keys.DateOf(d.Now())
	want := keys.Activity{{Date: today, Allowed: 3, Refused: map[keys.Cause]uint64{lacksScope: 1}}}
	if a := activityOf(t, d, c.Digest); !reflect.DeepEqual(a, want) {
		t.Errorf("%v was written, want %v", a, want)
	}
	flush(t, d) // nothing more

	next, now := openAt(t, unclosed{m}, d.Now())
	defer next.Close()
	e = find(t, next.Directory, c.Digest)
	next.Allowed(e, next.Today())
	tomorrow := now.Load().Add(24 * time.Hour)
	now.Store(&tomorrow)
	next.Allowed(e, next.Today())
	next.Refused(e, keys.NewCause("owner", nil, nil))
	flush(t, next.Directory)
	want[0].Allowed = 4
	want = append(want, keys.Day{Date: today + 1, Allowed: 1, Refused: map[keys.Cause]uint64{{Reason: "owner"}: 1}})
	if a := activityOf(t, d, c.Digest); !reflect.DeepEqual(a, want) {
		t.Errorf("%v was written, want %v", a, want)
	}
}

// unclosed is a store that another directory closes.
type unclosed struct{ keys.Store }

func (unclosed) Close() error { return nil }

// Counts that can't be written wait, and are written with later ones.
func TestActivityWaits(t *testing.T) {
	d, m, c := newDirectory(t)
	broken := &unwritable{Store: unclosed{m}}
	other, _ := openAt(t, broken, time.Now())
	defer other.Close()
	broken.fail.Store(true)
	e := find(t, other.Directory, c.Digest)
	other.Used(e, "192.0.2.1")
	for range 2 {
		other.Allowed(e, other.Today())
		if err := other.Flush(t.Context()); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%v where the store fails", err)
		}
	}
	broken.fail.Store(false)
	other.Allowed(e, other.Today())
	flush(t, other.Directory)
	if a := activityOf(t, d, c.Digest); len(a) != 1 || a[0].Allowed != 3 {
		t.Errorf("%v was written, want 3 allowed requests", a)
	}
}

// unwritable is a store to which no use can be written.
type unwritable struct {
	keys.Store
	fail atomic.Bool
}

func (s *unwritable) Used(ctx context.Context, uses []keys.Use) error {
	if s.fail.Load() {
		return keys.ErrUnavailable
	}
	return s.Store.Used(ctx, uses)
}

// No count is lost or made twice while requests, flushes and reloads of the
// entry go on at once. A revoked key keeps nothing.
func TestActivityRace(t *testing.T) {
	d, _, c := newDirectory(t)
	const workers, requests = 8, 500
	var running sync.WaitGroup
	for i := range workers {
		running.Go(func() {
			for j := range requests {
				e, err := d.Find(t.Context(), c.Digest)
				if err != nil {
					t.Error(err)
					return
				}
				d.Allowed(e, d.Today())
				d.Refused(e, lacksScope)
				if i == 0 && j%50 == 0 {
					update(t, d, func(tx *keys.Tx) error {
						_, err := tx.ChangeCredential(c.ID, func(c *keys.Credential) error { c.Description += "."; return nil })
						return err
					})
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		running.Wait()
	}()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		default:
			flush(t, d)
		}
	}
	flush(t, d)
	allowed, refused := uint64(0), uint64(0)
	for _, day := range activityOf(t, d, c.Digest) {
		allowed, refused = allowed+day.Allowed, refused+day.Refused[lacksScope]
	}
	if allowed != workers*requests || refused != workers*requests {
		t.Errorf("%d allowed and %d refused, want %d of each", allowed, refused, workers*requests)
	}
	d.Allowed(find(t, d, c.Digest), d.Today())
	update(t, d, func(tx *keys.Tx) error { return tx.Revoke(c.ID, "leaked") })
	flush(t, d)
	if a := activityOf(t, d, c.Digest); a != nil {
		t.Errorf("a revoked key has activity: %v", a)
	}
}

// Unknown credentials and sessions count nowhere.
func TestActivityOfNoKey(t *testing.T) {
	d, _, _ := newDirectory(t)
	unknown := find(t, d, credential.DigestOf("unknown"))
	d.Allowed(unknown, d.Today())
	d.Refused(unknown, lacksScope)
	flush(t, d)
	if a := activityOf(t, d, credential.DigestOf("unknown")); a != nil {
		t.Errorf("an unknown credential has activity: %v", a)
	}
}

// Upkeep removes the activity of keys that are not used any more, over as many
// rounds as it takes.
func TestActivityIsRemoved(t *testing.T) {
	d, m, c := newDirectory(t)
	for range 3 {
		d.Allowed(find(t, d, createKey(t, d).Digest), d.Today())
	}
	d.Allowed(find(t, d, c.Digest), d.Today())
	flush(t, d)
	count := func() (n int) {
		_ = d.View(t.Context(), func(r keys.Reader) error {
			for range r.Activities(credential.Digest{}) {
				n++
			}
			return nil
		})
		return n
	}
	later, now := openAt(t, unclosed{m}, d.Now())
	defer later.Close()
	last := d.Now().Add((keys.ActivityDays - 1) * 24 * time.Hour)
	now.Store(&last)
	if err := later.Upkeep(t.Context()); err != nil || count() != 4 {
		t.Errorf("%d keys have activity after %d days, want 4 (%v)", count(), keys.ActivityDays-1, err)
	}
	later.Allowed(find(t, later.Directory, c.Digest), later.Today())
	last = last.Add(24 * time.Hour)
	now.Store(&last)
	if err := later.Upkeep(t.Context()); err != nil || count() != 1 {
		t.Errorf("%d keys have activity after %d days, want 1 (%v)", count(), keys.ActivityDays, err)
	}
	if a := activityOf(t, d, c.Digest); len(a) != 1 || a[0].Date != keys.DateOf(last)-1 {
		t.Errorf("the key that was used has %v", a)
	}
}
