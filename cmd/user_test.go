package cmd

import (
	"strings"
	"testing"
)

// A change of a user leaves the fields alone of which there is no flag.
func TestUserUpdate(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice", "--name", "Alice", "--email", "alice@example.com")
		contains(t, s.must("", "user", "update", "alice", "--suspended"), "Changed user alice")
		contains(t, s.must("", "user", "show", "alice"), "alice@example.com", "Suspended", "yes", "Operator", "no")
		s.must("", "user", "update", "alice", "--suspended=false", "--operator", "--email", "a@example.com")
		u := s.answer("", "user", "show", "alice").User
		if u.Name != "Alice" || u.Email != "a@example.com" || u.Suspended || !u.Operator {
			t.Errorf("it is %+v", u)
		}
		s.must("", "user", "update", "alice", "--operator=false", "--name", "")
		if u := s.answer("", "user", "show", "alice").User; u.Name != "" || u.Operator {
			t.Errorf("it is %+v", u)
		}
		s.must("long enough for 2026 and later\n", "user", "update", "alice", "--password-file", "-")
		for name, args := range map[string][]string{
			"nothing to change": {"user", "update", "alice"}, "an unknown user": {"user", "update", "nobody", "--operator"},
			"no e-mail address": {"user", "update", "alice", "--email", "alice"}, "an unknown one shown": {"user", "show", "nobody"},
		} {
			if r := s.run("", args...); r.err == nil {
				t.Errorf("%s: %s", name, r.out)
			}
		}
		if r := s.run("", "user", "update", "alice", "--email", "alice"); r.err == nil || !strings.Contains(r.err.Error(), "--email") {
			t.Errorf("ended with %v", r.err)
		}
	})
}

// The link is printed on standard output: with the portal's address if it is known,
// and its path otherwise.
func TestUserResetLink(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice", "--email", "alice@example.com")
		link := s.answer("", "user", "reset-link", "alice", "--url", "https://keys.example.com/portal").ResetLink
		if link.URL != "https://keys.example.com/portal/reset#"+link.Code || !strings.HasPrefix(link.Code, "alice.") || len(link.Code) != len("alice.")+26 {
			t.Errorf("the link is %+v", link)
		}
		contains(t, s.must("", "user", "reset-link", "alice"), "\n    /reset#alice.", "\n    alice.", "--url")
		contains(t, s.must("", "user", "reset-link", "alice", "--url", "https://keys.example.com/portal"), "\n    https://keys.example.com/portal/reset#alice.")
		for name, args := range map[string][]string{
			"alice: ": {"user", "reset-link", "nobody"}, "--url: ": {"user", "reset-link", "alice", "--url", "keys.example.com"},
		} {
			if r := s.run("", args...); r.err == nil || !strings.HasPrefix(r.err.Error(), strings.Replace(name, "alice", "nobody", 1)) {
				t.Errorf("%v ended with %v", args, r.err)
			}
		}
	})
}
