package directory

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// window is the usage of a quota in one window.
type window struct {
	begin keys.Date
	used  atomic.Int64
	// written is the value of used that the store knows.
	written atomic.Int64
	// allotment is the part of a shared quota that this node holds.
	allotment allotment
}

// newWindow returns a window that continues from the stored usage.
func newWindow(s keys.Spending) *window {
	w := &window{begin: s.Begin}
	w.used.Store(s.Used)
	w.written.Store(s.Used)
	return w
}

// windowAt returns the window of a time, and begins a new window if necessary. For a
// time shortly before the newest window, it returns the newest window. A newest window
// that is further ahead began while the clock was wrong. That window is moved back,
// and its usage stays. Otherwise it would end too late.
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

// take uses n of a quota, unless less is left.
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

// add changes the usage by n, which may be negative. Usage never falls below 0.
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

// dirty reports whether the store doesn't know the newest usage.
func (w *window) dirty() bool { return w != nil && w.used.Load() != w.written.Load() }

// usedAt returns how much of a quota is used in the window of a time. In a fleet, all
// that other nodes held when this node last asked counts as used.
func (m *meter) usedAt(per policy.Window, now time.Time) int64 {
	w := m.windowAt(per, now)
	return w.used.Load() + w.allotment.taken.Load() - w.allotment.held.Load()
}

// takeQuota uses n of a quota, unless less is left.
func (d *Directory) takeQuota(ctx context.Context, b *bound, now time.Time, n int64) (bool, error) {
	w := b.meter.windowAt(b.Quota.Per, now)
	if d.shared != nil {
		return d.takeAllotted(ctx, b, w, n)
	}
	return w.take(b.Quota.N, n), nil
}
