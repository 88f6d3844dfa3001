package directory

import (
	"context"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// flushSpendings writes the usage of quotas, or settles it with other nodes, and
// releases meters. A process that is killed loses the usage since the last flush, at
// most half a minute of it. In a fleet, the allotments that the process held count as
// used instead. It is called with flushing locked.
func (d *Directory) flushSpendings(ctx context.Context) error {
	settle := d.writeSpendings
	if d.shared != nil {
		settle = func(ctx context.Context) error { return d.settleAllotments(ctx, false) }
	}
	if err := settle(ctx); err != nil {
		return err
	}
	d.meters.release(d.ticks())
	return nil
}

func (d *Directory) writeSpendings(ctx context.Context) error {
	var list []keys.Spending
	var windows []*window
	for _, m := range d.meters.list() {
		if w := m.window.Load(); w.dirty() {
			list = append(list, keys.Spending{Meter: m.id, Begin: w.begin, Used: w.used.Load()})
			windows = append(windows, w)
		}
	}
	size := d.store.MaxWrites()
	for i := 0; i < len(list); i += size {
		end := min(i+size, len(list))
		if err := d.Writable(); err != nil {
			return err
		}
		if err := d.store.Spent(context.WithoutCancel(ctx), list[i:end]); err != nil {
			return fmt.Errorf("writing the usage of quotas: %w", err)
		}
		for j := i; j < end; j++ {
			windows[j].written.Store(list[j].Used)
		}
	}
	return nil
}

// oldSpending is the number of days after which every window is over.
const oldSpending = 32

// shortenSpendings removes the usage of quotas in windows that are over. It continues
// where the previous upkeep stopped, and removes nothing while the clock is in doubt.
func (d *Directory) shortenSpendings(ctx context.Context) error {
	if d.shared != nil {
		return nil
	}
	if err := d.CheckClock(); err != nil {
		return err
	}
	d.flushing.Lock()
	defer d.flushing.Unlock()
	today, walked := keys.DateOf(d.clock()), 0
	var old []keys.Spending
	err := d.store.View(ctx, func(r keys.Reader) error {
		for s, err := range r.Spendings(d.meters.walked) {
			if err != nil {
				return err
			}
			d.meters.walked = s.Meter
			if s.Begin <= today-oldSpending {
				old = append(old, keys.Spending{Meter: s.Meter, Begin: s.Begin})
			}
			if walked++; walked == walkedAtOnce {
				return nil
			}
		}
		d.meters.walked = credential.Digest{}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the usage of quotas: %w", err)
	}
	size := d.store.MaxWrites()
	for i := 0; i < len(old); i += size {
		if err := d.store.Spent(ctx, old[i:min(i+size, len(old))]); err != nil {
			return fmt.Errorf("removing the usage of quotas in old windows: %w", err)
		}
	}
	return nil
}
