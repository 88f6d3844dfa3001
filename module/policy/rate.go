package policy

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

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
