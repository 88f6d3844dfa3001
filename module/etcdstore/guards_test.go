package etcdstore

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/records"
)

// hookedKV lets a test act around the calls of a node that is stopped. A nil
// function does nothing, and each function is called once.
type hookedKV struct {
	clientv3.KV
	beforePut, beforeTxn, afterTxn func()
	// skip is how many transactions pass before a function is called.
	skip int
	// lost is what the first transaction after those returns in place of its answer,
	// unless it is nil. failed is what it returns without being carried out.
	lost, failed error
}

// hook puts h between a stopped node and etcd.
func hook(s *Store, h *hookedKV) {
	h.KV = s.client.KV
	s.client.KV = h
}

// call calls a function once.
func call(fn *func()) {
	if do := *fn; do != nil {
		*fn = nil
		do()
	}
}

// Put implements [clientv3.KV].
func (h *hookedKV) Put(ctx context.Context, key, value string, options ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	call(&h.beforePut)
	return h.KV.Put(ctx, key, value, options...)
}

// Txn implements [clientv3.KV].
func (h *hookedKV) Txn(ctx context.Context) clientv3.Txn { return &hookedTxn{h.KV.Txn(ctx), h} }

type hookedTxn struct {
	clientv3.Txn
	hooks *hookedKV
}

// If implements [clientv3.Txn].
func (t *hookedTxn) If(all ...clientv3.Cmp) clientv3.Txn {
	t.Txn = t.Txn.If(all...)
	return t
}

// Then implements [clientv3.Txn].
func (t *hookedTxn) Then(all ...clientv3.Op) clientv3.Txn {
	t.Txn = t.Txn.Then(all...)
	return t
}

// Else implements [clientv3.Txn].
func (t *hookedTxn) Else(all ...clientv3.Op) clientv3.Txn {
	t.Txn = t.Txn.Else(all...)
	return t
}

// Commit implements [clientv3.Txn].
func (t *hookedTxn) Commit() (*clientv3.TxnResponse, error) {
	if t.hooks.skip > 0 {
		t.hooks.skip--
		return t.Txn.Commit()
	}
	call(&t.hooks.beforeTxn)
	if failed := t.hooks.failed; failed != nil {
		t.hooks.failed = nil
		return nil, failed
	}
	answer, err := t.Txn.Commit()
	call(&t.hooks.afterTxn)
	if lost := t.hooks.lost; lost != nil {
		t.hooks.lost = nil
		return nil, lost
	}
	return answer, err
}

// letsThrough fails the test if a node decides by the state before a revocation that
// has settled.
func letsThrough(t *testing.T, s *Store, d credential.Digest) {
	t.Helper()
	if s.Fresh() == nil && has(t, s, d) {
		t.Error("the node lets the key through after the revocation has settled")
	}
}

// leaveAt ends the registration of a stopped node, and waits until another node
// knows.
func leaveAt(t *testing.T, s, other *Store) {
	t.Helper()
	s.leave()
	s.lease = lease{}
	s.fence.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !other.known.wait(ctx, func() bool { return !knows(other, s.node) }) {
		t.Fatal("the other node doesn't hear that a node has left")
	}
}

func knows(s *Store, node string) bool {
	return slices.ContainsFunc(s.known.list(), func(n keys.Node) bool { return n.ID == node })
}

// A node is fresh as of the moment when it sent the read. A change that settles
// before the answer comes doesn't count as seen, however late the answer is.
func TestLateAnswer(t *testing.T) {
	for name, registered := range map[string]bool{"registered": true, "registering": false} {
		t.Run(name, func(t *testing.T) {
			fleet, key := hasty(t, 2)
			s := fleet[1]
			stop(t, s)
			h := &hookedKV{afterTxn: func() { revoke(t, fleet[0], key.Digest) }}
			if !registered {
				leaveAt(t, s, fleet[0])
				h.skip = 1 // the look before it registers
			}
			hook(s, h)
			if err := s.refresh(10 * time.Second); err != nil {
				t.Logf("the node isn't fresh: %v", err)
			}
			letsThrough(t, s, key.Digest)
		})
	}
}

// A change that settles before a node registers doesn't wait for the node, so the
// node must see it before it decides.
func TestChangeBeforeRegistration(t *testing.T) {
	for name, h := range map[string]func(do func()) *hookedKV{
		"before it looks":     func(do func()) *hookedKV { return &hookedKV{beforeTxn: do} },
		"before it registers": func(do func()) *hookedKV { return &hookedKV{beforePut: do} },
		"before it looks again": func(do func()) *hookedKV {
			return &hookedKV{skip: 1, beforeTxn: do}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fleet, key := hasty(t, 2)
			s := fleet[1]
			stop(t, s)
			leaveAt(t, s, fleet[0])
			hook(s, h(func() { revoke(t, fleet[0], key.Digest) }))
			if err := s.refresh(10 * time.Second); err == nil {
				t.Error("a node that has not applied the newest change is fresh")
			}
			letsThrough(t, s, key.Digest)
		})
	}
}

