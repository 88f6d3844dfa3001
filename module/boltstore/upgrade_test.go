package boltstore

import (
	"bytes"
	"compress/gzip"
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

// writeFormat1 writes a file of format 1 as the version before wrote it. alice
// has a session, the token A of the operator, B and the app key D made with A,
// C made with B, and the collaborator bob; B is revoked, and the user carol
// deleted.
func writeFormat1(t *testing.T, path string) []byte {
	t.Helper()
	packed, err := os.Open("testdata/format-1.db.gz")
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
	if err := db.View(func(tx *bolt.Tx) (err error) { version, err = records.FormatOf(newRevision(tx)); return err }); err != nil {
		t.Fatal(err)
	}
	return version
}

// A file of the version before is checked as it is, upgraded when it is
// opened, and kept as it was beside that.
func TestUpgrade(t *testing.T) {
	path := newPath(t)
	writeFormat1(t, path)
	if found, err := Examine(t.Context(), path); err != nil || len(found.Findings) > 0 || found.Records == 0 {
		t.Fatalf("a check before: %+v, %v", found, err)
	}
	if got := formatOfFile(t, path); got != 1 {
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
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"keys.db", "keys.db.format-1"}) {
		t.Errorf("the folder has %q", got)
	}
	if old, now := formatOfFile(t, path+".format-1"), formatOfFile(t, path); old != 1 || now != records.Format {
		t.Errorf("the copy has format %d, the file %d", old, now)
	}
	info, err := os.Stat(path + ".format-1")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info.Mode(), err)
	}
}

// Where no copy can be kept, the file stays as it is.
func TestUpgradeWithoutRoomForACopy(t *testing.T) {
	path := newPath(t)
	before := writeFormat1(t, path)
	if err := os.Mkdir(path+".format-1", 0o700); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(path); err == nil {
		_ = s.Close()
		t.Fatal("it was opened")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// A backup of the version before can be restored.
func TestRestoreFormat1(t *testing.T) {
	path, backup := newPath(t), newPath(t)
	writeFormat1(t, backup)
	if _, err := Restore(t.Context(), backup, path, true); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, path, realFaults())
	defer s.Close()
	wantUpgraded(t, s)
	if got := formatOfFile(t, backup); got != 1 {
		t.Errorf("the backup has format %d now", got)
	}
}
