package boltstore

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// writeOld writes a file of an older format. The last version of formats 1 and 2
// made it through a directory, and nothing has changed it since. That of a later
// format is the one of the format before, upgraded by the last version of it.
//
// alice has a session, the token A of the operator, B and the app key D made
// with A, C made with B, and the collaborator bob; B is revoked, and the user
// carol deleted. In format 2 two more of alice's apps, their collaborators and a
// token E are gone too, so that every sequence is ahead of what is there; then
// two backups were made.
func writeOld(t *testing.T, path string, format int) []byte {
	t.Helper()
	packed, err := os.Open(fmt.Sprintf("testdata/format-%d.db.gz", format))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ids are those of a list.
func ids[T any](t *testing.T, list iter.Seq2[T, error], id func(T) string) (all []string) {
	t.Helper()
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id(v))
	}
	slices.Sort(all)
	return all
}

func idOfCredential(c keys.Credential) string { return c.ID }

// wantUpgraded checks that what format 1 did not index is found.
func wantUpgraded(t *testing.T, s *Store, sessions ...string) {
	t.Helper()
	err := s.View(t.Context(), func(r keys.Reader) error {
		for what, c := range map[string]struct{ got, want []string }{
			"sessions":        {ids(t, r.Sessions("alice", 0), idOfCredential), sessions},
			"made with A":     {ids(t, r.CredentialsMade("alice", "cap_00000000000A", 0), idOfCredential), []string{"cak_00000000000D"}},
			"made with B":     {ids(t, r.CredentialsMade("alice", "cap_00000000000B", 0), idOfCredential), []string{"cap_00000000000C"}},
			"bob's with A":    {ids(t, r.CredentialsMade("bob", "cap_00000000000A", 0), idOfCredential), nil},
			"revoked, with A": {ids(t, r.TombstonesMade("alice", "cap_00000000000A"), func(s keys.Tombstone) string { return s.ID }), []string{"cap_00000000000B"}},
		} {
			if !slices.Equal(c.got, c.want) {
				t.Errorf("%s: got %q, want %q", what, c.got, c.want)
			}
		}
		if got, err := r.Totals("alice"); err != nil || got != (keys.Totals{Keys: 3, Apps: 1}) {
			t.Errorf("Totals: got %+v, %v", got, err)
		}
		if got, err := r.Totals("bob"); err != nil || got != (keys.Totals{}) {
			t.Errorf("Totals of bob: got %+v, %v", got, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Examine(t.Context())
	if err != nil || len(found.Findings) > 0 {
		t.Errorf("Examine: %+v, %v", found.Findings, err)
	}
}

func formatOfFile(t *testing.T, path string) (version int) {
	t.Helper()
	db, err := openToRead(t.Context(), path, os.OpenFile)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) (err error) {
		version, err = records.FormatOf(newRevision(tx))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// keptOf is where an upgrade keeps a copy of the file.
func keptOf(path string, format int) string { return fmt.Sprintf("%s.format-%d", path, format) }

// eachOld runs a test with every older format.
func eachOld(t *testing.T, test func(t *testing.T, format int)) {
	for format := 1; format < records.Format; format++ {
		t.Run(fmt.Sprint("format ", format), func(t *testing.T) { test(t, format) })
	}
}

// A file of an older version is checked as it is, and upgraded when it is
// opened. A copy of the old file is kept next to it.
func TestUpgrade(t *testing.T) {
	eachOld(t, func(t *testing.T, format int) {
		path := newPath(t)
		writeOld(t, path, format)
		if found, err := Examine(t.Context(), path); err != nil || len(found.Findings) > 0 || found.Records == 0 {
			t.Fatalf("a check before: %+v, %v", found, err)
		}
		if got := formatOfFile(t, path); got != format {
			t.Fatalf("a check made it format %d", got)
		}
		for _, when := range []string{"first", "second"} {
			s, err := Open(path)
			if err != nil {
				t.Fatalf("the %s time: %v", when, err)
			}
			wantUpgraded(t, s, "cas_000000000001")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		kept := fmt.Sprint("keys.db.format-", format)
		if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"keys.db", kept}) {
			t.Errorf("the folder has %q", got)
		}
		kept = filepath.Join(filepath.Dir(path), kept)
		if old, now := formatOfFile(t, kept), formatOfFile(t, path); old != format || now != records.Format {
			t.Errorf("the copy has format %d, the file %d", old, now)
		}
		info, err := os.Stat(kept)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the copy: %v, %v", info.Mode(), err)
		}
	})
}

// No number that was given before the upgrade is given again, not even one
// whose record is gone.
func TestUpgradeKeepsSequences(t *testing.T) {
	path := newPath(t)
	writeOld(t, path, 2)
	s := newStore(t, path, realFaults())
	app := keys.AppRef{OwnerID: "alice", AppID: "new"}
	guest := keys.CollaboratorRef{AppRef: app, UserID: "bob"}
	_, err := s.Update(t.Context(), func(w keys.Writer) error {
		for _, put := range []error{
			w.PutUser(keys.User{ID: "dora"}), w.PutApp(keys.App{AppRef: app}),
			w.PutCredential(newCredential("new", "cap_new")), w.PutCollaborator(keys.Collaborator{CollaboratorRef: guest}),
		} {
			if put != nil {
				return put
			}
		}
		u, err1 := w.User("dora")
		a, err2 := w.App(app)
		k, err3 := w.CredentialByID("cap_new")
		c, err4 := w.Collaborator(guest)
		for _, err := range []error{err1, err2, err3, err4} {
			if err != nil {
				return err
			}
		}
		if got, want := [...]uint64{u.Seq, a.Seq, k.Seq, c.Seq}, [...]uint64{4, 4, 7, 4}; got != want {
			t.Errorf("the numbers of a user, an app, a key and a collaborator: got %v, want %v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "backup.db"))
	if err != nil || !b.Marked || len(b.Findings) != 1 { // the key of no user
		t.Errorf("a backup afterwards: %+v, %v", b, err)
	}
	err = s.state.Load().db.View(func(tx *bolt.Tx) error {
		if newest, _ := tx.Bucket([]byte("backup_marks")).Cursor().Last(); !bytes.Equal(newest, place("", 3)) {
			t.Errorf("the newest mark is %x", newest)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// If no copy can be kept, the file stays as it is.
func TestUpgradeWithoutRoomForACopy(t *testing.T) {
	eachOld(t, func(t *testing.T, format int) {
		path := newPath(t)
		before := writeOld(t, path, format)
		if err := os.Mkdir(fmt.Sprintf("%s.format-%d", path, format), 0o700); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(path); err == nil {
			_ = s.Close()
			t.Fatal("it was opened")
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("the file was changed (%v)", err)
		}
	})
}

// A backup of an older version can be restored.
func TestRestoreOldFormat(t *testing.T) {
	eachOld(t, func(t *testing.T, format int) {
		path, backup := newPath(t), newPath(t)
		writeOld(t, backup, format)
		if _, err := Restore(t.Context(), backup, path, true); err != nil {
			t.Fatal(err)
		}
		s := newStore(t, path, realFaults())
		defer s.Close()
		wantUpgraded(t, s)
		if got := formatOfFile(t, backup); got != format {
			t.Errorf("the backup has format %d now", got)
		}
	})
}

// A store that was upgraded is still what became of a backup from before: what
// was revoked since stays revoked.
func TestRestoreFromBeforeTheUpgrade(t *testing.T) {
	path, backup := newPath(t), newPath(t)
	writeOld(t, path, 2)
	writeOld(t, backup, 2)
	v := &vault{t: t, path: path}
	v.open()
	v.update(func(tx *keys.Tx) error { return tx.Revoke("cak_00000000000D", "leaked") })
	v.close()
	report, err := Restore(t.Context(), backup, path, false)
	if err != nil || report.LostRevocations != "" || report.KeysRevoked != 1 {
		t.Fatalf("got %+v, %v", report, err)
	}
	s := newStore(t, path, realFaults())
	err = s.View(t.Context(), func(r keys.Reader) error {
		if got := ids(t, r.Credentials("alice", 0), idOfCredential); !slices.Equal(got, []string{"cap_00000000000A", "cap_00000000000C"}) {
			t.Errorf("alice has %q", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
