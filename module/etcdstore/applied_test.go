package etcdstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/records"
)

// unapplied puts a change into etcd that the stopped node has yet to apply. It
// returns the revision of etcd.
func unapplied(t *testing.T, s *Store, fn func(keys.Writer) error) int64 {
	t.Helper()
	made, err := s.try(t.Context(), func(w records.Writer) (records.Written, error) { return records.Apply(w, maxWrites, fn) })
	if err != nil {
		t.Fatal(err)
	}
	sent, err := s.send(t.Context(), made)
	if err != nil || !sent.ours {
		t.Fatalf("etcd doesn't take the change: %v", err)
	}
	return sent.revision
}

func putSomeUser(w keys.Writer) error { return w.PutUser(keystest.SomeUser) }

// register registers a node that doesn't exist.
func register(t *testing.T, s *Store, id string) {
	t.Helper()
	if _, err := s.client.Put(t.Context(), s.layout.node(id), string(encode(nodeRecord{Name: id, Fence: int64(time.Hour)}))); err != nil {
		t.Fatal(err)
	}
}

// followUntil makes a stopped node catch up, calls ready, and follows etcd until the
// stopped node knows of another node.
func followUntil(t *testing.T, s *Store, node string, ready func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.followOnce(ctx, ready) }()
	there := s.known.wait(ctx, func() bool { return knows(s, node) })
	cancel()
	if err := <-ended; !there {
		t.Fatalf("the node doesn't follow: %v", err)
	}
}

// A node that catches up begins with the change right after the newest one that it
// has applied.
func TestResumesWithTheNextChange(t *testing.T) {
	s := stopped(t)
	if _, err := s.list(t.Context(), s.known.current(), "the test wants it"); err != nil {
		t.Fatal(err)
	}
	applied := s.known.current().Revision
	if next := unapplied(t, s, putSomeUser); next != applied+1 {
		t.Fatalf("after revision %d comes %d: something else has written", applied, next)
	}
	// This registration is the latest event, so once it is known, all earlier ones
	// were applied.
	followUntil(t, s, "later", func() { register(t, s, "later") })
	if err := s.View(t.Context(), func(r keys.Reader) error {
		_, err := r.User(keystest.SomeUser.ID)
		return err
	}); err != nil {
		t.Errorf("a change was left out: %v", err)
	}
}

// A node that has its mirror knows the others before it applies a change.
func TestNodesOfARestart(t *testing.T) {
	s := stopped(t)
	register(t, s, "other")
	s.known.edit(func() { s.known.nodes = map[string]nodeAt{} })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := s.followOnce(ctx, func() {
		if !knows(s, "other") {
			t.Error("changes won't wait for a node that was registered before")
		}
		cancel()
	})
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
}

// A node that catches up misses no node that registers meanwhile, even if etcd has
// forgotten what the node had yet to see.
func TestRegisteredDuringCatchUp(t *testing.T) {
	s := stopped(t)
	register(t, s, "earlier")
	put, err := s.client.Put(t.Context(), s.layout.node("earlier"), "") // as a report
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Compact(t.Context(), put.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	hook(s, &hookedKV{skip: 2, beforeTxn: func() { register(t, s, "between") }}) // before it reads the head
	followUntil(t, s, "later", func() { register(t, s, "later") })
	if !knows(s, "between") {
		t.Error("changes won't wait for a node that registered meanwhile")
	}
}

// A list counts as applied once the nodes that registered before it are known, so
// that the listed changes wait for them.
func TestNodesBeforeTheList(t *testing.T) {
	s := stopped(t)
	register(t, s, "other")
	revision := unapplied(t, s, putSomeUser)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Feed(func(keys.Change) { cancel() }) // so the nodes can't be read
	if _, err := s.list(ctx, s.known.current(), "the test wants it"); err == nil {
		t.Fatal("the nodes were read with a canceled context")
	}
	if s.known.reaches(revision)() && !knows(s, "other") {
		t.Error("a change counts as applied, and won't wait for a node that was registered before")
	}
}

// A list counts as applied once live requests were decided again.
func TestListIsToldBeforeItIsApplied(t *testing.T) {
	s := stopped(t)
	revision := unapplied(t, s, putSomeUser)
	told := false
	s.Feed(func(keys.Change) {
		told = true
		if s.known.reaches(revision)() {
			t.Error("a change counts as applied, and live requests have yet to be decided again")
		}
	})
	if _, err := s.list(t.Context(), s.known.current(), "the test wants it"); err != nil {
		t.Fatal(err)
	}
	if !told || !s.known.reaches(revision)() {
		t.Errorf("the feed was told: %t, and the node is at revision %d of %d", told, s.known.current().HeadRevision, revision)
	}
}

// event returns etcd's event for a key that was put.
func event(key string, value []byte, revision int64) *clientv3.Event {
	return &clientv3.Event{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: value, ModRevision: revision}}
}

