package boltstore

import (
	"errors"
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// After an older backup, a newer one is restored only if it is accepted that
// what was disabled since is not known.
func TestRestoreNewerBackup(t *testing.T) {
	v := newVault(t)
	old := v.backup("old.db")
	v.update(v.change(v.key, func(c *keys.Credential) { c.Scopes = []string{"A", "B", "C"} }))
	var since keys.Credential
	v.update(func(tx *keys.Tx) error {
		since = v.mint(tx, keys.Credential{Kind: policy.PAT, UserID: "carol"})
		return nil
	})
	good := v.backup("good.db")
	var revoked keys.Credential
	v.update(func(tx *keys.Tx) error {
		revoked = v.pat
		return tx.Revoke(v.pat.ID, "leaked")
	})
	v.restore(old)
	if v.standing(since) != keys.Unknown || v.standing(revoked) != keys.Unknown {
		t.Fatal("the old backup was not restored as it should")
	}
	report := v.restoreAccepting(good)
	if v.standing(since) != keys.Active {
		t.Errorf("a key of the newer backup is not there: %+v", report)
	}
	// It was revoked while neither file at hand had it.
	if v.standing(revoked) != keys.Unknown {
		t.Error("a revoked key came back by way of two restores")
	}
}

// Numbers that were given out before the restore are not given out again.
func TestRestoreSequences(t *testing.T) {
	v := newVault(t)
	backup := v.backup("backup.db")
	var since keys.User
	v.update(func(tx *keys.Tx) (err error) {
		_, err = tx.CreateUser(keys.User{ID: "dora"})
		return err
	})
	v.view(func(r keys.Reader) (err error) {
		since, err = r.User("dora")
		return err
	})
	v.restore(backup)
	v.update(func(tx *keys.Tx) error {
		_, err := tx.CreateUser(keys.User{ID: "eve"})
		return err
	})
	v.view(func(r keys.Reader) error {
		u, err := r.User("eve")
		if err != nil || u.Seq <= since.Seq {
			t.Errorf("eve has the number %d, %v; dora had %d", u.Seq, err, since.Seq)
		}
		return nil
	})
}

// The log that is kept is the one that knows more, if the two are one.
func TestRestoreAuditLog(t *testing.T) {
	actions := func(v *vault) (all []string) {
		v.view(func(r keys.Reader) error {
			for e, err := range r.AuditEntries("", 0) {
				if err != nil {
					return err
				}
				all = append(all, e.Action)
			}
			return nil
		})
		return all
	}
	t.Run("goes on", func(t *testing.T) {
		v := newVault(t)
		backup := v.backup("backup.db")
		v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
		want := append(actions(v), keys.ActionStoreRestore)
		if v.restore(backup); !slices.Equal(actions(v), want) {
			t.Errorf("the log is %q, want %q", actions(v), want)
		}
	})
	t.Run("another's", func(t *testing.T) {
		v, other := newVault(t), newVault(t)
		backup := other.backup("backup.db")
		want := append(actions(other), keys.ActionStoreRestore)
		v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
		report := v.restoreAccepting(backup)
		if !slices.Equal(actions(v), want) || len(report.Notices) != 1 {
			t.Errorf("the log is %q, want %q; it says %q", actions(v), want, report.Notices)
		}
	})
	t.Run("altered", func(t *testing.T) {
		v := newVault(t)
		backup := v.backup("backup.db")
		want := append(actions(v), keys.ActionStoreRestore)
		v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
		v.close()
		s := newStore(t, v.path, realFaults())
		_, err := s.Update(t.Context(), func(w keys.Writer) error { return w.DeleteAuditEntry(2) })
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		v.open()
		report := v.restore(backup)
		if !slices.Equal(actions(v), want) || len(report.Notices) != 2 {
			t.Errorf("the log is %q, want %q; it says %q", actions(v), want, report.Notices)
		}
		if v.standing(v.key) != keys.Unknown {
			t.Error("the key came back")
		}
	})
}
