package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
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

// Rate limits how fast requests follow each other. It is a token bucket that holds
// Burst tokens and gains N tokens in each Per, evenly. A request takes as many
// tokens as it costs. Each node of a fleet has a bucket of its own. The zero
// value is no limit.
//
// As text, a rate is 10/s, 600/m or 3600/h. If the burst isn't N, the text is
// "10/s burst 20".
type Rate struct {
	N     int64
	Per   time.Duration // a second, a minute or an hour
	Burst int64
}

// Quota limits how much may be used in each window: a day or a calendar month,
// both in UTC. The zero value is no limit. As text, a quota is 1000/day or
// 10000/month.
type Quota struct {
	N   int64
	Per Window
}

// Window is the period of a [Quota].
type Window uint8

// The windows of a quota.
const (
	Day Window = iota + 1
	Month
)

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

// daysOfMonth is the length of the longest month.
const daysOfMonth = 31

// Bounded reports whether there is any limit.
func (l Limits) Bounded() bool { return l != Limits{} }

// ParseRate reads a rate as text. Without a burst, the burst is N.
func ParseRate(text string) (Rate, error) {
	words := strings.Fields(text)
	if len(words) != 1 && (len(words) != 3 || words[1] != "burst") {
		return Rate{}, fmt.Errorf("rate %q: write a number per second, minute or hour, such as 10/s, and optionally a burst, such as 10/s burst 20", text)
	}
	number, unit, _ := strings.Cut(words[0], "/")
	var r Rate
	switch unit {
	case "s":
		r.Per = time.Second
	case "m":
		r.Per = time.Minute
	case "h":
		r.Per = time.Hour
	default:
		return Rate{}, fmt.Errorf("rate %q: say per second, minute or hour, such as 10/s, 10/m or 10/h", text)
	}
	var err error
	if r.N, err = parseCount(number, maxRate*int64(r.Per/time.Second)); err != nil {
		return Rate{}, fmt.Errorf("rate %q: %w", text, err)
	}
	r.Burst = min(r.N, maxBurst)
	if len(words) == 3 {
		if r.Burst, err = parseCount(words[2], maxBurst); err != nil {
			return Rate{}, fmt.Errorf("rate %q: burst: %w", text, err)
		}
		if most := int64(maxFill / r.Interval()); r.Burst > most {
			return Rate{}, fmt.Errorf("rate %q: the burst would take more than 70 years to gain; give at most %d", text, most)
		}
	}
	return r, nil
}

// parseCount reads a number of plain digits, from 1 to most.
func parseCount(text string, most int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most || strings.Trim(text, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", text, most)
	}
	return n, nil
}

// String returns the text that [ParseRate] reads, empty for the zero value.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	text := fmt.Sprintf("%d/%c", r.N, r.unit())
	if r.Burst != min(r.N, maxBurst) {
		text += fmt.Sprintf(" burst %d", r.Burst)
	}
	return text
}

func (r Rate) unit() byte {
	switch r.Per {
	case time.Second:
		return 's'
	case time.Minute:
		return 'm'
	default:
		return 'h'
	}
}

// MarshalText writes [Rate.String].
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads like [ParseRate].
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// Interval returns the time in which one token is gained, rounded up.
func (r Rate) Interval() time.Duration {
	return (r.Per + time.Duration(r.N) - 1) / time.Duration(r.N)
}

// ParseQuota reads a quota as text.
func ParseQuota(text string) (Quota, error) {
	number, window, _ := strings.Cut(text, "/")
	var q Quota
	switch window {
	case "day":
		q.Per = Day
	case "month":
		q.Per = Month
	default:
		return Quota{}, fmt.Errorf("quota %q: write a number per day or month, such as 1000/day or 10000/month", text)
	}
	var err error
	if q.N, err = parseCount(number, maxQuota); err != nil {
		return Quota{}, fmt.Errorf("quota %q: %w", text, err)
	}
	return q, nil
}

// String returns the text that [ParseQuota] reads, empty for the zero value.
func (q Quota) String() string {
	if q == (Quota{}) {
		return ""
	}
	return fmt.Sprintf("%d/%s", q.N, q.Per)
}

// MarshalText writes [Quota.String].
func (q Quota) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText reads like [ParseQuota].
func (q *Quota) UnmarshalText(text []byte) (err error) {
	*q, err = ParseQuota(string(text))
	return err
}

