package keystest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

var errFn = errors.New("fn failed")

func testReadsOwnWrites(t *testing.T, s keys.Store) {
	update(t, s, func(w keys.Writer) error {
		if err := putAll(w, user("1"), user("2"), appKey("cak_1", "1", "a")); err != nil {
			return err
		}
		wantIDs(t, "Users", w.Users(0), "1", "2")
		if err := w.DeleteUser("1"); err != nil {
			return err
		}
		wantIDs(t, "Users, one deleted", w.Users(0), "2")
		wantIDs(t, "AppCredentials", w.AppCredentials(keys.AppRef{OwnerID: "1", AppID: "a"}, 0), "cak_1")
		_, err := w.CredentialByID("cak_1")
		return err
	})
}

// A decision that reads twice must not read of two moments.
func testOneMoment(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "before", r.Users(0), "1")
		done := make(chan error)
		go func() {
			done <- s.Update(t.Context(), func(w keys.Writer) error {
				w.Touch(at(1))
				return putAll(w, user("2"), token("cap_2", "2"))
			})
		}()
		if err := <-done; err != nil {
			return err
		}
		wantIDs(t, "Users, after a write", r.Users(0), "1")
		c, err := r.CredentialByID("cap_2")
		wantNotFound(t, "what was written since", c, err)
		if last, err := r.LastWrite(); err != nil || !last.IsZero() {
			t.Errorf("LastWrite: got %v, %v", last, err)
		}
		return nil
	})
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "in the next View", r.Users(0), "1", "2")
		return nil
	})
}

// half changes a bit of everything.
func half(w keys.Writer) error {
	w.Touch(at(9), keys.DigestOf("x"))
	if err := w.RetireUser("1"); err != nil {
		return err
	}
	if err := w.DeleteUser("1"); err != nil {
		return err
	}
	two := user("2")
	two.Email = "two@example.com"
	entry, head := auditEntry(1, "2", keys.Digest{})
	err := putAll(w, two, app("2", "a"), token("cap_2", "2"), collaborator("2", "a", "1"),
		keys.Tombstone{Digest: keys.DigestOf("x"), ID: "x"}, entry, head)
	if err != nil {
		return err
	}
	return w.PutLastUsed(keys.DigestOf("cap_2"), keys.Usage{At: at(1)})
}

// wantUntouched wants nothing of half to be there, and the store to work.
func wantUntouched(t *testing.T, s keys.Store) {
	t.Helper()
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Users", r.Users(0), "1")
		wantIDs(t, "Apps", r.Apps("2", 0))
		wantIDs(t, "Credentials", r.Credentials("2", 0))
		wantIDs(t, "Collaborations", r.Collaborations("1", 0))
		d, err := r.Tombstone(keys.DigestOf("x"))
		wantNotFound(t, "Tombstone", d, err)
		if retired, err := r.UserRetired("1"); err != nil || retired {
			t.Errorf("UserRetired: got %v, %v", retired, err)
		}
		u, err := r.UserByEmail("two@example.com")
		wantNotFound(t, "UserByEmail", u, err)
		l, err := r.LastUsed(keys.DigestOf("cap_2"))
		wantNotFound(t, "LastUsed", l, err)
		for d, err := range r.Tombstones() {
			t.Errorf("there is the tombstone %+v, %v", d, err)
		}
		for id, err := range r.RetiredUsers() {
			t.Errorf("there is the retired user %s, %v", id, err)
		}
		wantIDs(t, "AuditEntries", r.AuditEntries("", 0))
		wantIDs(t, "AuditEntries of a user", r.AuditEntries("2", 0))
		if head, err := r.AuditHead(); err != nil || head != (keys.AuditHead{}) {
			t.Errorf("AuditHead: got %+v, %v", head, err)
		}
		if last, err := r.LastWrite(); err != nil || !last.IsZero() {
			t.Errorf("LastWrite: got %v, %v", last, err)
		}
		return nil
	})
	put(t, s, user("3"))
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Users, after the next write", r.Users(0), "1", "3")
		return nil
	})
}

func testRollbackOnError(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	err := s.Update(t.Context(), func(w keys.Writer) error {
		if err := half(w); err != nil {
			return err
		}
		return errFn
	})
	if !errors.Is(err, errFn) || errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("got %v, want fn's error", err)
	}
	wantUntouched(t, s)
}

func testRollbackOnPanic(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	wantPanic(t, func() {
		_ = s.Update(t.Context(), func(w keys.Writer) error {
			if err := half(w); err != nil {
				t.Error(err)
			}
			panic(errFn)
		})
	})
	wantUntouched(t, s)
}

func testPanicInView(t *testing.T, s keys.Store) {
	wantPanic(t, func() {
		_ = s.View(t.Context(), func(keys.Reader) error { panic(errFn) })
	})
	put(t, s, user("1"))
	if err := s.Close(); err != nil { // it would wait for a View that has not ended
		t.Errorf("Close: %v", err)
	}
}

func wantPanic(t *testing.T, fn func()) {
	t.Helper()
	defer func() {
		if r := recover(); r != errFn {
			t.Errorf("got the panic %v, want that of fn", r)
		}
	}()
	fn()
}

func testViewReturnsError(t *testing.T, s keys.Store) {
	if err := s.View(t.Context(), func(keys.Reader) error { return errFn }); !errors.Is(err, errFn) {
		t.Errorf("got %v, want fn's error", err)
	}
}