// Changes don't wait for a node that isn't registered, so it must not decide.
func TestFreshOnlyIfRegistered(t *testing.T) {
	t.Run("it registers", func(t *testing.T) {
		fleet, key := hasty(t, 2)
		s := fleet[1]
		stop(t, s)
		leaveAt(t, s, fleet[0])
		if err := s.refresh(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		revoke(t, fleet[0], key.Digest)
		letsThrough(t, s, key.Digest)
	})
	t.Run("the registration is gone at once", func(t *testing.T) {
		fleet, _ := hasty(t, 2)
		s := fleet[1]
		stop(t, s)
		leaveAt(t, s, fleet[0])
		hook(s, &hookedKV{skip: 1, beforeTxn: func() {
			if _, err := fleet[0].client.Delete(t.Context(), s.layout.node(s.node)); err != nil {
				t.Error(err)
			}
		}})
		if err := s.refresh(10 * time.Second); err == nil || s.Fresh() == nil {
			t.Errorf("a node that isn't registered is fresh (%v)", err)
		}
	})
}

// A closed node decides nothing, even for a request that still uses it.
func TestClosedIsNotFresh(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.Serve = true
	s := openStore(t, c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Fresh(); !errors.Is(err, keys.ErrStale) {
		t.Errorf("the node decides: %v", err)
	}
}

// The clock of a node may run slower than the clock of the node that waits until its
// fence has closed.
func TestSettleOutlastsTheFence(t *testing.T) {
	for _, fence := range []time.Duration{minStaleness, DefaultMaxStaleness, maxStaleness} {
		if slow := fence + fence/driftPart; closes(fence) < slow {
			t.Errorf("a fence of %s counts as closed after %s; by a clock that is slow by 1 in %d, it closes after %s", fence, closes(fence), driftPart, slow)
		}
	}
}

// An earlier event of a node that is seen a second time doesn't change what is known.
func TestEarlierNodeEvents(t *testing.T) {
	node := nodeRecord{Seq: 1, Fence: int64(time.Hour)}
	last := nodeRecord{Seq: 1} // as a node that leaves puts
	for name, again := range map[string]func(*known){
		"its registration ended": func(k *known) { k.dropNode("n", 5) },
		"it left": func(k *known) {
			k.putNode("n", nodeAt{last, 4})
			k.dropNode("n", 5)
		},
		"it is gone now": func(k *known) { k.putNodes(map[string]nodeAt{}, nil) },
	} {
		var k known
		k.init("me")
		k.putNode("n", nodeAt{node, 10})
		again(&k)
		if n, _ := k.behind(2); n != 1 {
			t.Errorf("%s: changes wait for %d nodes, want 1", name, n)
		}
	}
	var k known
	k.init("me")
	k.putNode("n", nodeAt{node, 10})
	k.dropNode("n", 5)
	if len(k.list()) != 1 {
		t.Error("a node that has registered again is not among the nodes")
	}
}

// If the record of a node can't be read, because its version is later, changes wait
// for it as long as any node may decide.
func TestUnreadableNode(t *testing.T) {
	var k known
	k.init("me")
	k.putNode("later", nodeOf([]byte("what a later version says"), 1))
	if n, wait := k.behind(1); n != 1 || wait < maxStaleness {
		t.Errorf("changes wait for %d nodes, for %s", n, wait)
	}
}

// All nodes must have the same on_stale, because changes don't wait long enough for a
// node that serves.
func TestSettingsDiffer(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	newFleet(t, c, 1)
	c.Serve, c.Mirror = true, filepath.Join(t.TempDir(), "mirror.db")
	s, err := Open(c)
	if err == nil {
		t.Errorf("a node serves while it is stale, and the other one doesn't: %v", s.Close())
	}
}

// A change reports whether a stale node may still serve without it.
func TestUnbounded(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.MaxStaleness, c.Serve = time.Second, true
	fleet := newFleet(t, c, 2)
	var lagging told
	fleet[1].Feed(lagging.change)
	put(t, fleet[0], func(w keys.Writer) error { return w.PutCredential(keystest.SomeKey) })
	goOn := lagging.stop()
	defer goOn()
	if done := revoke(t, fleet[0], keystest.SomeKey.Digest); done.Waiting != 1 || !done.Unbounded {
		t.Errorf("settled with %+v, while a node serves that has yet to apply it", done)
	}
}

// errAnswerLost is the error of a call that etcd carries out, but whose answer is lost.
var errAnswerLost = errors.New("the connection was lost")

// A change that etcd took, but whose answer was lost, is not made again if another
// change follows it. Nor is it taken for lost if nobody has seen what was applied.
func TestAnswerLost(t *testing.T) {
	for name, c := range map[string]struct {
		apply func(k *known, state applied, first, second head)
		err   error
	}{
		"followed": {func(k *known, state applied, first, second head) { k.apply(state, first, second) }, nil},
		"listed":   {func(k *known, state applied, _, _ head) { k.applyList(state) }, errUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := stopped(t)
			made, err := s.try(t.Context(), func(w records.Writer) (records.Written, error) { return records.Apply(w, maxWrites, putSomeUser) })
			if err != nil {
				t.Fatal(err)
			}
			second := following(made.head, keystest.SomeKey.Digest)
			hook(s, &hookedKV{lost: errAnswerLost, afterTxn: func() {
				put, err := s.client.Put(t.Context(), s.layout.head(), string(encode(second)))
				if err != nil {
					t.Error(err)
					return
				}
				c.apply(&s.known, s.known.current().with(second, put.Header.Revision), made.head, second)
			}})
			_, again, err := s.commit(t.Context(), made)
			if again || !errors.Is(err, c.err) {
				t.Errorf("it is made again: %t (%v)", again, err)
			}
		})
	}
}
