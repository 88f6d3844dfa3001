package etcdstore

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/records"
)

// stop ends what a node does by itself, as if it weren't scheduled any more. What
// it knows stays.
func stop(t *testing.T, s *Store) {
	t.Helper()
	s.cancel()
	s.tasks.Wait()
	s.ctx, s.cancel = context.WithCancel(context.Background())
}

// stopped opens a store that does nothing by itself.
func stopped(t *testing.T) *Store {
	t.Helper()
	all := newStores(t)
	s := openStore(t, all.config(t))
	stop(t, s)
	return s
}

// hasty opens nodes that are stale after a second. They know a key.
func hasty(t *testing.T, nodes int) ([]*Store, keys.Credential) {
	t.Helper()
	all := newStores(t)
	c := all.config(t)
	c.MaxStaleness = time.Second
	fleet := newFleet(t, c, nodes)
	put(t, fleet[0], func(w keys.Writer) error { return w.PutCredential(keystest.SomeKey) })
	return fleet, keystest.SomeKey
}

// A change that etcd took while a call failed is found among several that are
// applied at once, so that it isn't made again.
func TestLandedAmongOthers(t *testing.T) {
	var k known
	k.init("me")
	first, second := head{ID: newID()}, head{ID: newID()}
	k.begin(first.ID)
	k.apply(applied{}.with(second, 2), first, second)
	if landed, skipped := k.hasLanded(); !landed || skipped {
		t.Errorf("it has landed: %t, skipped: %t", landed, skipped)
	}
	k.begin(first.ID)
	k.applyList(applied{}.with(second, 2))
	if landed, skipped := k.hasLanded(); landed || !skipped {
		t.Errorf("after a list it has landed: %t, skipped: %t", landed, skipped)
	}
}

