package etcdstore

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// decide opens a directory on each node, and makes a key that is good for any
// request.
func decide(t *testing.T, fleet []*Store) ([]*directory.Owned, credential.Digest) {
	t.Helper()
	var gates []*directory.Owned
	for _, s := range fleet {
		d, err := directory.New(s, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() }) // its store may have been closed
		gates = append(gates, d)
	}
	digest := credential.DigestOf("good")
	put(t, fleet[0], func(w keys.Writer) error {
		return errors.Join(
			w.PutUser(keys.User{ID: "alice", Name: "Alice", CreatedAt: keystest.SomeTime, ModifiedAt: keystest.SomeTime}),
			w.PutCredential(keys.Credential{Digest: digest, ID: "cak_2", Kind: policy.PAT, UserID: "alice", CreatedAt: keystest.SomeTime, ModifiedAt: keystest.SomeTime}),
		)
	})
	return gates, digest
}

// request is a live request with a key. It ends when it is decided again and
// refused.
type request struct {
	directory.Live

	gate   *directory.Owned
	digest credential.Digest
	ended  atomic.Bool
}

// Recheck implements [directory.Request].
func (r *request) Recheck() {
	if e, err := r.gate.Find(context.Background(), r.digest); err != nil || r.gate.Standing(e) != keys.Active {
		r.ended.Store(true)
	}
}

// forward begins a live request.
func forward(t *testing.T, d *directory.Owned, digest credential.Digest) *request {
	t.Helper()
	r := &request{gate: d, digest: digest}
	e, err := d.Find(t.Context(), digest)
	if err != nil || d.Standing(e) != keys.Active || !d.Admit(&r.Live, r, e, nil, nil) {
		t.Fatalf("the key is refused (%v)", err)
	}
	return r
}

// remove deletes a key, and doesn't wait until the deletion has settled.
func remove(t *testing.T, s *Store, digest credential.Digest) keys.Commit {
	t.Helper()
	done, err := s.Update(t.Context(), func(w keys.Writer) error {
		w.Touch(time.Now(), digest)
		return w.DeleteCredential(digest)
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// Once a revocation has settled, the live requests of the other nodes have ended.
func TestRevocationEndsRequests(t *testing.T) {
	all := newStores(t)
	fleet := newFleet(t, all.config(t), 2)
	gates, digest := decide(t, fleet)
	live := forward(t, gates[1], digest)
	if done := fleet[0].Settle(t.Context(), remove(t, fleet[0], digest)); done.Waiting != 0 {
		t.Fatalf("%d nodes have yet to apply it", done.Waiting)
	}
	if !live.ended.Load() {
		t.Error("a request with the revoked key lives on")
	}
}

// A list may hide any change, so it ends live requests with keys that were revoked
// meanwhile.
func TestListEndsRequests(t *testing.T) {
	all := newStores(t)
	fleet := newFleet(t, all.config(t), 2)
	gates, digest := decide(t, fleet)
	live := forward(t, gates[1], digest)
	stop(t, fleet[1])
	remove(t, fleet[0], digest)
	if _, err := fleet[1].list(t.Context(), fleet[1].known.current(), "the test wants it"); err != nil {
		t.Fatal(err)
	}
	if !live.ended.Load() {
		t.Error("a request with the revoked key lives on")
	}
}

// staleObserver reports when a node stops being fresh.
type staleObserver struct {
	unobserved

	stale chan struct{}
}

// Stale implements [Observer].
func (o *staleObserver) Stale(error) {
	select {
	case o.stale <- struct{}{}:
	default: // the test knows already
	}
}

// A node whose fence has closed ends its live requests, because it doesn't know
// what was revoked.
func TestStaleNodeEndsRequests(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	observer := &staleObserver{stale: make(chan struct{}, 1)}
	c.MaxStaleness, c.Observer = time.Second, observer
	s := newFleet(t, c, 1)[0]
	gates, digest := decide(t, []*Store{s})
	select {
	case <-observer.stale: // while the machine was busy
	default:
	}
	live := forward(t, gates[0], digest)
	all.etcd.Member(0).Kill()
	select {
	case <-observer.stale:
	case <-time.After(time.Minute):
		t.Fatal("the node stays fresh without etcd")
	}
	stop(t, s) // once it has told the feed
	if !live.ended.Load() {
		t.Error("a request lives on at a node that may not decide")
	}
}

// A feed that is added later is told what other nodes have changed since the store
// was opened.
func TestFeedThatComesLater(t *testing.T) {
	all := newStores(t)
	fleet := newFleet(t, all.config(t), 2)
	put(t, fleet[0], func(w keys.Writer) error { return w.PutCredential(keystest.SomeKey) })
	revoke(t, fleet[0], keystest.SomeKey.Digest)
	var late told
	fleet[1].Feed(late.change)
	if !late.touched(keystest.SomeKey.Digest) {
		t.Error("the feed was not told of a revocation that was made before it was added")
	}
}
