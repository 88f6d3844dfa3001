package directory

import (
	"context"
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// fresh returns an error if this process shares its store with others and may not
// know their newest changes. It stands in front of every look-up, because what is
// cached is no newer.
func (d *Directory) fresh() error {
	if d.shared == nil {
		return nil
	}
	return d.shared.Fresh()
}

var errUnbounded = errors.New("a change is not in effect on all nodes, because some don't answer, and on_stale is serve")

// unsettled marks the contexts of changes that don't wait for other processes.
type unsettled struct{}

// WithoutSettling returns a context for changes that return before the other nodes
// of a fleet know of them, which is at most as late as they may be stale.
func WithoutSettling(ctx context.Context) context.Context {
	return context.WithValue(ctx, unsettled{}, true)
}

// settle waits until no process decides by what was before a commit. The caller
// doesn't hold the write lock.
func (d *Directory) settle(ctx context.Context, c keys.Commit) {
	if d.shared == nil || c.Revision == 0 || ctx.Value(unsettled{}) != nil {
		return
	}
	if c = d.shared.Settle(ctx, c); c.Unbounded {
		d.failed(TaskSettle, errUnbounded)
	}
}

// Fleet describes the processes that share the store. It returns
// [keys.ErrUnsupported] if the store belongs to this one alone.
func (d *Directory) Fleet(ctx context.Context) (keys.Fleet, error) {
	if d.shared == nil {
		return keys.Fleet{}, keys.ErrNotShared
	}
	return d.shared.Fleet(ctx)
}

// Reconcile takes back what the store has lost, as [keys.Shared] has it.
func (d *Directory) Reconcile(ctx context.Context, acceptLost bool) (keys.Reconciled, error) {
	if d.shared == nil {
		return keys.Reconciled{}, keys.ErrNotShared
	}
	return d.shared.Reconcile(ctx, acceptLost)
}
