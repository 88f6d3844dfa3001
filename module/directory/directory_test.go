package directory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func TestChangesTakeEffectAtOnce(t *testing.T) {
	past := func(c *keys.Credential) error {
		c.ExpiresAt = time.Now().Add(-time.Second)
		return nil
	}
	for _, tt := range []struct {
		name   string
		change func(*keys.Tx, keys.Credential) error
		want   keys.Standing
	}{
		{"revoke", func(tx *keys.Tx, c keys.Credential) error { return tx.Revoke(c.ID, "leaked") }, keys.Unknown},
		{"disable", func(tx *keys.Tx, c keys.Credential) error {
			_, err := tx.ChangeCredential(c.ID, func(c *keys.Credential) error { c.Disabled = true; return nil })
			return err
		}, keys.Disabled},
		{"expiry", func(tx *keys.Tx, c keys.Credential) error {
			_, err := tx.ChangeCredential(c.ID, past)
			return err
		}, keys.Expired},
		{"suspend the user", func(tx *keys.Tx, c keys.Credential) error {
			_, err := tx.ChangeUser(c.UserID, func(u *keys.User) error { u.Suspended = true; return nil })
			return err
		}, keys.Suspended},
		{"delete the app", func(tx *keys.Tx, c keys.Credential) error {
			return tx.DeleteApp(keys.AppRef{OwnerID: c.UserID, AppID: c.AppID})
		}, keys.Unknown},
		{"delete the user", func(tx *keys.Tx, c keys.Credential) error { return tx.DeleteUser(c.UserID) }, keys.Unknown},
		{"rotate", func(tx *keys.Tx, c keys.Credential) error {
			next := newKey()
			_, err := tx.Rotate(c.ID, keys.Rotation{Digest: next.Digest, ID: next.ID})
			return err
		}, keys.Unknown},
		{"rotate with grace", func(tx *keys.Tx, c keys.Credential) error {
			next := newKey()
			_, err := tx.Rotate(c.ID, keys.Rotation{Digest: next.Digest, ID: next.ID, Grace: time.Hour})
			return err
		}, keys.Active},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _, c := newDirectory(t)
			if s := d.Standing(find(t, d, c.Digest)); s != keys.Active {
				t.Fatalf("standing %v before", s)
			}
			update(t, d, func(tx *keys.Tx) error { return tt.change(tx, c) })
			if s := d.Standing(find(t, d, c.Digest)); s != tt.want {
				t.Errorf("standing %v, want %v", s, tt.want)
			}
		})
	}
}

func TestNegativeEntriesEndWithTheCreation(t *testing.T) {
	d, _, _ := newDirectory(t)
	c := newKey()
	if find(t, d, c.Digest).Exists() {
		t.Fatal("found before it was created")
	}
	update(t, d, func(tx *keys.Tx) error { _, err := tx.CreateCredential(c); return err })
	if !find(t, d, c.Digest).Exists() {
		t.Error("not found after it was created")
	}
}

// A slow loader has read the record of before and comes to cache it after the
// revocation: nobody may be answered from it.
func TestASlowLoaderBringsNothingBack(t *testing.T) {
	d, m, c := newDirectory(t)
	read, goOn := make(chan struct{}), make(chan struct{})
	// A load reads whose the credential is, and then the credential: it is held
	// up behind that.
	var views atomic.Int32
	after := func() {
		if views.Add(1) == 2 {
			close(read)
			<-goOn
		}
	}
	m.after.Store(&after)

	slow := make(chan *directory.Entry, 1)
	go func() {
		e, _ := d.Find(t.Context(), c.Digest)
		slow <- e
	}()
	receive(t, read, "the slow load")
	// The revocation is acknowledged while the load is held up.
	update(t, d, func(tx *keys.Tx) error { return tx.Revoke(c.ID, "leaked") })

	// One joins the load that began before; it may not use what it finds.
	joined := make(chan *directory.Entry, 1)
	go func() {
		e, _ := d.Find(t.Context(), c.Digest)
		joined <- e
	}()
	waitForLoads(t, 2)
	close(goOn)
	if e := receive(t, joined, "the joined load"); e == nil || e.Exists() {
		t.Error("who joined a load from before the revocation was answered from it")
	}
	receive(t, slow, "the slow load")
	for range 100 {
		if find(t, d, c.Digest).Exists() {
			t.Fatal("found after the revocation")
		}
	}
}

// waitForLoads waits until so many calls are within a load that they share.
func waitForLoads(t *testing.T, n int) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for limit := time.Now().Add(deadline); time.Now().Before(limit); runtime.Gosched() {
		if bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("singleflight.(*Group).Do(")) >= n {
			return
		}
	}
	t.Fatalf("there are no %d calls within a load", n)
}

