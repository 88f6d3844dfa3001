package etcdstore

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

// A head in etcd that the mirror is past contradicts the mirror.
func TestContradicts(t *testing.T) {
	newest := head{Seq: 7, ID: newID()}
	state := applied{Cluster: 1, Revision: 20}.with(newest, 18)
	for name, c := range map[string]struct {
		there found
		back  bool
	}{
		"the same":                            {found{head: &newest, put: 18, cluster: 1}, false},
		"a later one":                         {found{head: &head{Seq: 8, ID: newID()}, put: 21, cluster: 1}, false},
		"a later one in another cluster":      {found{head: &head{Seq: 8, ID: newID()}, put: 3, cluster: 2}, false},
		"an earlier one":                      {found{head: &head{Seq: 6, ID: newID()}, put: 21, cluster: 1}, true},
		"an earlier one in another cluster":   {found{head: &head{Seq: 6, ID: newID()}, put: 21, cluster: 2}, true},
		"another one in its place":            {found{head: &head{Seq: 7, ID: newID()}, put: 21, cluster: 1}, true},
		"another one there, other cluster":    {found{head: &head{Seq: 7, ID: newID()}, put: 21, cluster: 2}, true},
		"a later one, at an earlier revision": {found{head: &head{Seq: 8, ID: newID()}, put: 19, cluster: 1}, true},
	} {
		if err := state.contradicts(c.there); errors.Is(err, errBack) != c.back {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := state.contradicts(found{}); !errors.Is(err, errNoHead) {
		t.Errorf("none: %v", err)
	}
}

// A node whose mirror is ahead of etcd decides nothing, because it would mistake the
// changes that follow a restored snapshot for changes that it has applied. When it
// catches up, it keeps the others from deciding too.
func TestEtcdIsBack(t *testing.T) {
	all, c := newRestorable(t)
	ahead, key := newFleet(t, c, 1)[0], keystest.SomeKey
	put(t, ahead, func(w keys.Writer) error { return w.PutCredential(key) })
	snapshot := all.snapshot(t)
	for range 20 { // more than the other node makes
		put(t, ahead, putSomeUser)
	}
	stop(t, ahead)
	all.etcd.Restore(snapshot)
	other := newFleet(t, c, 1)[0]
	revoke(t, other, key.Digest)
	if at, past := other.known.current().HeadRevision, ahead.known.current().HeadRevision; at >= past {
		t.Fatalf("the revocation has revision %d, which the mirror at %d isn't past", at, past)
	}
	if err := ahead.refresh(10 * time.Second); err == nil {
		t.Error("the node is fresh")
	}
	letsThrough(t, ahead, key.Digest)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := ahead.followOnce(ctx, func() {
		t.Error("the node follows another history than the one it has applied")
		cancel()
	})
	if !errors.Is(err, errHeld) {
		t.Errorf("it holds nothing: %v", err)
	}
	stop(t, other)
	if err := other.refresh(10 * time.Second); err == nil || other.Fresh() == nil {
		t.Errorf("the other node is fresh (%v)", err)
	}
}

// The hold of one node keeps the others from deciding and from making changes.
func TestHeldByAnother(t *testing.T) {
	fleet, _ := hasty(t, 2)
	stop(t, fleet[0])
	stop(t, fleet[1])
	if err := fleet[0].hold(t.Context(), errBack); !errors.Is(err, errHeld) {
		t.Fatal(err)
	}
	if err := fleet[1].refresh(10 * time.Second); err == nil || fleet[1].Fresh() == nil {
		t.Fatalf("the other node is fresh (%v)", err)
	}
	if err := fleet[1].readNodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet[1].Update(t.Context(), putSomeUser); !errors.Is(err, errHeld) {
		t.Errorf("the other node makes changes: %v", err)
	}
}

// While etcd has lost changes, no node serves, even with on_stale serve, and live
// requests are decided again.
func TestHeldDoesNotServe(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.Serve = true
	fleet := newFleet(t, c, 2)
	var feeds [2]told
	for n, s := range fleet {
		stop(t, s)
		s.Feed(feeds[n].change)
		s.fence.close()
		if err := s.Fresh(); err != nil {
			t.Fatalf("node %d doesn't serve: %v", n, err)
		}
	}
	if err := fleet[0].hold(t.Context(), errBack); !errors.Is(err, errHeld) {
		t.Fatal(err)
	}
	if err := fleet[1].refresh(10 * time.Second); !errors.Is(err, errHeld) {
		t.Fatal(err)
	}
	for n, s := range fleet {
		if err := s.Fresh(); !errors.Is(err, keys.ErrStale) {
			t.Errorf("node %d serves: %v", n, err)
		}
		if len(feeds[n].changes) != 1 || !feeds[n].changes[0].All {
			t.Errorf("node %d told its feed of %+v", n, feeds[n].changes)
		}
	}
	if _, err := fleet[0].client.Delete(t.Context(), fleet[0].layout.holds(), clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	if err := fleet[1].refresh(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	fleet[1].fence.close()
	if err := fleet[1].Fresh(); err != nil {
		t.Errorf("the node doesn't serve any more: %v", err)
	}
}

// A node that waits for a head that it has seen isn't fresh if another head has
// replaced it.
func TestForkedWhileWaiting(t *testing.T) {
	s := stopped(t)
	s.fence.close()
	hook(s, &hookedKV{afterTxn: func() {
		s.known.edit(func() { s.known.state.Head.ID = newID() })
	}})
	if err := s.refresh(10 * time.Second); !errors.Is(err, errForked) || s.Fresh() == nil {
		t.Errorf("the node is fresh (%v)", err)
	}
}

// lose returns a function that takes the records in etcd back to what they were when
// lose was called, like restoring a snapshot. The head stays the newest one.
func lose(t *testing.T, s *Store) (since func()) {
	t.Helper()
	before, err := s.client.Get(t.Context(), s.layout.records(), clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := s.client.Delete(t.Context(), s.layout.records(), clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		for _, kv := range before.Kvs {
			if _, err := s.client.Put(t.Context(), string(kv.Key), string(kv.Value)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// lost returns a stopped node that knows a revocation that etcd has lost.
func lost(t *testing.T) (*Store, keys.Credential) {
	t.Helper()
	fleet, key := hasty(t, 1)
	since := lose(t, fleet[0])
	put(t, fleet[0], func(w keys.Writer) error {
		w.Touch(time.Now(), key.Digest)
		return errors.Join(w.PutTombstone(keys.Tombstone{Digest: key.Digest, ID: key.ID, UserID: key.UserID, At: time.Now(), Reason: "leaked"}), w.DeleteCredential(key.Digest))
	})
	stop(t, fleet[0])
	since()
	return fleet[0], key
}

// A list that lacks revocations doesn't replace the mirror that knows them.
func TestListLacksRevocations(t *testing.T) {
	s, key := lost(t)
	if _, err := s.list(t.Context(), s.known.current(), "the test wants it"); !errors.Is(err, errHeld) {
		t.Errorf("it was accepted (%v)", err)
	}
	if has(t, s, key.Digest) {
		t.Error("the node has the key that was revoked")
	}
}

// A node that takes back what it knows doesn't undo a change that another node has
// made meanwhile.
func TestTakenBackMeanwhile(t *testing.T) {
	s, _ := lost(t)
	state := s.known.current()
	hook(s, &hookedKV{skip: 1, beforeTxn: func() {
		if _, err := s.client.Txn(t.Context()).Then(s.layout.putHead(following(state.Head, keystest.SomeKey.Digest))...).Commit(); err != nil {
			t.Error(err)
		}
	}})
	if err := s.takeBack(t.Context()); err == nil {
		t.Error("the node has replaced a change that it doesn't know")
	}
}

// The operator's request alone doesn't let go for a node that has not taken back what
// it knows.
func TestReconcileWaits(t *testing.T) {
	all := newStores(t)
	s := openStore(t, all.config(t))
	if _, err := all.etcd.Client().Put(t.Context(), s.layout.hold("away"), "a test"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !s.known.wait(ctx, func() bool { return len(s.known.heldBy()) == 1 }) {
		t.Fatal("the node doesn't hear of the hold")
	}
	short, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	if done, err := s.Reconcile(short, false); err == nil || len(s.known.heldBy()) != 1 {
		t.Errorf("reconciled %+v", done)
	}
}