// String returns day or month.
func (w Window) String() string {
	if w == Day {
		return "day"
	}
	return "month"
}

// Begin returns the beginning of the window that a time is in.
func (w Window) Begin(at time.Time) time.Time {
	year, month, day := at.UTC().Date()
	if w == Month {
		day = 1
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// End returns the beginning of the window after the one that a time is in.
func (w Window) End(at time.Time) time.Time {
	if w == Month {
		return w.Begin(at).AddDate(0, 1, 0)
	}
	return w.Begin(at).AddDate(0, 0, 1)
}

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

func (r Rate) within(o Rate) bool {
	if o == (Rate{}) || r == o {
		return true
	}
	return r != Rate{} && r.Burst <= o.Burst && r.compare(o) <= 0
}

// compare compares how many tokens are gained in the same time. Because of maxRate,
// the products don't overflow.
func (r Rate) compare(o Rate) int {
	return cmp.Compare(r.N*int64(o.Per/time.Second), o.N*int64(r.Per/time.Second))
}

// within takes into account that a day is part of a month, and that a month may
// have 31 days.
func (q Quota) within(o Quota) bool {
	switch {
	case o == Quota{}:
		return true
	case q == Quota{}:
		return false
	case q.Per == Day && o.Per == Month:
		return q.N <= o.N/daysOfMonth
	}
	return q.N <= o.N
}

// And returns limits that permit only what both permit. If neither of two rates or
// quotas is within the other, the result has the lower of each number.
func (l Limits) And(o Limits) Limits {
	return Limits{l.Rate.and(o.Rate), l.Quota.and(o.Quota), lower(l.Concurrent, o.Concurrent)}
}

func (r Rate) and(o Rate) Rate {
	switch {
	case r.within(o):
		return r
	case o.within(r):
		return o
	case r.compare(o) > 0:
		r, o = o, r
	}
	r.Burst = min(r.Burst, o.Burst)
	return r
}

func (q Quota) and(o Quota) Quota {
	switch {
	case q.within(o):
		return q
	case o.within(q):
		return o
	case q.Per == Month:
		q, o = o, q
	}
	// A month's quota becomes a day's by division by 31. A quota that is too small for
	// that stays one of a month.
	if share := o.N / daysOfMonth; share > 0 {
		return Quota{min(q.N, share), Day}
	}
	return Quota{min(q.N, o.N), Month}
}

// lower returns the lower of two limits. 0 is no limit.
func lower(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Plan is a named set of limits for users, apps and keys.
type Plan struct {
	// Name is 1 to 48 letters, digits, - and _. The plan default applies to every
	// user without another plan.
	Name string `json:"name"`
	Limits
	// Addresses are the networks from which requests may come.
	// Default: any.
	Addresses Addresses `json:"addresses,omitempty"`
	// Place is where the plan is declared, for errors.
	Place string `json:"-"`
}

// DefaultPlan is the name of the plan that applies to every user without another.
const DefaultPlan = "default"

// Plans are the plans of a configuration, by name.
type Plans map[string]*Plan

// NewPlans checks plans, and returns them by name.
func NewPlans(list []Plan) (Plans, error) {
	plans := Plans{}
	for i := range list {
		p := &list[i]
		if err := CheckPlanName(p.Name); err != nil {
			return nil, err
		}
		if plans[p.Name] != nil {
			return nil, fmt.Errorf("plan %s is given twice", p.Name)
		}
		if err := p.Check(); err != nil {
			return nil, fmt.Errorf("plan %s: %w", p.Name, err)
		}
		plans[p.Name] = p
	}
	return plans, nil
}

// Equal reports whether the plans are the same.
func (p Plans) Equal(o Plans) bool {
	return maps.EqualFunc(p, o, func(a, b *Plan) bool {
		return a.Limits == b.Limits && (a.Addresses == nil) == (b.Addresses == nil) && slices.Equal(a.Addresses, b.Addresses)
	})
}

// CheckPlanName returns an error if no plan can have the name.
func CheckPlanName(name string) error {
	const most = 48
	if name == "" || len(name) > most || strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		return fmt.Errorf("%q is not the name of a plan: use 1 to %d letters, digits, - and _", name, most)
	}
	return nil
}

// MaxCost is the most that a request can cost.
const MaxCost = math.MaxInt32