// No Find that starts after a change was acknowledged answers from before it.
// Each change gives the credential a later expiry, which tells the versions
// apart; revocations and creations come in between.
func TestNoStaleAnswers(t *testing.T) {
	const readers, credentials, changes = 64, 4, 200
	d, m, _ := newDirectory(t)
	// A slow store: what was read is held back for a moment, now and then.
	hold := func() {
		if rand.IntN(4) == 0 {
			<-time.After(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
	}
	m.after.Store(&hold)

	epoch := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	var acknowledged [credentials]atomic.Int64 // version, negative: revoked
	var ids [credentials]keys.Credential
	for i := range ids {
		ids[i] = createKey(t, d)
	}
	stop := make(chan struct{})
	var reads, stale atomic.Int64
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := rand.IntN(credentials)
				before := acknowledged[i].Load()
				e, err := d.Find(t.Context(), ids[i].Digest)
				if err != nil {
					t.Error(err)
					return
				}
				reads.Add(1)
				version := int64(e.Expiry().Sub(epoch) / time.Second)
				if e.Exists() && (before < 0 || before > 0 && version < before) {
					stale.Add(1)
				}
			}
		})
	}
	var writers sync.WaitGroup
	for i := range ids {
		writers.Go(func() {
			for v := int64(1); v <= changes; v++ {
				err := d.Update(t.Context(), operator, func(tx *keys.Tx) error {
					_, err := tx.ChangeCredential(ids[i].ID, func(c *keys.Credential) error {
						c.ExpiresAt = epoch.Add(time.Duration(v) * time.Second)
						c.Disabled = v%3 == 0
						return nil
					})
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				acknowledged[i].Store(v)
			}
			if err := d.Update(t.Context(), operator, func(tx *keys.Tx) error { return tx.Revoke(ids[i].ID, "leaked") }); err != nil {
				t.Error(err)
			}
			acknowledged[i].Store(-1)
		})
	}
	writers.Wait()
	// The readers go on for a while after the revocations.
	for target := reads.Load() + 10_000; reads.Load() < target && !t.Failed(); {
		<-time.After(time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if n := stale.Load(); n > 0 {
		t.Errorf("%d of %d answers were from before an acknowledged change", n, reads.Load())
	}
	t.Logf("%d reads, %d changes, %d loads", reads.Load(), credentials*(changes+1), d.Loads())
}

func TestAFailingStoreIsNoAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		break_ func() error
	}{
		{"input or output error", func() error { return errors.New("input/output error") }},
		{"corrupt record", func() error { return keys.ErrCorrupt }},
		{"panic", func() error { panic("out of pages") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m, c := newDirectory(t)
			m.before.Store(&tt.break_)
			e, err := d.Find(t.Context(), c.Digest)
			if err == nil || e != nil {
				t.Fatalf("answered %v, %v", e, err)
			}
			if strings.Contains(err.Error(), c.Digest.String()) {
				t.Error("the error shows the digest")
			}
			m.before.Store(nil)
			if !find(t, d, c.Digest).Exists() {
				t.Error("the failure was cached")
			}
		})
	}
}

func TestOneLoadForAllWhoAsk(t *testing.T) {
	d, m, c := newDirectory(t)
	goOn := make(chan struct{})
	before := func() error { <-goOn; return nil }
	m.before.Store(&before)
	loads := d.Loads()
	const askers = 1000
	var asking sync.WaitGroup
	answers := make(chan *directory.Entry, askers)
	asking.Add(askers)
	for range askers {
		go func() {
			asking.Done()
			e, _ := d.Find(t.Context(), c.Digest)
			answers <- e
		}()
	}
	asking.Wait()
	close(goOn)
	for range askers {
		if e := receive(t, answers, "an answer"); e == nil || !e.Exists() {
			t.Fatal("not found")
		}
	}
	// Some may come when the one load is over, and find it in the cache.
	if n := d.Loads() - loads; n > 10 {
		t.Errorf("%d loads for %d who asked at once", n, askers)
	}
}

func TestWithoutCache(t *testing.T) {
	d, _, c := newDirectory(t)
	d.SetCache(0)
	before := d.Loads()
	for range 5 {
		if !find(t, d, c.Digest).Exists() {
			t.Fatal("not found")
		}
	}
	if n := d.Loads() - before; n != 5 {
		t.Errorf("%d loads for 5 questions", n)
	}
}

func TestTransactions(t *testing.T) {
	d, _, c := newDirectory(t)
	for _, tt := range []struct {
		name   string
		change func(*keys.Tx) error
		want   error
	}{
		{"a digest that is there", func(tx *keys.Tx) error { _, err := tx.CreateCredential(c); return err }, keys.ErrExists},
		{"a user that is there", func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "alice"}); return err }, keys.ErrExists},
		{"an app that is there", func(tx *keys.Tx) error {
			_, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}})
			return err
		}, keys.ErrExists},
		{"an app of nobody", func(tx *keys.Tx) error {
			_, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "nobody", AppID: "shop"}})
			return err
		}, keys.ErrNotFound},
		{"a key for no app", func(tx *keys.Tx) error {
			k := newKey()
			k.AppID = "nothing"
			_, err := tx.CreateCredential(k)
			return err
		}, keys.ErrNotFound},
		{"a tombstoned digest", func(tx *keys.Tx) error {
			if err := tx.Revoke(c.ID, "leaked"); err != nil {
				return err
			}
			_, err := tx.CreateCredential(c)
			return err
		}, keys.ErrRevoked},
		{"a deleted user's id", func(tx *keys.Tx) error {
			if err := tx.DeleteUser("alice"); err != nil {
				return err
			}
			_, err := tx.CreateUser(keys.User{ID: "alice"})
			return err
		}, keys.ErrExists},
		{"revoke by an id that a revoked key had", func(tx *keys.Tx) error {
			if err := tx.Revoke(c.ID, "leaked"); err != nil {
				return err
			}
			stone, err := tx.TombstoneByID(c.ID)
			if err != nil || stone.Digest != c.Digest || stone.UserID != "alice" || stone.CreatedBy != keys.Operator {
				t.Errorf("of the revoked key stays %+v (%v)", stone, err)
			}
			return tx.Revoke(stone.ID, "leaked")
		}, keys.ErrNotFound},
		{"revoke twice", func(tx *keys.Tx) error {
			if err := tx.Revoke(c.ID, "leaked"); err != nil {
				return err
			}
			return tx.Revoke(c.ID, "leaked")
		}, keys.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := d.Update(t.Context(), operator, tt.change)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			// The failed change had no effect.
			if s := d.Standing(find(t, d, c.Digest)); s != keys.Active {
				t.Errorf("standing %v after a change that failed", s)
			}
		})
	}
}

