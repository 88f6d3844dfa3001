package keystest

import (
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

func testRetired(t *testing.T, s keys.Store) {
	retired := func(id string) (is bool) {
		view(t, s, func(r keys.Reader) (err error) {
			is, err = r.UserRetired(id)
			return err
		})
		return is
	}
	put(t, s, user("u"))
	if retired("u") {
		t.Error("retired before it was deleted")
	}
	for range 2 { // the second time changes nothing
		update(t, s, func(w keys.Writer) error {
			if err := w.DeleteUser("u"); err != nil {
				return err
			}
			return w.RetireUser("u")
		})
	}
	if !retired("u") || retired("") || retired("u2") || retired("U") {
		t.Error("not exactly the one user is retired")
	}
}

func testStoreID(t *testing.T, s keys.Store) {
	read := func() (id string) {
		err := s.View(t.Context(), func(r keys.Reader) (err error) {
			id, err = r.StoreID()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := read()
	if len(id) < 16 {
		t.Errorf("the ID %q has %d bytes, want 16 or more", id, len(id))
	}
	update(t, s, func(w keys.Writer) error { return w.PutUser(keys.User{ID: "u"}) })
	if again := read(); again != id {
		t.Errorf("a change made the ID %q out of %q", again, id)
	}
}

func testLastWrite(t *testing.T, s keys.Store) {
	last := func() (last time.Time) {
		view(t, s, func(r keys.Reader) (err error) {
			last, err = r.LastWrite()
			return err
		})
		return last
	}
	if got := last(); !got.IsZero() {
		t.Errorf("before any write: %v", got)
	}
	for _, step := range []struct {
		touch []time.Time
		want  time.Time
	}{
		{[]time.Time{at(2)}, at(2)},
		{[]time.Time{at(1)}, at(2)}, // a clock that was set back
		{nil, at(2)},
		{[]time.Time{at(5), at(4)}, at(5)},
	} {
		update(t, s, func(w keys.Writer) error {
			for _, at := range step.touch {
				w.Touch(at)
			}
			if got, err := w.LastWrite(); err != nil || !got.Equal(step.want) {
				t.Errorf("after %v, within: got %v, %v; want %v", step.touch, got, err, step.want)
			}
			return nil
		})
		if got := last(); !got.Equal(step.want) {
			t.Errorf("after %v: got %v, want %v", step.touch, got, step.want)
		}
	}
	update(t, s, func(w keys.Writer) error { w.ResetClock(at(3)); return nil })
	if got := last(); !got.Equal(at(3)) {
		t.Errorf("after a reset: got %v, want %v", got, at(3))
	}
}
