package boltstore

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/directory/history"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// brittle is a disk that fails now and then. What was written by a commit that
// failed is gone, or stays, or is shown first and gone once the file is opened
// again.
type brittle struct {
	// begun is set by the first commit, which fills the store and never fails.
	begun atomic.Bool
	mu    sync.Mutex
	lost  []byte // what the file is to hold when it is opened again
}

func (b *brittle) commit(db *bolt.DB, fn func(*bolt.Tx) error) error {
	if !b.begun.Swap(true) || rand.IntN(10) > 0 {
		return db.Update(fn)
	}
	switch rand.IntN(3) {
	case 0:
		return rollsBack(db, fn)
	case 1:
		return takesEffect(db, fn)
	}
	before, err := os.ReadFile(db.Path())
	if err != nil {
		return err
	}
	if err := db.Update(fn); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = before
	return errDisk
}

// openFile begins an attempt to open the file with a look at it, read only. By
// then nobody has it open.
func (b *brittle) openFile(name string, flag int, mode os.FileMode) (*os.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost != nil && flag&os.O_RDWR == 0 {
		if err := os.WriteFile(name, b.lost, mode); err != nil {
			return nil, err
		}
		b.lost = nil
	}
	return os.OpenFile(name, flag, mode)
}

// A disk that fails brings nothing back that was taken away.
func TestHistories(t *testing.T) {
	history.Run(t, history.Setup{
		Open: func(path string) (keys.Store, error) {
			b := new(brittle)
			return open(path, nil, faults{openFile: b.openFile, commit: b.commit})
		},
		Histories: 300,
	})
}

// Readers with a cache learn that the file was opened again, because it may be
// another file.
func TestReopeningTellsTheFeed(t *testing.T) {
	h := newHarness(t)
	h.failNext(rollsBack)
	if err := h.putUser(t, "a"); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	<-h.told
	select {
	case c := <-h.told:
		if !c.All {
			t.Errorf("told %+v", c)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody was told")
	}
}
