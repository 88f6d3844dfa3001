package boltstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Nothing is restored over a store that isn't what became of the backup: it
// doesn't know what was revoked since.
func TestRestoreOverWhatIsNotItsStore(t *testing.T) {
	revoke := func(v *vault) {
		v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
	}
	otherChange := func(v *vault) {
		v.update(func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "dora"}); return err })
	}
	for name, c := range map[string]struct {
		// replace leaves another store at the path, after a backup that
		// it makes.
		replace func(v *vault) (backup string)
		says    string
	}{
		"lost and made again, empty": {func(v *vault) string {
			backup := v.backup("backup.db")
			revoke(v)
			v.close()
			if err := os.Remove(v.path); err != nil {
				t.Fatal(err)
			}
			v.open()
			return backup
		}, "IDs differ"},
		"a file without a byte, after a start": {func(v *vault) string {
			backup := v.backup("backup.db")
			revoke(v)
			v.close()
			write("")(t, v.path)
			v.open()
			otherChange(v)
			return backup
		}, "IDs differ"},
		"made again, with imported keys": {func(v *vault) string {
			backup, c := v.backup("backup.db"), v.pat
			revoke(v)
			v.close()
			if err := os.Remove(v.path); err != nil {
				t.Fatal(err)
			}
			v.open()
			v.update(func(tx *keys.Tx) error {
				if _, err := tx.CreateUser(keys.User{ID: "bob"}); err != nil {
					return err
				}
				_, err := tx.ImportCredential(keys.ImportSource{}, keys.Credential{Kind: c.Kind, UserID: "bob", ID: c.ID, Digest: c.Digest, Scopes: []string{"A"}})
				return err
			})
			return backup
		}, "IDs differ"},
		"another site's": {func(v *vault) string {
			backup, other := v.backup("backup.db"), newVault(t)
			revoke(v)
			v.close()
			other.close()
			copyFile(t, other.path, v.path)
			v.open()
			return backup
		}, "IDs differ"},
		"an older copy that has run on": {func(v *vault) string {
			v.close()
			copyFile(t, v.path, v.path+".copy")
			v.open()
			backup := v.backup("backup.db")
			revoke(v)
			v.close()
			copyFile(t, v.path+".copy", v.path)
			v.open()
			otherChange(v)
			v.backup("another.db")
			return backup
		}, "no mark of the backup"},
		"an older backup was restored": {func(v *vault) string {
			old := v.backup("old.db")
			otherChange(v)
			backup := v.backup("backup.db")
			revoke(v)
			v.restore(old)
			return backup
		}, "no mark of the backup"},
		"a plain copy for a backup": {func(v *vault) string {
			v.backup("backup.db")
			otherChange(v)
			v.close()
			copyFile(t, v.path, v.path+".copy")
			v.open()
			revoke(v)
			return v.path + ".copy"
		}, "not an unchanged backup of \"store backup\""},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			backup := c.replace(v)
			v.close()
			refusedRestore(t, backup, v.path, false, c.says, "--accept-lost-revocations")
			report, err := Restore(t.Context(), backup, v.path, true)
			if err != nil || report.LostRevocations == "" {
				t.Fatalf("with the flag: %+v, %v", report, err)
			}
		})
	}
}

