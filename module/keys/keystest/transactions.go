package keystest

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

var errFn = errors.New("fn failed")

func testReadsOwnWrites(t *testing.T, s keys.Store) {
	update(t, s, func(w keys.Writer) error {
		if err := putAll(w, user("1"), user("2"), appKey("cak_1", "1", "a")); err != nil {
			return err
		}
		wantIDs(t, "Users", w.Users(0), "1", "2")
		if err := w.DeleteUser("1"); err != nil {
			return err
		}
		wantIDs(t, "Users, one deleted", w.Users(0), "2")
		wantIDs(t, "AppCredentials", w.AppCredentials(keys.AppRef{OwnerID: "1", AppID: "a"}, 0), "cak_1")
		_, err := w.CredentialByID("cak_1")
		return err
	})
}

// A decision that reads twice must not read of two moments.
func testOneMoment(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "before", r.Users(0), "1")
		done := make(chan error)
		go func() {
			_, err := s.Update(t.Context(), func(w keys.Writer) error {
				w.Touch(at(1))
				return putAll(w, user("2"), token("cap_2", "2"))
			})
			done <- err
		}()
		if err := <-done; err != nil {
			return err
		}
		wantIDs(t, "Users, after a write", r.Users(0), "1")
		c, err := r.CredentialByID("cap_2")
		wantNotFound(t, "what was written since", c, err)
		if last, err := r.LastWrite(); err != nil || !last.IsZero() {
			t.Errorf("LastWrite: got %v, %v", last, err)
		}
		return nil
	})
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "in the next View", r.Users(0), "1", "2")
		return nil
	})
}

// half changes a bit of everything.
func half(w keys.Writer) error {
	w.Touch(at(9), credential.DigestOf("x"))
	if err := w.RetireUser("1"); err != nil {
		return err
	}
	if err := w.DeleteUser("1"); err != nil {
		return err
	}
	two := user("2")
	two.Email = "two@example.com"
	entry, head := auditEntry(1, "2", credential.Digest{})
	err := putAll(w, two, app("2", "a"), token("cap_2", "2"), collaborator("2", "a", "1"),
		keys.Tombstone{Digest: credential.DigestOf("x"), ID: "x"}, entry, head)
	if err != nil {
		return err
	}
	return w.PutLastUsed(credential.DigestOf("cap_2"), keys.Usage{At: at(1)})
}

// wantUntouched wants nothing of half to be there, and the store to work.
func wantUntouched(t *testing.T, s keys.Store) {
	t.Helper()
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Users", r.Users(0), "1")
		wantIDs(t, "Apps", r.Apps("2", 0))
		wantIDs(t, "Credentials", r.Credentials("2", 0))
		wantIDs(t, "Collaborations", r.Collaborations("1", 0))
		d, err := r.Tombstone(credential.DigestOf("x"))
		wantNotFound(t, "Tombstone", d, err)
		if retired, err := r.UserRetired("1"); err != nil || retired {
			t.Errorf("UserRetired: got %v, %v", retired, err)
		}
		u, err := r.UserByEmail("two@example.com")
		wantNotFound(t, "UserByEmail", u, err)
		l, err := r.LastUsed(credential.DigestOf("cap_2"))
		wantNotFound(t, "LastUsed", l, err)
		for d, err := range r.Tombstones() {
			t.Errorf("there is the tombstone %+v, %v", d, err)
		}
		for id, err := range r.RetiredUsers() {
			t.Errorf("there is the retired user %s, %v", id, err)
		}
		wantIDs(t, "AuditEntries", r.AuditEntries("", 0))
		wantIDs(t, "AuditEntries of a user", r.AuditEntries("2", 0))
		if head, err := r.AuditHead(); err != nil || head != (keys.AuditHead{}) {
			t.Errorf("AuditHead: got %+v, %v", head, err)
		}
		if last, err := r.LastWrite(); err != nil || !last.IsZero() {
			t.Errorf("LastWrite: got %v, %v", last, err)
		}
		return nil
	})
	put(t, s, user("3"))
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Users, after the next write", r.Users(0), "1", "3")
		return nil
	})
}

func testRollbackOnError(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	_, err := s.Update(t.Context(), func(w keys.Writer) error {
		if err := half(w); err != nil {
			return err
		}
		return errFn
	})
	if !errors.Is(err, errFn) || errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("got %v, want fn's error", err)
	}
	wantUntouched(t, s)
}

func testRollbackOnPanic(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	wantPanic(t, func() {
		_, _ = s.Update(t.Context(), func(w keys.Writer) error {
			if err := half(w); err != nil {
				t.Error(err)
			}
			panic(errFn)
		})
	})
	wantUntouched(t, s)
}

func testPanicInView(t *testing.T, s keys.Store) {
	wantPanic(t, func() {
		_ = s.View(t.Context(), func(keys.Reader) error { panic(errFn) })
	})
	put(t, s, user("1"))
	if err := s.Close(); err != nil { // it would wait for a View that has not ended
		t.Errorf("Close: %v", err)
	}
}

func wantPanic(t *testing.T, fn func()) {
	t.Helper()
	defer func() {
		if r := recover(); r != errFn {
			t.Errorf("got the panic %v, want that of fn", r)
		}
	}()
	fn()
}

func testViewReturnsError(t *testing.T, s keys.Store) {
	if err := s.View(t.Context(), func(keys.Reader) error { return errFn }); !errors.Is(err, errFn) {
		t.Errorf("got %v, want fn's error", err)
	}
}

// A caller that has gone starts nothing.
func testCancelled(t *testing.T, s keys.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.View(ctx, func(keys.Reader) error {
		t.Error("View ran fn")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("View: got %v", err)
	}
	_, err = s.Update(ctx, func(keys.Writer) error {
		t.Error("Update ran fn")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update: got %v", err)
	}
	if err := s.Used(ctx, []keys.Use{{Digest: credential.DigestOf("x")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Used: got %v", err)
	}
	if err := s.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready: got %v", err)
	}
}
