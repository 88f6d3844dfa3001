package keystest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// Whatever writes a record counts, and nothing else does.
func testMaxWrites(t *testing.T, s keys.Store) {
	most := s.MaxWrites()
	if most < keys.MinWrites {
		t.Fatalf("it is %d, and has to be %d or more", most, keys.MinWrites)
	}
	fill := func(w keys.Writer, n int) error {
		for range n {
			if err := w.RetireUser("gone"); err != nil {
				return err
			}
		}
		return nil
	}
	for name, write := range eachWrite() {
		update(t, s, func(w keys.Writer) error {
			if before, err := w.Left(), write(w); err != nil || w.Left() != before-1 {
				t.Errorf("%s: of %d writes %d are left, %v", name, before, w.Left(), err)
			}
			return nil
		})
		told := errors.New("none")
		got, err := s.Update(t.Context(), func(w keys.Writer) error {
			if w.Left() != most {
				t.Errorf("%d writes are left at the beginning, want %d", w.Left(), most)
			}
			if err := fill(w, most); err != nil {
				return fmt.Errorf("within the bound: %w", err)
			}
			told = write(w)
			return nil // passed over
		})
		if !errors.Is(told, keys.ErrTooManyWrites) || !errors.Is(err, keys.ErrTooManyWrites) || got != (keys.Commit{}) {
			t.Errorf("%s beyond the bound: it returned %v, and Update %+v, %v", name, told, got, err)
		}
	}
	wantGone := func(want bool) {
		t.Helper()
		view(t, s, func(r keys.Reader) error {
			if gone, err := r.UserRetired("gone"); err != nil || gone != want {
				t.Errorf("UserRetired: got %v, %v; want %v", gone, err, want)
			}
			return nil
		})
	}
	wantGone(false)
	update(t, s, func(w keys.Writer) error {
		w.Touch(at(1), credential.DigestOf("x"))
		w.TouchGroups(credential.DigestOf("y"))
		w.ResetClock(at(2))
		return fill(w, w.Left())
	})
	wantGone(true)
}

// eachWrite calls each method of a Writer that writes a record.
func eachWrite() map[string]func(keys.Writer) error {
	entry, head := auditEntry(1, "u", credential.Digest{})
	ref := keys.AppRef{OwnerID: "u", AppID: "a"}
	return map[string]func(keys.Writer) error{
		"RetireUser":         func(w keys.Writer) error { return w.RetireUser("x") },
		"PutUser":            func(w keys.Writer) error { return w.PutUser(user("u")) },
		"DeleteUser":         func(w keys.Writer) error { return w.DeleteUser("u") },
		"PutApp":             func(w keys.Writer) error { return w.PutApp(app("u", "a")) },
		"DeleteApp":          func(w keys.Writer) error { return w.DeleteApp(ref) },
		"PutCredential":      func(w keys.Writer) error { return w.PutCredential(token("cap_1", "u")) },
		"DeleteCredential":   func(w keys.Writer) error { return w.DeleteCredential(credential.DigestOf("cap_1")) },
		"PutLastUsed":        func(w keys.Writer) error { return w.PutLastUsed(credential.DigestOf("cap_1"), SomeUsage) },
		"PutCollaborator":    func(w keys.Writer) error { return w.PutCollaborator(SomeCollaborator) },
		"DeleteCollaborator": func(w keys.Writer) error { return w.DeleteCollaborator(SomeCollaborator.CollaboratorRef) },
		"PutDeletion":        func(w keys.Writer) error { return w.PutDeletion(keys.Deletion{AppRef: ref, At: at(1)}) },
		"DeleteDeletion":     func(w keys.Writer) error { return w.DeleteDeletion(ref) },
		"PutTombstone":       func(w keys.Writer) error { return w.PutTombstone(SomeTombstone) },
		"PutAuditEntry":      func(w keys.Writer) error { return w.PutAuditEntry(entry) },
		"DeleteAuditEntry":   func(w keys.Writer) error { return w.DeleteAuditEntry(1) },
		"PutAuditHead":       func(w keys.Writer) error { return w.PutAuditHead(head) },
	}
}
