package keystest

import (
	"errors"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Commits are counted, those that change nothing too, and nothing else is.
func testCommits(t *testing.T, s keys.Store) {
	want := keys.Commit{}
	commit := func(what string, fn func(keys.Writer) error) {
		t.Helper()
		want.Revision++
		if got, err := s.Update(t.Context(), fn); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", what, got, err, want)
		}
	}
	commit("the first", func(w keys.Writer) error { return w.PutUser(user("u")) })
	commit("the second", func(w keys.Writer) error { return w.PutUser(user("v")) })
	commit("nothing", func(keys.Writer) error { return nil })
	if got, err := s.Update(t.Context(), func(keys.Writer) error { return errFn }); !errors.Is(err, errFn) || got != (keys.Commit{}) {
		t.Errorf("one that failed: got %+v, %v", got, err)
	}
	wantPanic(t, func() { _, _ = s.Update(t.Context(), func(keys.Writer) error { panic(errFn) }) })
	commit("after those that failed", func(w keys.Writer) error { w.ResetClock(at(1)); return nil })
}

func testReady(t *testing.T, s keys.Store) {
	for range 2 {
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		put(t, s, user("u"))
	}
}
