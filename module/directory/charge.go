package directory

import (
	"context"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// LimitKind is the kind of a limit that refuses a request.
type LimitKind uint8

// The kinds of limit.
const (
	RateLimit LimitKind = iota + 1
	QuotaLimit
	ConcurrentLimit
)

// Exceeded is the limit that a request exceeds. It is the zero value if the request
// exceeds none.
type Exceeded struct {
	Kind LimitKind
	// Of is the level of the limit: key, app or user. Plan is the plan that the limit
	// comes from, and empty for a key's own limit. Limit is the limit as text.
	Of, Plan, Limit string
	// After is how long the request has to wait. If live requests have to end first,
	// it is a guess.
	After time.Duration
}

// Charge is what a request has taken of the limits of its credential. It is part of
// the request's own memory, so nothing is allocated for it. The zero value has taken
// nothing.
type Charge struct {
	directory *Directory
	entry     *Entry
	cost      int64
	// day is the day on which the charge was made.
	day keys.Date
}

// Charge takes the cost of a request from every limit of an entry's credential. If
// the request exceeds a limit, Charge takes nothing. Call [Charge.Release] once the
// request is over. No other request waits for a charge, except while a node of a
// fleet takes a part of a quota.
func (d *Directory) Charge(ctx context.Context, c *Charge, e *Entry, cost int64) (Exceeded, error) {
	if len(e.bounds) == 0 || e.unbounded != nil {
		return Exceeded{}, e.unbounded
	}
	ticks, now := d.ticks(), d.Now()
	day := keys.DateOf(now)
	for i := range e.bounds {
		exceeded, err := d.take(ctx, &e.bounds[i], ticks, now, cost)
		if exceeded.Kind != 0 || err != nil {
			for j := range i {
				e.bounds[j].putBack(day, cost)
			}
			return exceeded, err
		}
	}
	c.directory, c.entry, c.cost, c.day = d, e, cost, day
	return Exceeded{}, nil
}

// take takes the cost of a request from one set of limits.
func (d *Directory) take(ctx context.Context, b *bound, ticks int64, now time.Time, cost int64) (Exceeded, error) {
	m := b.meter
	if !m.enter(int64(b.Concurrent)) {
		return b.exceeds(ConcurrentLimit, time.Second), nil
	}
	if b.Rate != (policy.Rate{}) {
		if wait := m.bucket.take(ticks, cost); wait > 0 {
			m.live.Add(-1)
			return b.exceeds(RateLimit, time.Duration(wait)), nil
		}
	}
	if b.Quota != (policy.Quota{}) {
		ok, err := d.takeQuota(ctx, b, now, cost)
		if !ok || err != nil {
			m.live.Add(-1)
			if b.Rate != (policy.Rate{}) {
				m.bucket.put(cost)
			}
			return b.exceeds(QuotaLimit, b.Quota.Per.End(now).Sub(now)), err
		}
	}
	d.meters.used(m)
	return Exceeded{}, nil
}

// enter counts a live request, unless there are as many as permitted. If most is 0,
// any number is permitted.
func (m *meter) enter(most int64) bool {
	if most == 0 {
		m.live.Add(1)
		return true
	}
	for {
		live := m.live.Load()
		if live >= most {
			return false
		}
		if m.live.CompareAndSwap(live, live+1) {
			return true
		}
	}
}

// exceeds returns which limit a request exceeds.
func (b *bound) exceeds(kind LimitKind, after time.Duration) Exceeded {
	return Exceeded{Kind: kind, Of: b.of, Plan: b.plan, After: after, Limit: b.text(kind)}
}

// putBack returns what a request took from one set of limits.
func (b *bound) putBack(day keys.Date, cost int64) {
	b.meter.live.Add(-1)
	if b.Rate != (policy.Rate{}) {
		b.meter.bucket.put(cost)
	}
	if b.Quota != (policy.Quota{}) {
		b.meter.refund(day, cost)
	}
}

// Made reports whether a charge was made and is not yet released.
func (c *Charge) Made() bool { return c.directory != nil }

// Of reports whether a charge was made for an entry and is not yet released.
func (c *Charge) Of(e *Entry) bool { return c.Made() && c.entry == e }

// Undo takes a charge back, as if there had been no request.
func (c *Charge) Undo() {
	for i := range c.entry.bounds {
		c.entry.bounds[i].putBack(c.day, c.cost)
	}
	c.directory, c.entry = nil, nil
}

// Release ends the request of a charge. Its cost stays taken.
func (c *Charge) Release() {
	for i := range c.entry.bounds {
		c.entry.bounds[i].meter.live.Add(-1)
	}
	c.directory, c.entry = nil, nil
}

// Settle replaces the cost that the request was charged with the actual cost. A
// higher cost counts against later requests, even if it is more than was left. Of a
// lower cost, the difference is given back, unless the window of the quota is over.
func (c *Charge) Settle(cost int64) {
	more := cost - c.cost
	if c.directory == nil || more == 0 {
		return
	}
	c.cost = cost
	for i := range c.entry.bounds {
		b := &c.entry.bounds[i]
		switch {
		case b.Rate == policy.Rate{}:
		case more < 0:
			b.meter.bucket.put(-more)
		default:
			b.meter.bucket.charge(c.directory.ticks(), more)
		}
		switch {
		case b.Quota == policy.Quota{}:
		case more < 0:
			b.meter.refund(c.day, -more)
		default:
			b.meter.windowAt(b.Quota.Per, c.directory.Now()).add(more)
		}
		c.directory.meters.used(b.meter)
	}
}