// A caller that has gone starts nothing.
func testCancelled(t *testing.T, s keys.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.View(ctx, func(keys.Reader) error {
		t.Error("View ran fn")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("View: got %v", err)
	}
	err = s.Update(ctx, func(keys.Writer) error {
		t.Error("Update ran fn")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update: got %v", err)
	}
}

func testFeed(t *testing.T, s keys.Store) {
	var told []keys.Change
	s.Feed(func(c keys.Change) { told = append(told, c) })
	a, b, c := keys.DigestOf("a"), keys.DigestOf("b"), keys.DigestOf("c")

	for i, step := range []struct {
		touch func(keys.Writer)
		want  keys.Change
	}{
		{func(w keys.Writer) { w.Touch(at(2), a) }, keys.Change{Touched: []keys.Digest{a}, At: at(2)}},
		{func(w keys.Writer) { w.Touch(at(3), a, b); w.Touch(at(4), c) }, keys.Change{Touched: []keys.Digest{a, b, c}, At: at(4)}},
		{func(w keys.Writer) { w.Touch(at(1), b) }, keys.Change{Touched: []keys.Digest{b}, At: at(4)}},
		{func(w keys.Writer) { w.Touch(at(5)) }, keys.Change{At: at(5)}},
		{func(keys.Writer) {}, keys.Change{At: at(5)}},
	} {
		update(t, s, func(w keys.Writer) error {
			step.touch(w)
			if len(told) != i {
				t.Errorf("step %d: the feed was told before the commit", i)
			}
			return w.PutUser(user(strconv.Itoa(i)))
		})
		if len(told) != i+1 {
			t.Fatalf("step %d: the feed was told of %d commits when Update returned", i, len(told))
		}
		got := told[i]
		if !slices.Equal(got.Touched, step.want.Touched) || got.All || !got.At.Equal(step.want.At) {
			t.Errorf("step %d: got %+v, want %+v", i, got, step.want)
		}
	}
}

// The feed hears of what is durable, in the order in which it came about.
func testFeedOrder(t *testing.T, s keys.Store) {
	const writers, writes = 8, 10
	digest := func(n int) keys.Digest { return keys.DigestOf(strconv.Itoa(n)) }

	var told []keys.Digest // only the feed writes it; the race detector sees if two do
	var inside atomic.Int32
	var heard sync.Map
	s.Feed(func(c keys.Change) {
		if inside.Add(1) != 1 {
			t.Error("the feed was called at the same time as itself")
		}
		defer inside.Add(-1)
		told = append(told, c.Touched...)
		for _, d := range c.Touched {
			heard.Store(d, true)
		}
		if err := s.View(t.Context(), func(r keys.Reader) error {
			for _, d := range c.Touched {
				if _, err := r.Tombstone(d); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Errorf("the feed doesn't see what it is told of: %v", err)
		}
	})

	put(t, s, keys.User{ID: "counter", Name: "0"})
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for range writes {
				var mine keys.Digest
				err := s.Update(t.Context(), func(w keys.Writer) error {
					u, err := w.User("counter")
					if err != nil {
						return err
					}
					n, err := strconv.Atoi(u.Name)
					if err != nil {
						return err
					}
					u.Name = strconv.Itoa(n + 1)
					mine = digest(n)
					w.Touch(at(n), mine)
					return putAll(w, u, keys.Tombstone{Digest: mine, ID: "x"})
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
				if _, ok := heard.Load(mine); !ok {
					t.Error("Update returned before the feed was told")
				}
			}
		})
	}
	running.Wait()

	if len(told) != writers*writes {
		t.Fatalf("told of %d commits, want %d", len(told), writers*writes)
	}
	for n, d := range told {
		if d != digest(n) {
			t.Fatalf("commit %d is out of order", n)
		}
	}
}

func testFeedSilentWhereFailed(t *testing.T, s keys.Store) {
	s.Feed(func(c keys.Change) { t.Errorf("told of %+v", c) })
	_ = s.Update(t.Context(), func(w keys.Writer) error {
		w.Touch(at(1), keys.DigestOf("x"))
		return errFn
	})
	wantPanic(t, func() {
		_ = s.Update(t.Context(), func(w keys.Writer) error {
			w.Touch(at(1), keys.DigestOf("x"))
			panic(errFn)
		})
	})
	view(t, s, func(keys.Reader) error { return nil })
}

// A command that works on a store has no cache to be told.
func testNoFeed(t *testing.T, s keys.Store) {
	update(t, s, func(w keys.Writer) error {
		w.Touch(at(1), keys.DigestOf("x"))
		return nil
	})
}

func testClose(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for what, err := range map[string]error{
		"View":   s.View(t.Context(), func(keys.Reader) error { t.Error("View ran fn"); return nil }),
		"Update": s.Update(t.Context(), func(keys.Writer) error { t.Error("Update ran fn"); return nil }),
		"Close":  s.Close(),
	} {
		if !errors.Is(err, keys.ErrClosed) || !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
}

func testCloseWaits(t *testing.T, s keys.Store) {
	started, end := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	var viewed error
	var running sync.WaitGroup
	running.Go(func() {
		viewed = s.View(t.Context(), func(r keys.Reader) error {
			close(started)
			<-end
			defer ended.Store(true)
			_, err := r.User("nobody")
			return err
		})
	})
	<-started
	closing := make(chan struct{})
	running.Go(func() {
		close(closing)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if !ended.Load() {
			t.Error("Close returned before View had ended")
		}
	})
	<-closing
	close(end)
	running.Wait()
	if !errors.Is(viewed, keys.ErrNotFound) {
		t.Errorf("View: got %v, want what it would have read", viewed)
	}
}
