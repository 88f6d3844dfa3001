package keystest

import (
	"errors"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func spending(name string, begin keys.Date, used int64) keys.Spending {
	return keys.Spending{Meter: credential.DigestOf(name), Begin: begin, Used: used}
}

// The usage of a quota is kept until the next window, in whatever order usage is
// written. A store that allots quotas has no spendings.
func testSpendings(t *testing.T, s keys.Store) {
	spent := func(list ...keys.Spending) {
		t.Helper()
		if err := s.Spent(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Spent(t.Context(), nil); errors.Is(err, errors.ErrUnsupported) {
		return
	}
	want := func(name string, w keys.Spending) {
		t.Helper()
		view(t, s, func(r keys.Reader) error {
			got, err := r.Spending(credential.DigestOf(name))
			if w.Used == 0 {
				wantNotFound(t, "Spending", got, err)
			} else if err != nil || got != w {
				t.Errorf("Spending of %s: got %+v, %v; want %+v", name, got, err, w)
			}
			return nil
		})
	}
	want("a", keys.Spending{})
	spent(spending("a", 10, 5), spending("b", 10, 1))
	want("a", spending("a", 10, 5))
	spent(spending("a", 10, 4)) // something was given back
	want("a", spending("a", 10, 4))
	spent(spending("a", 11, 1), spending("a", 10, 9))
	want("a", spending("a", 11, 1))
	want("b", spending("b", 10, 1))
	view(t, s, func(r keys.Reader) error {
		n := 0
		for got, err := range r.Spendings(credential.Digest{}) {
			if err != nil {
				return err
			}
			if n++; got.Used != 1 {
				t.Errorf("Spendings: got %+v", got)
			}
		}
		if n != 2 {
			t.Errorf("Spendings: %d of 2", n)
		}
		return nil
	})
	spent(spending("a", 11, 0), spending("c", 1, 0))
	want("a", keys.Spending{})
	want("b", spending("b", 10, 1))
}
