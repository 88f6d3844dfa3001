package boltstore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// recorder is an observer that keeps what it is told.
type recorder struct {
	mu       sync.Mutex
	told     []string
	reopened chan struct{} // closed once the file was opened again; may be nil
}

func (r *recorder) tell(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

func (r *recorder) Upgraded(before int, kept string) { r.tell("upgraded %d, kept %s", before, kept) }
func (r *recorder) CommitFailed(err error)           { r.tell("commit failed: %v", err) }
func (r *recorder) ReopenFailed(err error)           { r.tell("reopen failed: %v", err) }

func (r *recorder) Reopened() {
	r.tell("reopened")
	if r.reopened != nil {
		close(r.reopened)
	}
}

func TestObserverOfAFailure(t *testing.T) {
	o, path := &recorder{reopened: make(chan struct{})}, newPath(t)
	failed, opened := false, 0
	s, err := open(path, o, faults{
		commit: func(db *bolt.DB, fn func(*bolt.Tx) error) error {
			if !failed {
				failed = true
				return rollsBack(db, fn)
			}
			return db.Update(fn)
		},
		openFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			if flag&os.O_RDWR != 0 {
				if opened++; opened == 2 {
					return nil, errDisk
				}
			}
			return os.OpenFile(name, flag, mode)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func() error {
		_, err := s.Update(t.Context(), func(w keys.Writer) error { return w.PutUser(keys.User{ID: "u"}) })
		return err
	}
	if err := put(); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	select {
	case <-o.reopened:
	case <-time.After(30 * time.Second):
		t.Fatal("it never answers again")
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	want := []string{"commit failed: the disk failed", "reopen failed: the disk failed", "reopened"}
	if got := o.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestObserverOfAnUpgrade(t *testing.T) {
	o, path := new(recorder), newPath(t)
	writeOld(t, path, 2)
	for range 2 {
		s, err := File{Path: path, Observer: o}.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := o.all(), "upgraded 2, kept "+keptOf(path, 2); len(got) != 1 || got[0] != want {
		t.Errorf("told %q, want %q once", got, want)
	}
}
