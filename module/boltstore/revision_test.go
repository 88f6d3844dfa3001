package boltstore

import (
	"path/filepath"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// commitOf makes a change, and returns its revision.
func commitOf(t *testing.T, s *Store) uint64 {
	t.Helper()
	commit, err := s.Update(t.Context(), func(keys.Writer) error { return nil })
	if err != nil || commit.Waiting != 0 {
		t.Fatalf("got %+v, %v", commit, err)
	}
	return commit.Revision
}

func TestRevisionsGoOn(t *testing.T) {
	path := newPath(t)
	for want := uint64(1); want <= 3; want++ {
		s := newStore(t, path, realFaults())
		if got := commitOf(t, s); got != want {
			t.Errorf("opened for the %d. time, the revision is %d", want, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A restored store has a revision that neither the backup nor the store that it
// replaced ever had.
func TestRevisionsAfterARestore(t *testing.T) {
	path, backup := newPath(t), filepath.Join(t.TempDir(), "backup.db")
	s := newStore(t, path, realFaults())
	commitOf(t, s)
	if _, err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	var last uint64
	for range 5 {
		last = commitOf(t, s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, path, false); err != nil {
		t.Fatal(err)
	}
	if got := commitOf(t, newStore(t, path, realFaults())); got != last+2 { // the restore is a commit
		t.Errorf("after revision %d and a restore, the revision is %d", last, got)
	}
}
