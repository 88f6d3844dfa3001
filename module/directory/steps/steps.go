// Package steps checks that a change that is too large for one update of a
// store leaves it safe wherever it is cut off.
package steps

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

// Run cuts off every kind of change after each of its commits, on a store that
// writes no more in one update than [keys.MinWrites]. After each cut the check
// of the store finds nothing, nothing works again that did not before, nothing
// else has ended, and a change that shows has ended all that it ends. Then the
// change is made again to its end.
//
// open makes a new and empty store, which is a [keys.Examiner], and closes it
// when the test ends.
func Run(t *testing.T, open func(t *testing.T) keys.Store) {
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			steps := 0
			for cut := 0; ; cut++ {
				if !cutAfter(t, open(t), c, cut) || t.Failed() {
					break
				}
				steps++
			}
			if steps < 2 {
				t.Errorf("it was made in %d steps", steps)
			}
			t.Logf("cut off after each of %d steps", steps)
		})
	}
}

// cutAfter cuts off a change after so many commits, and makes it again. It
// reports whether there was anything to cut off.
func cutAfter(t *testing.T, store keys.Store, c change, commits int) (wasCut bool) {
	t.Helper()
	w := newWorld(t, store, c)
	before := w.look()
	s := w.cutAfter(commits)
	err := w.with(s, c.make)
	if wasCut = s.refused.Load(); !wasCut && err != nil {
		t.Fatal(err)
	}
	if wasCut && err != nil && !errors.Is(err, errCut) {
		t.Errorf("cut off after %d commits, it ended with %v", commits, err)
	}
	after := w.look()
	shows := !wasCut
	w.view(func(r keys.Reader) error {
		if c.shows != nil && !shows {
			shows = c.shows(t, r)
		}
		return nil
	})
	what := fmt.Sprintf("after %d commits", commits)
	w.wantSafe(what, before, after, shows)

	if err := w.with(keystest.Small(w), c.make); err != nil {
		t.Errorf("%s, made again: %v", what, err)
	}
	w.wantSafe(what+", and made again", after, w.look(), true)
	w.view(func(r keys.Reader) error {
		for d, err := range r.Deletions() {
			t.Errorf("%s, the deletion %+v is not finished (%v)", what, d, err)
		}
		return nil
	})
	return wasCut
}

// wantSafe compares what works with what worked before. shows is true if the
// change has taken effect.
func (w *world) wantSafe(what string, before, after map[string]bool, shows bool) {
	w.t.Helper()
	found, err := w.examine()
	if err != nil || len(found.Findings) > 0 {
		w.t.Errorf("%s, a check found %+v, %v", what, found.Findings, err)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		ends := w.change.ends(w.registers[name])
		switch was, is := before[name], after[name]; {
		case is && !was:
			w.t.Errorf("%s, %s works again", what, name)
		case was && !is && !ends:
			w.t.Errorf("%s, %s has ended, too", what, name)
		case is && ends && shows:
			w.t.Errorf("%s, %s works", what, name)
		}
	}
}
