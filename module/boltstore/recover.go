package boltstore

import (
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// How long to wait between attempts to open the file again: as much again
// after each, because a full check of a large file is not cheap.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 10 * time.Second
)

var errPanicked = errors.New("the write panicked")

// fail stops the store from answering after a commit that failed, and has the
// file opened again. It is called with writing held, and returns what to
// answer until then.
func (s *Store) fail(broken *bolt.DB, cause error) error {
	if cause == nil {
		cause = errPanicked
	}
	s.observer.CommitFailed(cause)
	err := fmt.Errorf("%w: a write to %s failed, so it is being opened again and checked: %w", keys.ErrUnavailable, s.path, cause)
	s.state.Store(&state{err: err})
	s.recovering.Go(func() { s.recover(broken) })
	return err
}

// recover closes the file and opens it until that succeeds or the store is
// closed.
func (s *Store) recover(broken *bolt.DB) {
	// It waits for running reads. What it returns changes nothing: where the
	// file could not be let go, opening it will say so.
	_ = broken.Close()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if s.resume(s.existing()) {
			return
		}
		select {
		case <-s.closing:
			return
		case <-time.After(pause):
		}
	}
}

// resume makes the store answer from db, or else with err. It reports whether
// there is nothing more to do.
func (s *Store) resume(db *bolt.DB, err error) bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	switch {
	case s.state.Load() == closed:
		if db != nil {
			_ = db.Close()
		}
		return true
	case err != nil:
		s.state.Store(&state{err: fmt.Errorf("%w: after a write that failed, opening %s again: %w", keys.ErrUnavailable, s.path, err)})
		s.observer.ReopenFailed(err)
		return false
	}

	// At stays zero where it can't be read: a caller that asks for it will get
	// the error.
	change := keys.Change{All: true}
	_ = db.View(func(tx *bolt.Tx) (err error) {
		change.At, err = view(tx).LastWrite()
		return err
	})
	s.state.Store(&state{db: db, file: s.file})
	s.tell(change)
	s.observer.Reopened()
	return true
}