// A backup made before the marks were has none in any store.
func TestRestoreFormat1OverItsStore(t *testing.T) {
	path, backup := newPath(t), newPath(t)
	writeOld(t, path, 1)
	writeOld(t, backup, 1)
	if err := newStore(t, path, realFaults()).Close(); err != nil {
		t.Fatal(err)
	}
	refusedRestore(t, backup, path, false, "by a version that left no mark", "--accept-lost-revocations")
	if _, err := Restore(t.Context(), backup, path, true); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, path, realFaults())
	wantUpgraded(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// The address that somebody gave up doesn't sign in again, and two who swapped
// theirs keep what they have now.
func TestRestoreKeepsNewerEmails(t *testing.T) {
	v := newVault(t)
	email := func(user, address string) {
		v.update(func(tx *keys.Tx) error {
			_, err := tx.ChangeUser(user, func(u *keys.User) error { u.Email = address; return nil })
			return err
		})
	}
	email("bob", "bob@example.com")
	email("carol", "carol@example.com")
	backup := v.backup("backup.db")
	email("carol", "")
	email("alice", "tmp@example.com")
	email("bob", "alice@example.com")
	email("alice", "bob@example.com")
	v.update(func(tx *keys.Tx) error {
		_, err := tx.CreateUser(keys.User{ID: "dora", Email: "carol@example.com"})
		return err
	})
	report := v.restore(backup)
	if report.UsersChanged != 3 || len(report.Notices) > 0 {
		t.Errorf("it says %+v", report)
	}
	v.view(func(r keys.Reader) error {
		for user, want := range map[string]string{"alice": "bob@example.com", "bob": "alice@example.com", "carol": ""} {
			if u, err := r.User(user); err != nil || u.Email != want {
				t.Errorf("%s has %q, %v; want %q", user, u.Email, err, want)
			}
		}
		if u, err := r.UserByEmail("carol@example.com"); !errors.Is(err, keys.ErrNotFound) {
			t.Errorf("the old address is that of %q, %v", u.ID, err)
		}
		return nil
	})
}

// Another site's users are other people: of its store only what it says of
// credentials counts.
func TestRestoreTakesNoStrangersPassword(t *testing.T) {
	v, other := newVault(t), newVault(t)
	backup := v.backup("backup.db")
	other.update(func(tx *keys.Tx) error {
		if err := tx.DeleteUser("carol"); err != nil {
			return err
		}
		_, err := tx.ChangeUser("alice", func(u *keys.User) error {
			u.PasswordHash, u.Email = "$argon2id$theirs", "mallory@example.com"
			return nil
		})
		return err
	})
	v.close()
	other.close()
	copyFile(t, other.path, v.path)
	v.open()
	v.restoreAccepting(backup)
	v.view(func(r keys.Reader) error {
		if u, err := r.User("alice"); err != nil || u.PasswordHash != "$argon2id$old" || u.Email != "alice@example.com" {
			t.Errorf("alice is %+v, %v", u, err)
		}
		_, err := r.User("carol")
		if err != nil {
			t.Error(err)
		}
		return nil
	})
	if v.standing(v.key) != keys.Active {
		t.Error("the key is not good")
	}
}

// A copy of a store that can't be written to is made all the same, and is true
// if the store doesn't know of it.
func TestBackupWithoutAMark(t *testing.T) {
	v := newVault(t)
	v.close()
	broken := false
	s, err := open(v.path, nil, faults{openFile: os.OpenFile, commit: func(db *bolt.DB, fn func(*bolt.Tx) error) error {
		if broken {
			broken = false
			return rollsBack(db, fn)
		}
		return db.Update(fn)
	}})
	if err != nil {
		t.Fatal(err)
	}
	marked, unmarked := filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "b.db")
	broken = true
	b, err := s.Backup(t.Context(), unmarked)
	if err != nil || b.Marked {
		t.Errorf("of a store that fails: %+v, %v", b, err)
	}
	s.recovering.Wait()
	if b, err = s.Backup(t.Context(), marked); err != nil || !b.Marked {
		t.Errorf("%+v, %v", b, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refusedRestore(t, unmarked, v.path, false, "not an unchanged backup", "--accept-lost-revocations")
	if _, err := Restore(t.Context(), marked, v.path, false); err != nil {
		t.Error(err)
	}
}

// The mark is in the store before the backup is answered, and a check looks at
// the ID and the marks.
func TestCheckOfMarks(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(tx *bolt.Tx) error
		damage bool
	}{
		"no ID": {func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("store_id")) }, true},
		"a short ID": {func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("store_id"), sealed(map[int]any{1: []byte("short")}))
		}, true},
		"a mark": {func(tx *bolt.Tx) error { return tx.Bucket([]byte("backup_marks")).Put(place("", 1), []byte("x")) }, true},
		"another log's mark": {func(tx *bolt.Tx) error {
			mark := map[int]any{1: 1, 2: make([]byte, 16), 3: nil, 4: 1, 5: make([]byte, 32)}
			return tx.Bucket([]byte("backup_marks")).Put(place("", 1), sealed(mark))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			backup := v.backup("backup.db")
			for _, path := range []string{backup, v.path} {
				if path == v.path {
					v.close()
				}
				if found, err := Examine(t.Context(), path); err != nil || !found.Marked || len(found.Findings) > 0 {
					t.Errorf("%s: %+v, %v", path, found, err)
				}
			}
			s := newStore(t, v.path, realFaults())
			if err := errors.Join(s.state.Load().db.Update(c.spoil), s.Close()); err != nil {
				t.Fatal(err)
			}
			found, err := Examine(t.Context(), v.path)
			if err != nil || len(found.Findings) != 1 || found.Findings[0].Damage != c.damage {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}
