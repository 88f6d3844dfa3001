package cmd

import (
	"strings"
	"testing"
)

// Keys are listed by their state, revoked ones too.
func TestKeyListFilters(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		create := func(description string) string {
			return s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "Predict", "--description", description).Keys[0].KeyID
		}
		kept, off, gone := create("kept"), create("off"), create("gone")
		s.must("", "key", "disable", off)
		s.must("", "key", "revoke", gone)
		for state, want := range map[string]string{"active": kept, "disabled": off, "revoked": gone} {
			contains(t, s.must("", "key", "list", "--user", "alice", "--state", state), want, state)
			if list := s.answer("", "key", "list", "--user", "alice", "--state", state).Keys; len(list) != 1 || list[0].ID != want {
				t.Errorf("%s are %+v", state, list)
			}
		}
		if list := s.answer("", "key", "list", "--user", "alice", "--unused-for", "90d").Keys; len(list) != 0 {
			t.Errorf("unused for 90 days are %+v", list)
		}
		if r := s.run("", "key", "list", "--user", "alice", "--state", "good"); r.err == nil || !strings.Contains(r.err.Error(), "--state: it has to be one of active, disabled") {
			t.Errorf("an unknown state: %v", r.err)
		}
	})
}
