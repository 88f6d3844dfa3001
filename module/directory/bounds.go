package directory

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// bound is one set of limits that applies to a credential's requests: that of the
// key itself, or of the plan of the key, its app or its user.
type bound struct {
	policy.Limits
	meter *meter
	// of is the level of the limits: key, app or user. plan is the plan that the
	// limits come from, and empty for a key's own limits.
	of, plan string
}

// errPlan is the error of a charge if the plan of the key, of its app or of its user
// is not in the configuration. The limits are then unknown, so no request is allowed.
// Calls of the management API aren't charged, so such a key can still be revoked.
var errPlan = errors.New("no such plan is configured")

// SetPlans sets the plans of the configuration. They apply to every credential at
// once.
func (d *Directory) SetPlans(plans policy.Plans) {
	was := d.plans.Swap(&plans)
	if was == nil && len(plans) == 0 || was != nil && plans.Equal(*was) {
		return
	}
	d.changed(keys.Change{All: true})
}

// bind sets the limits of an entry's credential.
func (d *Directory) bind(r keys.Reader, e *Entry, c *keys.Credential, u *keys.User) error {
	e.caller.Addresses, e.caller.Resources = c.Addresses, c.Resources
	if c.Limits.Bounded() {
		if err := d.bound(r, e, c.LimitsMeter(), bound{Limits: c.Limits, of: "key"}); err != nil {
			return err
		}
	}
	if err := d.bindPlan(r, e, c.PlanMeter(), c.Plan, "key"); err != nil {
		return err
	}
	if c.AppID != "" {
		ref := keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}
		a, err := r.App(ref)
		if err != nil && !errors.Is(err, keys.ErrNotFound) {
			return err
		}
		if err := d.bindPlan(r, e, keys.AppGroup(ref), a.Plan, "app"); err != nil {
			return err
		}
	}
	plan := u.Plan
	if _, ok := (*d.plans.Load())[policy.DefaultPlan]; ok && plan == "" {
		plan = policy.DefaultPlan
	}
	return d.bindPlan(r, e, keys.UserGroup(c.UserID), plan, "user")
}

// bindPlan adds the limits of a plan.
func (d *Directory) bindPlan(r keys.Reader, e *Entry, meter credential.Digest, name, of string) error {
	if name == "" {
		return nil
	}
	plan := (*d.plans.Load())[name]
	if plan == nil {
		e.unbounded = fmt.Errorf("the plan %s of the %s: %w; add it to the global option api_keys, or change the %s's plan", name, of, errPlan, of)
		return nil
	}
	e.caller.Addresses = e.caller.Addresses.And(plan.Addresses)
	if !plan.Bounded() {
		return nil
	}
	return d.bound(r, e, meter, bound{Limits: plan.Limits, of: of, plan: name})
}

// bound adds limits, with their meter.
func (d *Directory) bound(r keys.Reader, e *Entry, id credential.Digest, b bound) (err error) {
	b.meter, err = d.meters.of(id, func() (keys.Spending, error) {
		if d.shared != nil || b.Quota == (policy.Quota{}) {
			return keys.Spending{}, nil
		}
		s, err := r.Spending(id)
		if errors.Is(err, keys.ErrNotFound) {
			return s, nil
		}
		return s, err
	})
	if err != nil {
		return err
	}
	if b.Rate != (policy.Rate{}) {
		d.meters.setRate(b.meter, b.Rate, d.ticks())
	}
	e.bounds = append(e.bounds, b)
	return nil
}

// LimitUse is how much of one set of limits is used.
type LimitUse struct {
	// Of is the level of the limits: key, app or user.
	Of string
	// Plan is the plan that the limits come from. It is empty for a key's own limits.
	Plan string
	policy.Limits
	// RateLeft is how many tokens of the rate are left now.
	RateLeft int64
	// Used is how much of the quota is used, and Ends is when its window ends.
	Used int64
	Ends time.Time
	// Live is how many requests are live.
	Live int64
}

// LimitsOf returns the limits of an entry's credential, and how much of each is used.
// Rates and live requests are those of this process.
func (d *Directory) LimitsOf(e *Entry) []LimitUse {
	ticks, now := d.ticks(), d.Now()
	list := make([]LimitUse, 0, len(e.bounds))
	for i := range e.bounds {
		b := &e.bounds[i]
		use := LimitUse{Of: b.of, Plan: b.plan, Limits: b.Limits, Live: b.meter.live.Load()}
		if b.Rate != (policy.Rate{}) {
			use.RateLeft, _ = b.meter.bucket.left(ticks)
		}
		if b.Quota != (policy.Quota{}) {
			use.Used, use.Ends = b.meter.usedAt(b.Quota.Per, now), b.Quota.Per.End(now)
		}
		list = append(list, use)
	}
	return list
}

// Budget is what is left of a rate or a quota. Most is how much there is in each
// Window, and Reset is the time until all of it is left again. Most is 0 if there is
// no limit.
type Budget struct {
	Most, Left    int64
	Window, Reset time.Duration
}

// Budgets returns the rate with the least left and the quota with the least left,
// among those of an entry's credential.
func (d *Directory) Budgets(e *Entry) (rate, quota Budget) {
	if len(e.bounds) == 0 {
		return rate, quota
	}
	ticks, now := d.ticks(), d.Now()
	for i := range e.bounds {
		b := &e.bounds[i]
		if b.Rate != (policy.Rate{}) {
			f := b.meter.bucket.flow.Load()
			left, full := b.meter.bucket.left(ticks)
			if rate.Most == 0 || left < rate.Left {
				rate = Budget{f.burst, left, time.Duration(f.depth), time.Duration(full)}
			}
		}
		if b.Quota != (policy.Quota{}) {
			left := max(b.Quota.N-b.meter.usedAt(b.Quota.Per, now), 0)
			if quota.Most == 0 || left < quota.Left {
				end := b.Quota.Per.End(now)
				quota = Budget{b.Quota.N, left, end.Sub(b.Quota.Per.Begin(now)), end.Sub(now)}
			}
		}
	}
	return rate, quota
}

// text returns a limit as text.
func (b *bound) text(kind LimitKind) string {
	switch kind {
	case RateLimit:
		return b.Rate.String()
	case QuotaLimit:
		return b.Quota.String()
	default:
		return strconv.Itoa(b.Concurrent)
	}
}
