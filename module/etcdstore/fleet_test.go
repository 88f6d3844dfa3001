package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

// newFleet opens nodes that share a store.
func newFleet(t *testing.T, c Config, nodes int) []*Store {
	t.Helper()
	var fleet []*Store
	for range nodes {
		c.Mirror = filepath.Join(t.TempDir(), "mirror.db")
		fleet = append(fleet, openStore(t, c))
	}
	return fleet
}

// told collects what a feed is told.
type told struct {
	mu      sync.Mutex
	changes []keys.Change
	// stuck, if it isn't nil, keeps the feed from going on until it is closed.
	stuck chan struct{}
}

func (f *told) change(c keys.Change) {
	f.mu.Lock()
	f.changes = append(f.changes, c)
	stuck := f.stuck
	f.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
}

// stop keeps the feed from returning until goOn is called.
func (f *told) stop() (goOn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stuck := make(chan struct{})
	f.stuck = stuck
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stuck = nil
		close(stuck)
	})
}

func (f *told) touched(d credential.Digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.changes {
		for _, touched := range c.Touched {
			if touched == d {
				return true
			}
		}
	}
	return false
}

// revoke deletes the credential, and settles.
func revoke(t *testing.T, s *Store, d credential.Digest) keys.Commit {
	t.Helper()
	done, err := s.Update(t.Context(), func(w keys.Writer) error {
		w.Touch(time.Now(), d)
		return w.DeleteCredential(d)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Settle(t.Context(), done)
}

func has(t *testing.T, s *Store, d credential.Digest) bool {
	t.Helper()
	there := false
	if err := s.View(t.Context(), func(r keys.Reader) error {
		_, err := r.Credential(d)
		there = err == nil
		if errors.Is(err, keys.ErrNotFound) {
			err = nil
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return there
}

// put adds users or credentials, and settles.
func put(t *testing.T, s *Store, fn func(w keys.Writer) error) {
	t.Helper()
	done, err := s.Update(t.Context(), fn)
	if err != nil {
		t.Fatal(err)
	}
	if done = s.Settle(t.Context(), done); done.Waiting != 0 {
		t.Fatalf("%d nodes have yet to apply it", done.Waiting)
	}
}

func TestEveryNodeKnows(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.MaxStaleness = 3 * time.Second // each node waits that long for nodes that it can't know of
	fleet := newFleet(t, c, 3)
	var feeds [3]told
	for i, s := range fleet {
		s.Feed(feeds[i].change)
	}
	key := keystest.SomeKey
	for i, s := range fleet {
		put(t, s, func(w keys.Writer) error { return w.PutCredential(key) })
		other := fleet[(i+1)%3]
		for n, at := range fleet {
			if !has(t, at, key.Digest) {
				t.Errorf("node %d doesn't know the key that node %d made", n, i)
			}
		}
		if done := revoke(t, other, key.Digest); done.Waiting != 0 {
			t.Errorf("%d nodes have yet to revoke it", done.Waiting)
		}
		for n, at := range fleet {
			if has(t, at, key.Digest) {
				t.Errorf("node %d has the key that was revoked", n)
			}
			if !feeds[n].touched(key.Digest) {
				t.Errorf("the feed of node %d was not told", n)
			}
			if err := at.Fresh(); err != nil {
				t.Errorf("node %d: %v", n, err)
			}
		}
	}
}

// Changes that several nodes make at the same time come one after the other.
func TestSerial(t *testing.T) {
	all := newStores(t)
	fleet := newFleet(t, all.config(t), 3)
	const each = 20
	var writers sync.WaitGroup
	for i, s := range fleet {
		writers.Go(func() {
			for n := range each {
				_, err := s.Update(t.Context(), func(w keys.Writer) error {
					name := fmt.Sprintf("u%d-%d", i, n)
					return w.PutUser(keys.User{ID: name, Name: name, CreatedAt: time.Unix(1, 0), ModifiedAt: time.Unix(1, 0)})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for n, s := range fleet {
		done, err := s.Update(t.Context(), func(keys.Writer) error { return nil })
		if err != nil || done.Revision != uint64(3*each+1+n) {
			t.Errorf("after %d changes the next is %d (%v)", 3*each+n, done.Revision, err)
		}
		last := uint64(0)
		err = s.View(t.Context(), func(r keys.Reader) error {
			for u, err := range r.Users(0) {
				if err != nil {
					return err
				}
				if u.Seq != last+1 {
					t.Errorf("user %s has the number %d after %d", u.ID, u.Seq, last)
				}
				last = u.Seq
			}
			return nil
		})
		if err != nil || last != 3*each {
			t.Errorf("node %d has %d users (%v)", n, last, err)
		}
	}
}

// A node that doesn't apply a change is not waited for longer than it may decide
// without it, and decides nothing from then on.
func TestNodeThatLags(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.MaxStaleness = time.Second
	fleet := newFleet(t, c, 2)
	var lagging told
	fleet[1].Feed(lagging.change)
	key := keystest.SomeKey
	put(t, fleet[0], func(w keys.Writer) error { return w.PutCredential(key) })
	goOn := lagging.stop()
	defer goOn()
	begin := time.Now()
	done := revoke(t, fleet[0], key.Digest)
	if done.Waiting != 1 || done.Unbounded || time.Since(begin) < c.MaxStaleness {
		t.Errorf("settled after %s with %+v", time.Since(begin), done)
	}
	if err := fleet[1].Fresh(); !errors.Is(err, keys.ErrStale) {
		t.Errorf("the node that lags may decide: %v", err)
	}
	if err := fleet[1].Ready(t.Context()); !errors.Is(err, keys.ErrStale) {
		t.Errorf("the node that lags is ready: %v", err)
	}
	goOn()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !fleet[1].known.wait(ctx, fleet[1].fence.fresh) {
		t.Errorf("the node is not fresh again: %v", fleet[1].staleError())
	}
	if has(t, fleet[1], key.Digest) {
		t.Error("the node that lagged has the key that was revoked")
	}
}

// Whatever etcd has forgotten, a node lists.
func TestCompacted(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.MaxStaleness = 3 * time.Second
	fleet := newFleet(t, c, 1)
	key := keystest.SomeKey
	put(t, fleet[0], func(w keys.Writer) error { return w.PutCredential(key) })
	c.Mirror = filepath.Join(t.TempDir(), "mirror.db")
	away := openStore(t, c)
	if !has(t, away, key.Digest) {
		t.Fatal("the second node doesn't know the key")
	}
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	revoke(t, fleet[0], key.Digest)
	put(t, fleet[0], func(w keys.Writer) error { return w.PutUser(keystest.SomeUser) })
	all.etcd.Compact(fleet[0].known.current().Revision)
	back := openStore(t, c)
	if has(t, back, key.Digest) {
		t.Error("the node has a key that was revoked while it was away")
	}
	if err := back.View(t.Context(), func(r keys.Reader) error {
		_, err := r.User(keystest.SomeUser.ID)
		return err
	}); err != nil {
		t.Error(err)
	}
	found, err := back.Examine(t.Context())
	if err != nil || len(found.Findings) > 0 {
		t.Errorf("the mirror: %v %v", found.Findings, err)
	}
}

// After a snapshot from before a revocation was restored, nobody decides until
// the revocation is back.
func TestSnapshotRestored(t *testing.T) {
	all, c := newRestorable(t)
	fleet := newFleet(t, c, 2)
	key := keystest.SomeKey
	put(t, fleet[0], func(w keys.Writer) error { return w.PutUser(keystest.SomeUser) })
	put(t, fleet[0], func(w keys.Writer) error { return w.PutCredential(key) })
	snapshot := all.snapshot(t)
	put(t, fleet[0], func(w keys.Writer) error {
		w.Touch(time.Now(), key.Digest)
		return errors.Join(w.PutTombstone(keys.Tombstone{Digest: key.Digest, ID: key.ID, UserID: key.UserID, At: time.Now(), Reason: "leaked"}), w.DeleteCredential(key.Digest))
	})
	all.etcd.Restore(snapshot)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n, s := range fleet {
		if !s.known.wait(ctx, func() bool { return len(s.known.heldBy()) == 2 }) {
			t.Fatalf("node %d knows of the holds %v", n, s.known.heldBy())
		}
		if err := s.Fresh(); !errors.Is(err, keys.ErrStale) {
			t.Errorf("node %d decides: %v", n, err)
		}
		if has(t, s, key.Digest) {
			t.Errorf("node %d has the revoked key", n)
		}
		_, err := s.Update(ctx, func(w keys.Writer) error { return w.PutUser(keystest.SomeUser) })
		if !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("node %d changes something: %v", n, err)
		}
	}
	// A node without a mirror doesn't decide either.
	c.Mirror = filepath.Join(t.TempDir(), "mirror.db")
	third := openStore(t, c)
	if err := third.Fresh(); !errors.Is(err, keys.ErrStale) {
		t.Errorf("the third node decides: %v", err)
	}

	done, err := third.Reconcile(ctx, false)
	if err != nil || len(done.Nodes) != 2 || len(done.Lost) != 0 {
		t.Fatalf("reconciled %+v: %v", done, err)
	}
	for n, s := range append(fleet, third) {
		if !s.known.wait(ctx, s.fence.fresh) {
			t.Fatalf("node %d is not fresh again: %v", n, s.staleError())
		}
		if has(t, s, key.Digest) {
			t.Errorf("node %d has the revoked key", n)
		}
		found, err := s.Examine(t.Context())
		if err != nil || len(found.Findings) > 0 {
			t.Errorf("node %d: %v %v", n, found.Findings, err)
		}
	}
	put(t, third, func(w keys.Writer) error { return w.PutUser(keystest.SomeUser) })
}
