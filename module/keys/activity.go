package keys

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// ActivityDays is how many days of activity are kept, with the current one.
const ActivityDays = 30

// Bounds of what one key's activity can take.
const (
	// maxLacks is how many different lacks are told apart in the activity of a
	// key. Later ones count as [OtherLack].
	maxLacks = 16
	// maxLack is the length of the names of one lack. Longer ones count as
	// [OtherLack].
	maxLack = 256
)

// OtherLack stands in [Cause] for missing names that are not told apart.
const OtherLack = "*"

// Date is a day in UTC: the number of days since 1 January 1970.
type Date int32

// DateOf returns the day of a time.
func DateOf(t time.Time) Date {
	const day = 24 * 60 * 60
	seconds := t.Unix()
	if seconds < 0 {
		seconds -= day - 1
	}
	return Date(seconds / day)
}

// Time returns the beginning of the day.
func (d Date) Time() time.Time { return time.Unix(0, 0).UTC().AddDate(0, 0, int(d)) }

// String returns the day as 2006-01-02.
func (d Date) String() string { return d.Time().Format(time.DateOnly) }

// Cause is why requests were refused.
type Cause struct {
	// Reason is the name of the decision's reason.
	Reason string
	// Scopes and Endpoints are what the credential lacked, separated by spaces.
	// Scopes is [OtherLack] if the names are not told apart.
	Scopes, Endpoints string
}

// NewCause returns the cause of a refusal for which names were missing.
func NewCause(reason string, scopes, endpoints []string) Cause {
	c := Cause{reason, strings.Join(scopes, " "), strings.Join(endpoints, " ")}
	if len(c.Scopes)+len(c.Endpoints) > maxLack {
		return c.other()
	}
	return c
}

// other returns the cause without the names that were missing.
func (c Cause) other() Cause { return Cause{Reason: c.Reason, Scopes: OtherLack} }

// lacks reports whether the cause has names that are bounded.
func (c Cause) lacks() bool { return (c.Scopes != "" || c.Endpoints != "") && c.Scopes != OtherLack }

func (c Cause) compare(with Cause) int {
	return cmp.Or(cmp.Compare(c.Reason, with.Reason), cmp.Compare(c.Scopes, with.Scopes), cmp.Compare(c.Endpoints, with.Endpoints))
}

// Day is what became of the requests of one day.
type Day struct {
	Date    Date
	Allowed uint64
	// Refused are the refused requests by their cause.
	Refused map[Cause]uint64
}

// AllRefused returns the number of refused requests.
func (d *Day) AllRefused() uint64 {
	n := uint64(0)
	for _, count := range d.Refused {
		n = sum(n, count)
	}
	return n
}

// Activity is what became of the requests that presented a credential, by day,
// the oldest first. A day without requests is missing.
type Activity []Day

// KeyActivity is the activity of the credential of a digest.
type KeyActivity struct {
	Digest credential.Digest
	Activity
}

// Allow counts allowed requests.
func (a *Activity) Allow(on Date, n uint64) {
	d := a.day(on)
	d.Allowed = sum(d.Allowed, n)
}

// Refuse counts refused requests.
func (a *Activity) Refuse(on Date, why Cause, n uint64) { a.refuse(on, why, n, sum) }

// Add counts everything that another activity counts.
func (a *Activity) Add(b Activity) { a.merge(b, sum) }

// Raise raises each count to that of another activity, and lowers none.
func (a *Activity) Raise(b Activity) { a.merge(b, func(x, y uint64) uint64 { return max(x, y) }) }

func (a *Activity) merge(b Activity, join func(x, y uint64) uint64) {
	for _, from := range b {
		d := a.day(from.Date)
		d.Allowed = join(d.Allowed, from.Allowed)
		for _, why := range slices.SortedFunc(maps.Keys(from.Refused), Cause.compare) {
			a.refuse(from.Date, why, from.Refused[why], join)
		}
	}
}

func (a *Activity) refuse(on Date, why Cause, n uint64, join func(x, y uint64) uint64) {
	d := a.day(on)
	if _, known := d.Refused[why]; !known && why.lacks() && !a.roomFor(why) {
		why = why.other()
	}
	if d.Refused == nil {
		d.Refused = map[Cause]uint64{}
	}
	d.Refused[why] = join(d.Refused[why], n)
}

// roomFor reports whether a cause is known, or there is room for another one.
func (a *Activity) roomFor(why Cause) bool {
	known := map[Cause]bool{}
	for _, d := range *a {
		for cause := range d.Refused {
			if cause.lacks() {
				known[cause] = true
			}
		}
	}
	return known[why] || len(known) < maxLacks
}

// day returns the counts of a day.
func (a *Activity) day(on Date) *Day {
	i, found := slices.BinarySearchFunc(*a, on, func(d Day, on Date) int { return cmp.Compare(d.Date, on) })
	if !found {
		*a = slices.Insert(*a, i, Day{Date: on})
	}
	return &(*a)[i]
}

// Recent returns the days that are kept. A day after the next one is from a
// clock that was wrong.
func (a Activity) Recent(today Date) Activity {
	recent := Activity{}
	for _, d := range a {
		if d.Date > today-ActivityDays && d.Date <= today+1 {
			recent = append(recent, d)
		}
	}
	return recent
}

// Causes returns the causes of all days, in a fixed order.
func (a Activity) Causes() []Cause {
	known := map[Cause]bool{}
	for _, d := range a {
		for cause := range d.Refused {
			known[cause] = true
		}
	}
	return slices.SortedFunc(maps.Keys(known), Cause.compare)
}

// sum adds two counts. It stops at the largest one.
func sum(x, y uint64) uint64 {
	if x > math.MaxUint64-y {
		return math.MaxUint64
	}
	return x + y
}