// following returns a head that follows another one, and touches a digest.
func following(h head, touched credential.Digest) head {
	return h.after(records.Written{Commit: keys.Commit{Revision: h.Seq + 1}, Change: &keys.Change{Touched: []credential.Digest{touched}}})
}

// The feed is told of each of several changes that are applied at once, after the
// nodes that registered before them are known.
func TestAppliedAtOnce(t *testing.T) {
	s := stopped(t)
	state := s.known.current()
	one, two := credential.DigestOf("one"), credential.DigestOf("two")
	first := following(state.Head, one)
	second := following(first, two)
	var feed told
	s.Feed(func(c keys.Change) {
		if !knows(s, "other") {
			t.Error("the change won't wait for a node that was registered before")
		}
		feed.change(c)
	})
	err := s.applyEvents(t.Context(), []*clientv3.Event{
		event(s.layout.node("other"), encode(nodeRecord{}), state.Revision+1),
		event(s.layout.head(), encode(first), state.Revision+2),
		event(s.layout.head(), encode(second), state.Revision+3),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !feed.touched(one) || !feed.touched(two) {
		t.Error("the feed was not told of each change")
	}
}

// A change that doesn't follow the newest one is not applied, and keeps all nodes
// from deciding.
func TestForkIsHeld(t *testing.T) {
	s := stopped(t)
	state := s.known.current()
	other := following(head{Seq: state.Head.Seq, ID: newID()}, keystest.SomeKey.Digest)
	err := s.applyEvents(t.Context(), []*clientv3.Event{event(s.layout.head(), encode(other), state.Revision+1)})
	if !errors.Is(err, errHeld) || s.known.current().Head.Seq != state.Head.Seq {
		t.Errorf("a change of another history was applied (%v)", err)
	}
}

// disconnected reports why the node can't follow etcd.
type disconnected struct {
	unobserved

	why chan error
}

// Disconnected implements [Observer].
func (o *disconnected) Disconnected(err error) {
	select {
	case o.why <- err:
	default: // the test has enough reasons
	}
}

// A node whose member of etcd is cut off from the others hears of no changes. It
// notices, so that it can follow another member.
func TestMemberWithoutLeader(t *testing.T) {
	etcd := etcdtest.Start(t, 3, etcdtest.UnsafeNoFsync(), etcdtest.Args("--heartbeat-interval=50", "--election-timeout=500"))
	c := (&stores{etcd: etcd}).config(t)
	observer := &disconnected{why: make(chan error, 100)}
	c.Endpoints, c.Observer = etcd.Endpoints()[:1], observer
	openStore(t, c)
	etcd.Member(1).Kill()
	etcd.Member(2).Kill()
	const patience = 20 * time.Second
	for end := time.After(patience); ; {
		select {
		case err := <-observer.why:
			if errors.Is(err, rpctypes.ErrNoLeader) {
				return
			}
		case <-end:
			t.Fatalf("the node has followed a member without a leader for %s", patience)
		}
	}
}
