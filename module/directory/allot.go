package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// allotment is the part of a shared quota that this node may use in one window. The
// node takes more from the store before the part is used up. So a request waits for
// the store only at the beginning of a window, and when little is left.
type allotment struct {
	// held is how much this node has been granted. taken is how much all nodes had
	// been granted when this node last asked.
	held, taken atomic.Int64
	// asking is locked while the store is asked.
	asking sync.Mutex
	// ahead is true while takeAhead runs.
	ahead atomic.Bool
	// pause is why the store isn't asked for more now.
	pause atomic.Pointer[pause]
}

// pause is a time in which the store isn't asked for more of a quota, because too
// little was left, or because the store failed with err.
type pause struct {
	until int64 // in ticks
	err   error
}

// A node takes only a small part at once: other nodes can't use what this node
// holds, and a crash loses that part until the window ends.
const (
	allotPart = 400 // of the quota
	allotLeft = 16  // of what is left
	allotMost = 10_000
)

const (
	// allotPause is how long a [pause] is. Another node may give something back
	// meanwhile.
	allotPause = time.Second
	// allotTimeout is how long a request waits for the store.
	allotTimeout = 3 * time.Second
)

// paused returns why the store isn't asked now, or nil if it may be.
func (a *allotment) paused(ticks int64) *pause {
	if p := a.pause.Load(); p != nil && ticks < p.until {
		return p
	}
	return nil
}

// takeAllotted uses some of this node's allotment, and takes more if necessary.
func (d *Directory) takeAllotted(ctx context.Context, b *bound, w *window, n int64) (bool, error) {
	a := &w.allotment
	for {
		if w.take(a.held.Load(), n) {
			d.takeAhead(ctx, b, w)
			return true, nil
		}
		if p := a.paused(d.ticks()); p != nil {
			return false, p.err
		}
		granted, err := d.allot(ctx, b, w, n)
		if granted == 0 || err != nil {
			return false, err
		}
	}
}

// allot takes more of a quota for this node, so that the node can use at least n if
// the quota has that much left. It returns how much the node was granted since the
// call began.
func (d *Directory) allot(ctx context.Context, b *bound, w *window, n int64) (granted int64, err error) {
	a := &w.allotment
	held := a.held.Load()
	a.asking.Lock()
	defer a.asking.Unlock()
	if now := a.held.Load(); now != held {
		return now - held, nil // while this waited
	}
	need := max(w.used.Load()+n-held, 0)
	if need == 0 {
		return 1, nil // something was given back
	}
	want := max(need, d.share(b, a))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), allotTimeout)
	defer cancel()
	granted, taken, err := d.shared.Allot(ctx, keys.Allotment{Meter: b.meter.id, Begin: w.begin, Most: b.Quota.N, Want: want})
	if err != nil {
		err = fmt.Errorf("taking part of a quota: %w", err)
		a.pause.Store(&pause{d.ticks() + int64(allotPause), err})
		return 0, err
	}
	a.taken.Store(taken)
	a.held.Add(granted)
	if granted < need {
		a.pause.Store(&pause{d.ticks() + int64(allotPause), nil})
		return 0, nil
	}
	return granted, nil
}

// share is how much a node takes at once.
func (d *Directory) share(b *bound, a *allotment) int64 {
	left := max(b.Quota.N-a.taken.Load(), 0)
	return min(b.Quota.N/allotPart+1, left/allotLeft+1, allotMost)
}

// takeAhead takes more in the background once less than half a share is left. The
// request that then needs more meets the same failure, if there is one.
func (d *Directory) takeAhead(ctx context.Context, b *bound, w *window) {
	a := &w.allotment
	share := d.share(b, a)
	if share < 4 || a.held.Load()-w.used.Load() >= share/2 || a.paused(d.ticks()) != nil || a.ahead.Swap(true) {
		return
	}
	d.allotting.Go(func() {
		defer a.ahead.Store(false)
		if _, err := d.allot(context.WithoutCancel(ctx), b, w, share); err != nil {
			d.failed(TaskQuotas, err)
		}
	})
}

// settleAllotments gives back what meters without recent requests hold. If more than
// an allotment was used, it takes the difference, so that other nodes know of it. all
// gives back what every meter holds, when the directory closes.
func (d *Directory) settleAllotments(ctx context.Context, all bool) error {
	var failures []error
	for _, m := range d.meters.list() {
		w := m.window.Load()
		if w == nil || w.begin < keys.DateOf(d.Now())-oldSpending {
			continue
		}
		a := &w.allotment
		a.asking.Lock()
		rest := a.held.Load() - w.used.Load()
		switch {
		case rest < 0:
			failures = append(failures, d.settleDebt(ctx, m, w, -rest))
		case rest > 0 && (all || !m.charged.Load()) && w.take(a.held.Load(), rest): // so that no request uses it
			failures = append(failures, d.giveBack(ctx, m, w, rest))
		}
		if used := w.used.Load(); used == a.held.Load() {
			w.written.Store(used) // the store knows it
		}
		a.asking.Unlock()
	}
	return errors.Join(failures...)
}

// settleDebt takes the n that this node has used beyond its allotment.
func (d *Directory) settleDebt(ctx context.Context, m *meter, w *window, n int64) error {
	granted, taken, err := d.shared.Allot(ctx, keys.Allotment{Meter: m.id, Begin: w.begin, Want: n, Debt: true})
	if err != nil {
		return fmt.Errorf("settling a quota: %w", err)
	}
	w.allotment.taken.Store(taken)
	w.allotment.held.Add(granted)
	return nil
}

// giveBack gives back a part of an allotment. Until then, the part counts as used. If
// the store fails, the part is lost.
func (d *Directory) giveBack(ctx context.Context, m *meter, w *window, n int64) error {
	_, taken, err := d.shared.Allot(ctx, keys.Allotment{Meter: m.id, Begin: w.begin, Want: -n})
	w.allotment.held.Add(-n)
	w.add(-n)
	if err != nil {
		return fmt.Errorf("giving back a part of a quota: %w", err)
	}
	w.allotment.taken.Store(taken)
	return nil
}
