package etcdstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// known is what this node knows of the fleet.
type known struct {
	mu sync.Mutex
	// node is the ID of this node.
	node string
	// changed is closed, and another takes its place, whenever anything changes.
	changed chan struct{}

	state applied
	nodes map[string]nodeAt
	// gone are nodes whose registration has ended without their word. They may
	// decide for as long as their fences.
	gone map[string]goneNode
	// Nodes whose registrations were gone before this node followed etcd may decide
	// until unseen. longest is the longest fence of all nodes. founded is true if
	// this node has just made the store, so there were no other nodes.
	unseen  time.Time
	longest time.Duration
	founded bool
	// holds are why nodes keep all from deciding, by node.
	holds map[string]holdAt
	// pending is the ID of the change that this node is making. landed is true
	// once it was applied.
	pending []byte
	landed  bool
	// skipped is true if the mirror was made again meanwhile, so that nobody has
	// seen each change that was applied.
	skipped bool
	// again makes the node catch up with etcd again. It is nil while it does.
	again func()
	// why is what last kept the node from knowing more, or nil.
	why error
}

// nodeAt is a node as it was put at a revision of etcd.
type nodeAt struct {
	nodeRecord
	revision int64
}

// goneNode is a node that was gone at a moment of this node's clock.
type goneNode struct {
	nodeRecord
	since time.Time
}

type holdAt struct {
	why      string
	revision int64
}

func (k *known) init(node string) {
	k.node = node
	k.changed = make(chan struct{})
	k.nodes, k.gone, k.holds = map[string]nodeAt{}, map[string]goneNode{}, map[string]holdAt{}
}

// edit changes what is known, and wakes up those that wait.
func (k *known) edit(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn()
	close(k.changed)
	k.changed = make(chan struct{})
}

// wait waits until cond is true. It returns false if ctx ends before.
func (k *known) wait(ctx context.Context, cond func() bool) bool {
	for {
		k.mu.Lock()
		changed := k.changed
		k.mu.Unlock()
		if cond() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return cond()
		}
	}
}

// apply notes what the mirror has applied, with the heads on the way to it.
func (k *known) apply(state applied, heads ...head) {
	k.edit(func() {
		k.state = state
		for _, h := range append(heads, state.Head) {
			k.landed = k.landed || len(k.pending) > 0 && bytes.Equal(h.ID, k.pending)
		}
	})
}

// applyList notes what a mirror has that was made again.
func (k *known) applyList(state applied) {
	k.apply(state)
	k.edit(func() { k.skipped = true })
}

// current returns what the mirror has applied.
func (k *known) current() applied {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// catchUpAgain makes a node that follows etcd catch up again.
func (k *known) catchUpAgain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.again != nil {
		k.again()
	}
}

// heldBy returns the nodes that keep all from deciding.
func (k *known) heldBy() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.holds))
}

// heldAfter returns the nodes whose holds were put after a revision of etcd.
func (k *known) heldAfter(revision int64) (ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, h := range k.holds {
		if h.revision > revision {
			ids = append(ids, id)
		}
	}
	return ids
}

// begin begins to look for the change of an ID among those that are applied.
func (k *known) begin(id []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending, k.landed, k.skipped = id, false, false
}

// hasLanded reports whether the change that was begun was applied. If it has not,
// skipped reports whether that is not certain.
func (k *known) hasLanded() (landed, skipped bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.landed, k.skipped
}

// reaches reports whether the head of a revision of etcd, or a later one, was
// applied.
func (k *known) reaches(headRevision int64) func() bool {
	return func() bool { return k.current().HeadRevision >= headRevision }
}

// behind returns how many nodes have yet to apply a change, and how long it takes
// until the last of them has certainly stopped deciding. All nodes that this node
// can't know of count as one.
func (k *known) behind(seq uint64) (n int, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, node := range k.nodes {
		if node.Seq < seq && (id != k.node || k.state.Head.Seq < seq) {
			n++
			wait = max(wait, closes(time.Duration(node.Fence)))
		}
	}
	for id, node := range k.gone {
		left := closes(time.Duration(node.Fence)) - time.Since(node.since)
		if left <= 0 {
			delete(k.gone, id)
		} else if node.Seq < seq {
			n++
			wait = max(wait, left)
		}
	}
	if left := time.Until(k.unseen); left > 0 {
		n++
		wait = max(wait, left)
	}
	return n, wait
}

// putNode notes what a node said of itself, unless something newer is known.
func (k *known) putNode(id string, n nodeAt) {
	k.edit(func() {
		if n.revision >= k.nodes[id].revision {
			k.nodes[id] = n
			delete(k.gone, id)
		}
	})
}

// putNodes notes all registered nodes, and all holds. Other nodes may have open fences
// although their registrations are gone, because etcd was restored from a snapshot or
// ended the registrations early.
func (k *known) putNodes(nodes map[string]nodeAt, holds map[string]holdAt) {
	k.edit(func() {
		for id := range k.nodes {
			if _, there := nodes[id]; !there {
				k.leave(id)
			}
		}
		k.nodes, k.holds = nodes, holds
		if !k.founded {
			k.unseen = time.Now().Add(closes(k.longest))
		}
	})
}

// dropNode notes that a node was gone at a revision.
func (k *known) dropNode(id string, revision int64) {
	k.edit(func() {
		if revision >= k.nodes[id].revision {
			k.leave(id)
		}
	})
}

// leave takes a node from among those that are registered. It is called with mu
// held.
func (k *known) leave(id string) {
	if node, there := k.nodes[id]; there && node.Fence > 0 && id != k.node {
		k.gone[id] = goneNode{node.nodeRecord, time.Now()}
	}
	delete(k.nodes, id)
}

func (k *known) putHold(id string, h holdAt) {
	k.edit(func() {
		if h.revision >= k.holds[id].revision {
			k.holds[id] = h
		}
	})
}

func (k *known) dropHold(id string, revision int64) {
	k.edit(func() {
		if revision >= k.holds[id].revision {
			delete(k.holds, id)
		}
	})
}

func (k *known) fail(why error) { k.edit(func() { k.why = why }) }

func (k *known) trouble() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.why
}

// list returns the nodes in the order of their IDs.
func (k *known) list() []keys.Node {
	k.mu.Lock()
	defer k.mu.Unlock()
	newest := k.state.Head.Seq
	for _, n := range k.nodes {
		newest = max(newest, n.Seq)
	}
	list := make([]keys.Node, 0, len(k.nodes)) // empty in JSON, and not null
	for _, id := range slices.Sorted(maps.Keys(k.nodes)) {
		n := k.nodes[id]
		list = append(list, keys.Node{
			ID: id, Name: n.Name, Started: time.Unix(n.Started, 0).UTC(),
			Revision: n.Seq, Behind: newest - n.Seq, Held: k.holds[n.Mirror].why,
		})
	}
	return list
}
