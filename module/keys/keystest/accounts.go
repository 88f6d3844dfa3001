package keystest

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// gather reads a list that has no order, and puts it into one.
func gather[R any](t *testing.T, list iter.Seq2[R, error], name func(R) string) []string {
	t.Helper()
	names := []string{}
	for r, err := range list {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		names = append(names, name(r))
	}
	slices.Sort(names)
	return names
}

func testRetiredUsers(t *testing.T, s keys.Store) {
	update(t, s, func(w keys.Writer) error {
		return errors.Join(w.RetireUser("b"), w.RetireUser("a"), w.RetireUser("b"), w.PutUser(user("c")))
	})
	view(t, s, func(r keys.Reader) error {
		got := gather(t, r.RetiredUsers(), func(id string) string { return id })
		if !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("got %q", got)
		}
		for id, err := range r.RetiredUsers() {
			if err != nil || id == "" {
				t.Errorf("got %q, %v", id, err)
			}
			break
		}
		return nil
	})
}

func withEmail(id, email string) keys.User {
	u := user(id)
	u.Email = email
	return u
}

// An address finds its user in whatever case it is written, as long as it is
// the user's.
func testEmails(t *testing.T, s keys.Store) {
	byEmail := func(email, want string) {
		t.Helper()
		view(t, s, func(r keys.Reader) error {
			u, err := r.UserByEmail(email)
			if want == "" {
				wantNotFound(t, email, u, err)
			} else if err != nil || u.ID != want {
				t.Errorf("%s: got %q, %v; want %s", email, u.ID, err, want)
			}
			return nil
		})
	}
	byEmail("a@example.com", "")
	put(t, s, withEmail("u", "Ada@Example.com"), user("v"), user("w"))
	byEmail("Ada@Example.com", "u")
	byEmail("ada@example.COM", "u")
	byEmail("da@example.com", "")
	byEmail("", "") // those who have none share none

	// It goes along with a change, and is free afterwards.
	put(t, s, withEmail("u", "ada@example.org"), withEmail("v", "ada@example.com"))
	byEmail("ADA@example.org", "u")
	byEmail("ada@example.com", "v")
	// Another case of one's own is no one else's.
	put(t, s, withEmail("u", "ADA@EXAMPLE.ORG"))
	byEmail("ada@example.org", "u")
	put(t, s, user("u"))
	byEmail("ada@example.org", "")
	update(t, s, func(w keys.Writer) error { return w.DeleteUser("v") })
	byEmail("ada@example.com", "")
	put(t, s, withEmail("w", "ada@example.com"))
	byEmail("ada@example.com", "w")
}

// Two users with one address would be one who signs in as the other.
func testEmailTaken(t *testing.T, s keys.Store) {
	put(t, s, withEmail("u", "ada@example.com"), user("v"))
	for name, write := range map[string]func(keys.Writer) error{
		"a new user":   func(w keys.Writer) error { return w.PutUser(withEmail("x", "ADA@example.com")) },
		"another user": func(w keys.Writer) error { return w.PutUser(withEmail("v", "Ada@Example.Com")) },
	} {
		var put error
		_, err := s.Update(t.Context(), func(w keys.Writer) error {
			put = write(w)
			return nil // passed over
		})
		if !errors.Is(put, keys.ErrExists) || !errors.Is(err, keys.ErrExists) {
			t.Errorf("%s: the Put: %v; Update: %v; want ErrExists", name, put, err)
		}
	}
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Users", r.Users(0), "u", "v")
		if u, err := r.UserByEmail("ada@example.com"); err != nil || u.ID != "u" {
			t.Errorf("got %q, %v", u.ID, err)
		}
		if v, err := r.User("v"); err != nil || v.Email != "" {
			t.Errorf("got %+v, %v", v, err)
		}
		return nil
	})
}

func testLastUsed(t *testing.T, s keys.Store) {
	c := token("cap_1", "u")
	lastUsed := func(want keys.Usage) {
		t.Helper()
		view(t, s, func(r keys.Reader) error {
			got, err := r.LastUsed(c.Digest)
			if want == (keys.Usage{}) {
				wantNotFound(t, "LastUsed", got, err)
			} else if err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
			return nil
		})
	}
	use := func(u keys.Usage) {
		update(t, s, func(w keys.Writer) error { return w.PutLastUsed(c.Digest, u) })
	}
	put(t, s, c, token("cap_2", "u"))
	lastUsed(keys.Usage{})
	first, second := keys.Usage{At: at(1), Address: "192.0.2.1"}, keys.Usage{At: at(2)}
	use(first)
	lastUsed(first)
	use(second)
	lastUsed(second)
	// A change of the credential is no use of it.
	c.Disabled = true
	put(t, s, c)
	lastUsed(second)
	// One that takes its place has never been used.
	update(t, s, func(w keys.Writer) error { return w.DeleteCredential(c.Digest) })
	lastUsed(keys.Usage{})
	put(t, s, c)
	lastUsed(keys.Usage{})
}

func testTombstones(t *testing.T, s keys.Store) {
	want := []string{}
	for _, id := range []string{"c", "a", "b"} {
		put(t, s, keys.Tombstone{Digest: credential.DigestOf(id), ID: id, UserID: "u", CreatedBy: "cap_1", At: at(1), Reason: "leaked"})
		want = append(want, id)
	}
	slices.Sort(want)
	view(t, s, func(r keys.Reader) error {
		got := gather(t, r.Tombstones(), func(d keys.Tombstone) string {
			if d.Digest != credential.DigestOf(d.ID) || d.UserID != "u" || d.CreatedBy != "cap_1" || !d.At.Equal(at(1)) || d.Reason != "leaked" {
				t.Errorf("got %+v", d)
			}
			return d.ID
		})
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}
