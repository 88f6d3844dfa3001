//go:build linux

package boltstore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory"
)

// reference is a store to which the changes are made without any failure.
type reference struct {
	t *testing.T
	d *directory.Directory
	// texts are what there is after so many changes, for the last few.
	texts   map[int]string
	changes int
}

const textsKept = 100

func newReference(t *testing.T) *reference {
	owned, err := directory.New(newStore(t, inMemory(t), realFaults()), 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	d := owned.Directory
	t.Cleanup(func() { _ = owned.Close() })
	r := &reference{t: t, d: d, texts: map[int]string{}}
	r.remember()
	return r
}

// inMemory is a path for a store that need not be durable, and is not slowed
// down by being so, where the system has a place for it.
func inMemory(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "keys")
	if err != nil {
		return newPath(t)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(folder, "keys.db")
}

// after is what there is after so many changes.
func (r *reference) after(changes int) string {
	r.t.Helper()
	for r.changes < changes {
		if err := makeChange(r.d, r.changes); err != nil {
			r.t.Fatal(err)
		}
		r.changes++
		r.remember()
	}
	text, kept := r.texts[changes]
	if !kept {
		r.t.Fatalf("%d changes have been made to the reference, and what there was after %d is forgotten", r.changes, changes)
	}
	return text
}

func (r *reference) remember() {
	text, err := written(r.d, r.changes)
	if err != nil {
		r.t.Fatal(err)
	}
	r.texts[r.changes] = text
	delete(r.texts, r.changes-textsKept)
}
