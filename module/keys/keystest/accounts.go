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

// auditEntry is an entry, and the head of a log that ends with it.
func auditEntry(seq uint64, userID string, previous credential.Digest) (keys.AuditEntry, keys.AuditHead) {
	e := keys.AuditEntry{
		Seq: seq, At: at(int(seq % 60)), ActorID: "cap_1", ActorUserID: "v", Address: "192.0.2.1", Action: keys.ActionKeyRevoke,
		Subject: keys.Subject{UserID: userID, AppID: "a", KeyID: "cak_1", CollaboratorID: "w"},
		Before:  []byte(`{"x":1}`), After: []byte(`{"x":2}`), Previous: previous, Hash: credential.DigestOf(string(rune(seq))),
	}
	return e, keys.AuditHead{First: 1, Last: seq, Hash: e.Hash}
}

func testAudit(t *testing.T, s keys.Store) {
	const many = 300 // past one byte of a seq
	var all []keys.AuditEntry
	var records []any
	var previous credential.Digest
	for seq := uint64(1); seq <= many; seq++ {
		e, head := auditEntry(seq, []string{"u", "uu", ""}[seq%3], previous)
		records = append(records, e, head)
		previous, all = e.Hash, append(all, e)
	}
	put(t, s, records...)
	of := func(r keys.Reader, userID string, after uint64) {
		t.Helper()
		var want []string
		for _, e := range all {
			if e.Seq > after && (userID == "" || e.UserID == userID) {
				want = append(want, nameOf(e))
			}
		}
		wantIDs(t, "entries of "+userID, r.AuditEntries(userID, after), want...)
		var before []string
		for _, e := range slices.Backward(all) {
			if (e.Seq < after || after == 0) && (userID == "" || e.UserID == userID) {
				before = append(before, nameOf(e))
			}
		}
		wantIDs(t, "entries back of "+userID, r.AuditEntriesBack(userID, after), before...)
	}
	view(t, s, func(r keys.Reader) error {
		for _, userID := range []string{"", "u", "uu"} {
			of(r, userID, 0)
			of(r, userID, 1)
			of(r, userID, 255)
			of(r, userID, many)
		}
		wantIDs(t, "entries of nobody", r.AuditEntries("v", 0))
		for e, err := range r.AuditEntries("", 6) {
			found(t, e, err, all[6])
			break
		}
		if head, err := r.AuditHead(); err != nil || head != (keys.AuditHead{First: 1, Last: many, Hash: all[many-1].Hash}) {
			t.Errorf("got %+v, %v", head, err)
		}
		return nil
	})
	// The oldest go, from every list, and the head says so.
	head := keys.AuditHead{First: 101, Anchor: all[99].Hash, Last: many, Hash: all[many-1].Hash}
	for done := false; !done; {
		update(t, s, func(w keys.Writer) error {
			done = false
			left := s.MaxWrites()
			for e, err := range w.AuditEntries("", 0) {
				if err != nil {
					return err
				}
				if done = e.Seq == head.First; done || left == 0 {
					break
				}
				if err := w.DeleteAuditEntry(e.Seq); err != nil {
					return err
				}
				left--
			}
			return nil
		})
	}
	update(t, s, func(w keys.Writer) error { return errors.Join(w.DeleteAuditEntry(7), w.PutAuditHead(head)) })
	all = all[100:]
	view(t, s, func(r keys.Reader) error {
		for _, userID := range []string{"", "u", "uu"} {
			of(r, userID, 0)
			of(r, userID, 1)
		}
		if got, err := r.AuditHead(); err != nil || got != head {
			t.Errorf("got %+v, %v", got, err)
		}
		return nil
	})
}
