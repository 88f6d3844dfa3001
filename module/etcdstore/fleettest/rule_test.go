//go:build linux

package fleettest

import (
	"testing"
	"time"
)

// The checker must find what breaks the rule.
func TestCheck(t *testing.T) {
	second := int64(1e9)
	changes := []change{{1, 2, 4 * second}, {1, 1, 2 * second}, {2, 1, 2 * second}, {2, revoked, 4 * second}}
	h := newHistory(changes, map[int]int64{2: 3 * second})
	for name, c := range map[string]struct {
		read read
		bad  bool
	}{
		"before the answer":            {read{1, 1, 4*second - 1, 1}, false},
		"the version of the answer":    {read{1, 2, 4*second + 1, 1}, false},
		"a later version":              {read{1, 3, 3 * second, 1}, false},
		"after the answer":             {read{1, 1, 4*second + 1, 1}, true},
		"lost":                         {read{1, absent, 3 * second, 1}, true},
		"not made yet":                 {read{1, absent, second, 1}, false},
		"revoked":                      {read{2, absent, 5 * second, 1}, false},
		"passes though it was revoked": {read{2, 1, 4*second + 1, 1}, true},
		"being revoked":                {read{2, 1, 4*second - 1, 1}, false},
	} {
		if why := h.checkRead(c.read); (why != "") != c.bad {
			t.Errorf("%s: %q", name, why)
		}
	}
	for name, c := range map[string]struct {
		look look
		bad  bool
	}{
		"at once":              {look{1, 1, 4*second + 1, 0}, false},
		"much later":           {look{1, 1, 6 * second, 0}, true},
		"much later, and new":  {look{1, 2, 6 * second, 0}, false},
		"after being stopped":  {look{1, 1, 6 * second, 6*second - 1}, false},
		"live though it ended": {look{2, 1, 6 * second, 0}, true},
	} {
		if why := h.checkLook(c.look); (why != "") != c.bad {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// The clock of a gate must jump as a wall clock does.
func TestClock(t *testing.T) {
	var g gate
	before := g.clock()
	g.jumped.Store(int64(time.Hour))
	after := g.clock()
	if wall := after.Round(0).Sub(before.Round(0)); wall < time.Hour {
		t.Errorf("the wall clock was set forward by %s", wall)
	}
	if monotonic := after.Sub(before); monotonic < 0 || monotonic > time.Minute {
		t.Errorf("the monotonic clock has moved by %s", monotonic)
	}
}
