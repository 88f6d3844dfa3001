package keystest

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func testFeed(t *testing.T, s keys.Store) {
	var told []keys.Change
	s.Feed(func(c keys.Change) { told = append(told, c) })
	a, b, c := credential.DigestOf("a"), credential.DigestOf("b"), credential.DigestOf("c")

	for i, step := range []struct {
		touch func(keys.Writer)
		want  keys.Change
	}{
		{func(w keys.Writer) { w.Touch(at(2), a) }, keys.Change{Touched: []credential.Digest{a}, At: at(2)}},
		{func(w keys.Writer) { w.Touch(at(3), a, b); w.Touch(at(4), c) }, keys.Change{Touched: []credential.Digest{a, b, c}, At: at(4)}},
		{func(w keys.Writer) { w.Touch(at(1), b) }, keys.Change{Touched: []credential.Digest{b}, At: at(4)}},
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
	digest := func(n int) credential.Digest { return credential.DigestOf(strconv.Itoa(n)) }

	var told []credential.Digest // only the feed writes it; the race detector sees if two do
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
				mine, err := countOn(t, s, digest)
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

// countOn counts one more, and touches the digest of the number before.
func countOn(t *testing.T, s keys.Store, digest func(int) credential.Digest) (touched credential.Digest, err error) {
	_, err = s.Update(t.Context(), func(w keys.Writer) error {
		u, err := w.User("counter")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(u.Name)
		if err != nil {
			return err
		}
		u.Name = strconv.Itoa(n + 1)
		touched = digest(n)
		w.Touch(at(n), touched)
		return putAll(w, u, keys.Tombstone{Digest: touched, ID: "x"})
	})
	return touched, err
}

func testFeedSilentWhereFailed(t *testing.T, s keys.Store) {
	s.Feed(func(c keys.Change) { t.Errorf("told of %+v", c) })
	_, _ = s.Update(t.Context(), func(w keys.Writer) error {
		w.Touch(at(1), credential.DigestOf("x"))
		return errFn
	})
	wantPanic(t, func() {
		_, _ = s.Update(t.Context(), func(w keys.Writer) error {
			w.Touch(at(1), credential.DigestOf("x"))
			panic(errFn)
		})
	})
	view(t, s, func(keys.Reader) error { return nil })
}

// A command that works on a store has no cache to be told.
func testNoFeed(t *testing.T, s keys.Store) {
	update(t, s, func(w keys.Writer) error {
		w.Touch(at(1), credential.DigestOf("x"))
		return nil
	})
}