func TestInvalidRecords(t *testing.T) {
	d, _, _ := newDirectory(t)
	key := func(change func(*keys.Credential)) func(*keys.Tx) error {
		return func(tx *keys.Tx) error {
			c := newKey()
			change(&c)
			_, err := tx.CreateCredential(c)
			return err
		}
	}
	for _, tt := range []struct {
		field  string
		change func(*keys.Tx) error
	}{
		{"id", func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "me"}); return err }},
		{"id", func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "a/b"}); return err }},
		{"id", func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: strings.Repeat("x", 49)}); return err }},
		{"name", func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "bob", Name: "a\nb"}); return err }},
		{"email", func(tx *keys.Tx) error {
			_, err := tx.CreateUser(keys.User{ID: "bob", Email: "b\xffb"})
			return err
		}},
		{"scopes", key(func(c *keys.Credential) { c.Scopes = []string{"a b"} })},
		{"endpoints", key(func(c *keys.Credential) { c.Endpoints = []string{"ListInputs"} })},
		{"description", key(func(c *keys.Credential) { c.Description = strings.Repeat("x", 1025) })},
		{"apps", key(func(c *keys.Credential) { c.AppID = "" })},
		{"expires_at", key(func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) })},
		// Beyond what nanoseconds count, which would be read as another time.
		{"expires_at", key(func(c *keys.Credential) { c.ExpiresAt = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"expires_at", key(func(c *keys.Credential) { c.ExpiresAt = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC) })},
	} {
		t.Run(tt.field, func(t *testing.T) {
			err := d.Update(t.Context(), operator, tt.change)
			var invalid *keys.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != tt.field {
				t.Errorf("error %v, want one of the field %s", err, tt.field)
			}
		})
	}
}

func TestRotate(t *testing.T) {
	d, _, c := newDirectory(t)
	next := newKey()
	update(t, d, func(tx *keys.Tx) error {
		r, err := tx.Rotate(c.ID, keys.Rotation{Digest: next.Digest, ID: next.ID, Grace: time.Hour})
		if err == nil && (r.AppID != c.AppID || fmt.Sprint(r.Scopes) != fmt.Sprint(c.Scopes) || !r.ExpiresAt.IsZero()) {
			t.Errorf("rotated to %+v", r)
		}
		return err
	})
	old := find(t, d, c.Digest)
	if left := time.Until(old.Expiry()); left <= 0 || left > time.Hour {
		t.Errorf("the old one has %v left, want at most the grace", left)
	}
	// A longer grace later doesn't give it more.
	other := newKey()
	update(t, d, func(tx *keys.Tx) error {
		_, err := tx.Rotate(c.ID, keys.Rotation{Digest: other.Digest, ID: other.ID, Grace: 48 * time.Hour})
		return err
	})
	if again := find(t, d, c.Digest); !again.Expiry().Equal(old.Expiry()) {
		t.Errorf("a second rotation moved the end from %v to %v", old.Expiry(), again.Expiry())
	}
}

// A walk waits for the walk that runs, and a look-up doesn't.
func TestWalksTakeTurns(t *testing.T) {
	d, _, _ := newDirectory(t)
	done := errors.New("done")
	err := d.Walk(t.Context(), "alice", func() error {
		impatient, cancel := context.WithCancel(t.Context())
		waits := make(chan error)
		go func() {
			waits <- d.Walk(impatient, "bob", func() error { return done })
		}()
		if err := d.LookUp(t.Context(), "bob", func() error { return done }); !errors.Is(err, done) {
			t.Errorf("looking up: %v", err)
		}
		cancel()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Errorf("a second walk at the same time: %v", err)
		}
		return done
	})
	if !errors.Is(err, done) {
		t.Error(err)
	}
	if err := d.Walk(t.Context(), "bob", func() error { return done }); !errors.Is(err, done) {
		t.Errorf("afterwards: %v", err)
	}
}
