package directory

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// window is what was used of a quota in one window of time.
type window struct {
	begin keys.Date
	used  atomic.Int64
	// written is what the store knows of used.
	written atomic.Int64
	// allotment is what this node holds of a quota that others share.
	allotment allotment
}

// newWindow returns the window that goes on from what is stored.
func newWindow(s keys.Spending) *window {
	w := &window{begin: s.Begin}
	w.used.Store(s.Used)
	w.written.Store(s.Used)
	return w
}

// windowAt returns the window of a time, and begins it if it is a new one. A time
// shortly before the newest window is in that one. A newest window that is further
// ahead began while the clock was wrong: it is moved back with what was used, or
// else it would not end until then.
func (m *meter) windowAt(per policy.Window, now time.Time) *window {
	begin := keys.DateOf(per.Begin(now))
	for {
		w := m.window.Load()
		late := w != nil && w.begin > begin && w.begin > keys.DateOf(per.End(now))
		if w != nil && w.begin >= begin && !late {
			return w
		}
		next := &window{begin: begin}
		if late {
			next.used.Store(w.used.Load())
		}
		if m.window.CompareAndSwap(w, next) {
			return next
		}
	}
}

// take uses some of a quota, unless more than there is.
func (w *window) take(most, n int64) bool {
	for {
		used := w.used.Load()
		if n > most-used {
			return n == 0
		}
		if w.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// add adds to what was used, or takes from it, down to nothing.
func (w *window) add(n int64) {
	for {
		used := w.used.Load()
		if w.used.CompareAndSwap(used, max(used+n, 0)) {
			return
		}
	}
}

// refund gives back what was used on a day, unless that day's window is over.
func (m *meter) refund(day keys.Date, n int64) {
	if w := m.window.Load(); w != nil && w.begin <= day {
		w.add(-n)
	}
}

// dirty reports whether the store doesn't know what was used.
func (w *window) dirty() bool { return w != nil && w.used.Load() != w.written.Load() }

// usedAt returns how much of a quota is used in the window of a time. If others share
// it, that is what they held when this node last asked, used or not.
func (m *meter) usedAt(per policy.Window, now time.Time) int64 {
	w := m.windowAt(per, now)
	return w.used.Load() + w.allotment.taken.Load() - w.allotment.held.Load()
}

// takeQuota uses some of a quota, unless more than there is.
func (d *Directory) takeQuota(ctx context.Context, b *bound, now time.Time, n int64) (bool, error) {
	w := b.meter.windowAt(b.Quota.Per, now)
	if d.shared != nil {
		return d.takeAllotted(ctx, b, w, n)
	}
	return w.take(b.Quota.N, n), nil
}
