package keys

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// ErrStale is returned by a node that may not know the newest changes of the
// others.
var ErrStale = fmt.Errorf("%w: this node may not know the newest changes", ErrUnavailable)

// ErrNotShared is returned if a store belongs to one process.
var ErrNotShared = errors.New("this key store belongs to one process alone, so there is no fleet: several share one with the store etcd")

// Shared is a [Store] that several processes use at once. Each is a node of the
// fleet, and reads a copy of its own.
type Shared interface {
	Store
	// Fresh returns nil if the node may decide now: it knows every change that any
	// node has settled. Otherwise it returns an error that wraps [ErrStale]. It
	// costs an atomic load and a look at the clock.
	Fresh() error
	// Settle waits until no node decides by what was before a commit of this node:
	// each has applied it, or may not decide until it has. It gives up when ctx
	// ends. It returns the commit with the number of nodes that have yet to apply
	// it.
	Settle(ctx context.Context, c Commit) Commit
	// Fleet describes the nodes.
	Fleet(ctx context.Context) (Fleet, error)
	// Reconcile takes back into the store what the nodes know was revoked,
	// narrowed, disabled or deleted, after the store lost it. It does nothing in a
	// fleet that has lost nothing. acceptLost gives up what only nodes know that
	// don't answer.
	Reconcile(ctx context.Context, acceptLost bool) (Reconciled, error)
	// Allot takes part of a quota for this node, or gives back what the node doesn't
	// need. It returns how much was granted, which is negative for what was given back,
	// and the total that all nodes have then taken in the window. The node need not be
	// fresh.
	//
	// After an error nothing was granted, but the store may count the allotment as taken
	// until the window ends. An allotment may be lost, and is never granted twice. So
	// after an error, the node must not use what it wanted to take or to give back.
	Allot(ctx context.Context, a Allotment) (granted, taken int64, err error)
}

// Allotment is a part of a quota that one node may use in one window. Apart from
// debts, all nodes together never hold more than the highest Most that was passed.
type Allotment struct {
	// Meter identifies the quota, as in [Spending].
	Meter credential.Digest
	// Begin is the first day of the window. The store forgets a window 32 days after
	// its first day, so the longest window is a month.
	Begin Date
	// Most is the quota. If it was lowered below the total taken, nothing is granted.
	Most int64
	// Want is how much to take. If less is left, only the rest is granted. A negative
	// Want gives back at most as much as all nodes have taken.
	Want int64
	// Debt grants all of Want, even beyond Most. It is for usage that exceeded the
	// allotment because it became known only after the response.
	Debt bool
}

// Granted returns how much is granted if all nodes have taken this much before.
func (a Allotment) Granted(taken int64) int64 {
	switch {
	case a.Want < 0:
		return max(a.Want, -taken)
	case a.Debt:
		return min(a.Want, math.MaxInt64-taken) // all that can be counted
	case a.Most <= taken:
		return 0
	}
	return min(a.Want, a.Most-taken)
}

// Fleet are the nodes that share a store, as one of them sees them.
type Fleet struct {
	// Node is the ID of the node that answers.
	Node string `json:"node"`
	// Revision is the newest revision of the store that this node has heard of.
	Revision uint64 `json:"revision"`
	// Behind is how many revisions this node has yet to apply.
	Behind uint64 `json:"behind"`
	// Fresh is true if this node may decide. Why says why not.
	Fresh bool   `json:"fresh"`
	Why   string `json:"why,omitempty"`
	// LagSeconds is how old the knowledge of this node is, in seconds.
	LagSeconds float64 `json:"lag_seconds"`
	// MaxStalenessSeconds is the most that it may be.
	MaxStalenessSeconds float64 `json:"max_staleness_seconds"`
	// OnStale is what a node does that is not fresh: deny or serve.
	OnStale string `json:"on_stale"`
	// ServedStale counts the decisions of this node while it was not fresh, since
	// it started.
	ServedStale uint64 `json:"served_stale"`
	// Nodes are the nodes in the order of their IDs.
	Nodes []Node `json:"nodes"`
}

// Node is a process that shares a store.
type Node struct {
	ID string `json:"id"`
	// Name is the name of the machine.
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	// Revision is the newest revision that the node has applied. Behind is how
	// many it has yet to apply.
	Revision uint64 `json:"revision"`
	Behind   uint64 `json:"behind"`
	// Held says why the node keeps the fleet from deciding, if it does.
	Held string `json:"held,omitempty"`
}

// Reconciled is the result of reconciling a fleet.
type Reconciled struct {
	// Nodes are the IDs of the mirrors that knew more than the store.
	Nodes []string `json:"nodes"`
	// Lost are those that didn't say what they know.
	Lost []string `json:"lost,omitempty"`
}
