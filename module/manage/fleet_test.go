package manage_test

import (
	"strings"
	"testing"
)

// A store that belongs to one process has no fleet, and says what would have one.
func TestNoFleet(t *testing.T) {
	s, _ := storeService(t)
	for _, call := range [][2]string{{"GET", "/fleet/nodes"}, {"POST", "/fleet/reconcile"}} {
		a := s.call(call[0], call[1], "")
		if a.http != 400 || !strings.Contains(a.Status.Details, "several share one with the store etcd") {
			t.Errorf("%s answers %d: %s", call[1], a.http, a.Status.Details)
		}
	}
}

func TestWaitIsUnambiguous(t *testing.T) {
	s, _ := storeService(t)
	for query, want := range map[string]int{"": 200, "?wait=true": 200, "?wait=false": 200, "?wait=no": 400, "?wait": 400, "?wait=true&wait=false": 400} {
		if a := s.call("POST", "/store/clock"+query, ""); a.http != want {
			t.Errorf("%q answers %d: %s", query, a.http, a.body)
		}
	}
}
