package policy

import (
	"fmt"
	"strings"
	"time"
)

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

// daysOfMonth is the length of the longest month.
const daysOfMonth = 31

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
