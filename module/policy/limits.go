package policy

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits apply to the requests of a key, an app or a user. The zero value limits
// nothing.
type Limits struct {
	Rate  Rate  `json:"rate,omitzero"`
	Quota Quota `json:"quota,omitzero"`
	// Concurrent is how many requests may be live at the same time, 0 for any
	// number. Each node of a fleet counts its own.
	Concurrent int `json:"concurrent,omitzero"`
}

// The highest numbers that can be configured. At a higher rate, a token would take
// less time than the clock can measure.
const (
	maxRate       = 10_000_000 // a second
	maxBurst      = 1_000_000_000
	maxQuota      = 1_000_000_000_000_000
	maxConcurrent = 1_000_000
	// maxFill is the longest time in which a burst may be gained, because buckets
	// count nanoseconds.
	maxFill = 70 * 365 * 24 * time.Hour
)

// Bounded reports whether there is any limit.
func (l Limits) Bounded() bool { return l != Limits{} }

// Check returns an error if the limits are not valid. A program can make invalid
// ones, because it need not parse a text.
func (l Limits) Check() error {
	if l.Rate != (Rate{}) {
		if r, err := ParseRate(l.Rate.String()); err != nil || r != l.Rate {
			return errors.Join(err, fmt.Errorf("rate %v is not valid", l.Rate))
		}
	}
	if l.Quota != (Quota{}) {
		if q, err := ParseQuota(l.Quota.String()); err != nil || q != l.Quota {
			return errors.Join(err, fmt.Errorf("quota %v is not valid", l.Quota))
		}
	}
	if l.Concurrent < 0 || l.Concurrent > maxConcurrent {
		return fmt.Errorf("concurrent %d: give a number from 1 to %d", l.Concurrent, maxConcurrent)
	}
	return nil
}

// Within reports whether the limits permit nothing that others don't. Each limit of
// the others then has a counterpart that is no higher.
func (l Limits) Within(o Limits) bool {
	return l.Rate.within(o.Rate) && l.Quota.within(o.Quota) &&
		(o.Concurrent == 0 || l.Concurrent != 0 && l.Concurrent <= o.Concurrent)
}

// And returns limits that permit only what both permit. If neither of two rates or
// quotas is within the other, the result has the lower of each number.
func (l Limits) And(o Limits) Limits {
	return Limits{l.Rate.and(o.Rate), l.Quota.and(o.Quota), lower(l.Concurrent, o.Concurrent)}
}

// lower returns the lower of two limits. 0 is no limit.
func lower(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// MaxCost is the most that a request can cost.
const MaxCost = math.MaxInt32