// A node whose registration was lost, as by an etcd that is overloaded, may decide
// for as long as its fence, and is waited for.
func TestRegistrationLost(t *testing.T) {
	fleet, key := hasty(t, 2)
	stop(t, fleet[1])
	if err := fleet[1].refresh(time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet[0].client.Delete(t.Context(), fleet[1].layout.node(fleet[1].node)); err != nil {
		t.Fatal(err)
	}
	revoke(t, fleet[0], key.Digest)
	if fleet[1].Fresh() == nil && has(t, fleet[1], key.Digest) {
		t.Error("the node lets the key through after the revocation has settled")
	}
	// One that leaves tells that it decides no more.
	put(t, fleet[0], func(w keys.Writer) error { return w.PutUser(keystest.SomeUser) })
	if err := fleet[1].Close(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	put(t, fleet[0], func(w keys.Writer) error { return w.PutUser(keystest.SomeUser) })
	if n, wait := fleet[0].known.behind(1 << 40); n > 1 || wait > 2*fleet[0].config.MaxStaleness {
		t.Errorf("after a node has left, %d are behind, for %s (%s)", n, wait, time.Since(begin))
	}
}

// A node that begins to follow etcd can't know of a node whose registration was lost
// before. Its changes wait for that node's fence all the same.
func TestRegistrationLostBefore(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.MaxStaleness = time.Second
	c.Mirror = filepath.Join(t.TempDir(), "mirror.db")
	writer := c
	writer.Mirror = filepath.Join(t.TempDir(), "mirror.db")
	writer.MaxStaleness = minStaleness // the fence of the other node counts
	unknown := openStore(t, c)
	put(t, unknown, func(w keys.Writer) error { return w.PutCredential(keystest.SomeKey) })
	stop(t, unknown)
	if err := unknown.refresh(time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := unknown.client.Delete(t.Context(), c.Prefix+"nodes/"+unknown.node); err != nil {
		t.Fatal(err)
	}
	if done := revoke(t, openStore(t, writer), keystest.SomeKey.Digest); done.Waiting != 0 {
		t.Errorf("%d nodes have yet to revoke it", done.Waiting)
	}
	if unknown.Fresh() == nil && has(t, unknown, keystest.SomeKey.Digest) {
		t.Error("the node lets the key through after the revocation has settled")
	}
}

// A node that registered after the snapshot from which etcd was restored may still
// decide, although no other node knows of it.
func TestRegistrationForgotten(t *testing.T) {
	all := &stores{etcd: etcdtest.Start(t, 1)}
	c := all.config(t)
	writer := newFleet(t, c, 1)[0]
	put(t, writer, func(w keys.Writer) error { return w.PutCredential(keystest.SomeKey) })
	snapshot := all.snapshot(t)
	unknown := newFleet(t, c, 1)[0]
	stop(t, unknown)
	if err := unknown.refresh(time.Second); err != nil {
		t.Fatal(err)
	}
	all.etcd.Restore(snapshot)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !writer.known.wait(ctx, func() bool {
		writer.known.mu.Lock()
		defer writer.known.mu.Unlock()
		_, there := writer.known.nodes[unknown.node]
		return !there && writer.known.again != nil
	}) {
		t.Fatalf("the node does not follow the restored etcd: %v", writer.known.trouble())
	}
	n, wait := writer.known.behind(writer.known.current().Head.Seq) // which this node has applied
	if left := unknown.fence.left(); n == 0 || wait < left {
		t.Errorf("a change waits for %d nodes, for %s, while an unknown one decides for %s", n, wait, left)
	}
}

// An etcd that was restored from a snapshot, and has another head at the same revision,
// doesn't take the change.
func TestChangeOfAnotherHistory(t *testing.T) {
	all := &stores{etcd: etcdtest.Start(t, 1)}
	s := openStore(t, all.config(t))
	stop(t, s)
	snapshot := all.snapshot(t)
	client := all.etcd.Client()
	putOther := func(h head) int64 {
		t.Helper()
		done, err := client.Txn(t.Context()).Then(s.layout.putHead(h)...).Commit()
		if err != nil {
			t.Fatal(err)
		}
		return done.Header.Revision
	}
	first := head{Seq: 1, ID: newID(), Previous: s.known.current().Head.ID}
	revision := putOther(first)
	state := s.known.current().with(first, revision)
	if err := s.mirror.Load().Write(t.Context(), func(records.Writer) ([]byte, *keys.Change, error) { return encode(state), nil, nil }); err != nil {
		t.Fatal(err)
	}
	change, err := s.try(t.Context(), func(w records.Writer) (records.Written, error) {
		return records.Apply(w, maxWrites, func(w keys.Writer) error { return w.PutUser(keystest.SomeUser) })
	})
	if err != nil {
		t.Fatal(err)
	}
	all.etcd.Restore(snapshot)
	there, err := client.Get(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	for range revision - 1 - there.Header.Revision {
		if _, err := client.Put(t.Context(), "other", ""); err != nil {
			t.Fatal(err)
		}
	}
	if again := putOther(head{Seq: 1, ID: newID(), Previous: first.Previous}); again != revision {
		t.Fatalf("the other head is at revision %d, want %d", again, revision)
	}
	sent, err := s.send(t.Context(), change)
	if err != nil || sent.ours {
		t.Errorf("the change was taken (%+v, %v)", sent, err)
	}
}

// A node that withdrew is registered with another lease afterwards, so that a call
// that ends the first registration late doesn't end the second.
func TestRegisteredAnew(t *testing.T) {
	s := stopped(t)
	first := s.lease.id
	s.lease = lease{} // as withdraw does, before its call
	if err := s.refresh(time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Revoke(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	answer, err := s.client.Get(t.Context(), s.layout.node(s.node))
	if err != nil || len(answer.Kvs) != 1 || clientv3.LeaseID(answer.Kvs[0].Lease) != s.lease.id {
		t.Errorf("the registration is %v (%v)", answer, err)
	}
}

// The revisions of one etcd cluster say nothing of those of another: a node is not
// fresh because it has applied a later revision of the first.
func TestOtherClusterIsNotFresh(t *testing.T) {
	s := stopped(t)
	s.fence.close()
	s.known.edit(func() { s.known.state.Cluster++; s.known.state.HeadRevision = 1 << 40 })
	if err := s.refresh(time.Second); err == nil || s.Fresh() == nil {
		t.Errorf("the node is fresh (%v)", err)
	}
}

// A node that is registered first and reads the head afterwards is fresh only if
// it has applied that head.
func TestFreshOnlyWithTheHead(t *testing.T) {
	fleet, key := hasty(t, 2)
	stop(t, fleet[1])
	revoke(t, fleet[0], key.Digest)
	err := fleet[1].refresh(time.Second)
	if err == nil || fleet[1].Fresh() == nil {
		t.Errorf("a node that has not applied the newest change is fresh (%v)", err)
	}
}

// A node may decide no longer than its registration lasts.
func TestFreshWhileRegistered(t *testing.T) {
	s := stopped(t)
	now := time.Now()
	s.lease.from, s.lease.ttl = now, time.Second // renewed a moment ago, and soon over
	s.lease.from = now.Add(-100 * time.Millisecond)
	if err := s.refresh(time.Second); err != nil {
		t.Fatal(err)
	}
	if left := s.fence.left(); left > time.Second {
		t.Errorf("the node decides for %s, and is registered for a second", left)
	}
}

// skewed returns a time whose monotonic reading is d later, with the same wall clock
// reading.
func skewed(t *testing.T, at time.Time, d time.Duration) time.Time {
	t.Helper()
	reading := reflect.ValueOf(&at).Elem().FieldByName("ext")
	was := at
	*(*int64)(unsafe.Pointer(reading.UnsafeAddr())) += int64(d) //nolint:gosec // there is no other way to set a clock in a test
	if at.Sub(was) != d || !at.Round(0).Equal(was.Round(0)) {
		t.Fatalf("%s after %s is %s", d, was, at)
	}
	return at
}

// The fence closes by the clock that shows more: one that is set back doesn't keep
// it open, and time that passes while the machine sleeps counts.
func TestFenceClocks(t *testing.T) {
	begin := time.Now()
	for name, c := range map[string]struct {
		now   time.Time
		fresh bool
	}{
		"at once":                         {begin, true},
		"within the fence":                {begin.Add(time.Second), true},
		"after it":                        {begin.Add(3 * time.Second), false},
		"after the machine has slept":     {skewed(t, begin.Add(3*time.Second), -3*time.Second), false},
		"within, and the clock was set":   {skewed(t, begin.Add(-time.Hour), time.Hour+time.Second), true},
		"after it, and the clock was set": {skewed(t, begin.Add(-time.Hour), time.Hour+3*time.Second), false},
	} {
		f := fence{now: func() time.Time { return c.now }, length: 2 * time.Second}
		if f.check() == nil {
			t.Errorf("%s: it is open before anything is known", name)
		}
		f.open(begin)
		if err := f.check(); (err == nil) != c.fresh || err != nil && !errors.Is(err, keys.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
		if left := f.left(); (left >= 0) != c.fresh {
			t.Errorf("%s: fresh for %s", name, left)
		}
		f.serve.Store(true)
		if err := f.check(); err != nil || (f.served.Load() == 1) == c.fresh {
			t.Errorf("%s, serving: %v, %d decisions counted", name, err, f.served.Load())
		}
	}
}

// The steps of one reconciliation follow each other, though they have one number.
func TestStepsDoNotContradict(t *testing.T) {
	first := head{Seq: 7, ID: newID(), Epoch: 1}
	second := head{Seq: 7, ID: newID(), Previous: first.ID, Epoch: 2}
	state := applied{Cluster: 1, Revision: 10}.with(first, 10)
	if err := state.contradicts(found{head: &second, put: 11, revision: 11, cluster: 1}); err != nil {
		t.Error(err)
	}
	other := head{Seq: 7, ID: newID(), Epoch: 1}
	if err := state.contradicts(found{head: &other, put: 11, revision: 11, cluster: 1}); !errors.Is(err, errBack) {
		t.Errorf("another change in its place: %v", err)
	}
}

// A hold that a node put before it ended is taken back when the node has nothing
// to hold any more.
func TestHoldIsLetGo(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	s := openStore(t, c)
	id := s.holdID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := all.etcd.Client().Put(t.Context(), s.layout.hold(id), "a test"); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !again.known.wait(ctx, func() bool { return again.fence.fresh() && !slices.Contains(again.known.heldBy(), id) }) {
		t.Errorf("the node is not fresh, or still holds: %v", again.staleError())
	}
}

// A node that follows a restored cluster of another ID lists, and decides by what
// is there.
func TestRestoredAsAnotherCluster(t *testing.T) {
	all, c := newRestorable(t)
	s, key := newFleet(t, c, 1)[0], keystest.SomeKey
	put(t, s, func(w keys.Writer) error { return w.PutCredential(key) })
	snapshot := all.snapshot(t)
	before := s.known.current().Cluster
	all.etcd.Restore(snapshot, "--initial-cluster-token=other")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !s.known.wait(ctx, func() bool { return s.known.current().Cluster != before && s.fence.fresh() }) {
		t.Fatalf("the node doesn't follow: %v", s.staleError())
	}
	revoke(t, s, key.Digest)
	if has(t, s, key.Digest) {
		t.Error("the node has the key that was revoked")
	}
}

// A node whose list shows that etcd knows everything holds nothing any more, as
// after another node has taken back the same.
func TestHoldEndsWithAList(t *testing.T) {
	s := stopped(t)
	if _, err := s.client.Put(t.Context(), s.layout.hold(s.holdID()), "before"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.list(t.Context(), s.known.current(), "the test wants it"); err != nil {
		t.Fatal(err)
	}
	answer, err := s.client.Get(t.Context(), s.layout.holds(), clientv3.WithPrefix())
	if err != nil || len(answer.Kvs) > 0 {
		t.Errorf("it holds %v (%v)", answer, err)
	}
}
