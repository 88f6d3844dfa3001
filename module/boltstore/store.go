// Package boltstore keeps users, apps and credentials in one bbolt file.
package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Store is a [keys.Store] in one bbolt file. Only one process at a time can
// have the file open. [Open] makes one.
//
// A commit that fails leaves it unknown what of it is on disk, and bbolt may
// show it all the same. From then on every call returns an error that wraps
// [keys.ErrUnavailable], until the file has been closed, opened again and
// checked, which happens in the background.
type Store struct {
	path     string
	observer Observer
	// mirrors is true for the store of a [Mirror].
	mirrors bool

	// state is where View finds the file without a lock. It is replaced under
	// writing only.
	state atomic.Pointer[state]

	// writing is held across a commit and what the feed is told of it, so
	// that the feed hears of commits in their order, one at a time.
	writing sync.Mutex
	feed    func(keys.Change)
	// file is which one was opened last.
	file fs.FileInfo

	closing    chan struct{} // closed by Close, ends recovering
	recovering sync.WaitGroup

	faults
}

// faults are the places where a disk fails, for tests to fail there too.
type faults struct {
	openFile func(name string, flag int, mode os.FileMode) (*os.File, error)
	commit   func(*bolt.DB, func(*bolt.Tx) error) error
}

// state is an open file, or why there is none.
type state struct {
	db   *bolt.DB
	file fs.FileInfo // which one it is
	err  error
}

var closed = &state{err: keys.ErrClosed}

// Open opens the store in the file at path, and makes the file, and the
// folders above it, where they don't exist. It fails where another process
// holds the file for longer than two seconds, and where the file is not a key
// store that this version can read; it then leaves the file as it is.
func Open(path string) (*Store, error) {
	return openFor(path, nil)
}

// openFor is [Open] with an observer, or nil for none.
func openFor(path string, o Observer) (*Store, error) {
	return open(path, o, faults{openFile: os.OpenFile, commit: (*bolt.DB).Update})
}

func open(path string, o Observer, f faults) (*Store, error) {
	if o == nil {
		o = unobserved{}
	}
	s := &Store{path: path, observer: o, closing: make(chan struct{}), faults: f}
	db, err := s.create()
	if err != nil {
		return nil, fmt.Errorf("opening key store %s: %w", path, err)
	}
	s.state.Store(&state{db: db, file: s.file})
	return s, nil
}

// Feed implements [keys.Store].
func (s *Store) Feed(feed func(keys.Change)) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.feed = feed
}

// View implements [keys.Store]. A ctx that is done before it begins is
// returned as its error; afterwards ctx plays no part.
func (s *Store) View(ctx context.Context, fn func(keys.Reader) error) error {
	return s.read(ctx, func(tx *bolt.Tx) error { return fn(view(tx)) })
}

func (s *Store) read(ctx context.Context, fn func(*bolt.Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer faultsPanic()()
	defer s.caughtAstray(&err)
	tx, err := s.begin()
	if err != nil {
		return err
	}
	// Deferred, because a panic in fn must not leave the transaction open: it
	// would keep the file from ever being closed.
	defer func() { _ = tx.Rollback() }()
	return fn(tx)
}

func (s *Store) begin() (*bolt.Tx, error) {
	for {
		now := s.state.Load()
		if now.err != nil {
			return nil, now.err
		}
		tx, err := now.db.Begin(false)
		if err == nil {
			return tx, nil
		}
		// Where the file was closed between the two lines above, look again
		// for what has taken its place.
		if s.state.Load() == now {
			return nil, fmt.Errorf("%w: reading %s: %w", keys.ErrUnavailable, s.path, err)
		}
	}
}

// Update implements [keys.Store]. A ctx that is done before it begins is
// returned as its error; afterwards ctx plays no part, because a change is not to
// be given up because the client has gone.
//
// Where the path leads to the file no longer, nothing is written, and the
// error wraps [keys.ErrUnavailable].
func (s *Store) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	return s.write(ctx, func(w records.Writer) (records.Written, error) { return records.Apply(w, maxWrites, fn) })
}

// maxWrites is more than any call of the API has ever needed, and keeps a
// transaction from filling the memory.
const maxWrites = 1 << 16

// MaxWrites implements [keys.Store].
func (s *Store) MaxWrites() int { return maxWrites }

// Used implements [keys.Store]. All uses of a call are written together.
func (s *Store) Used(ctx context.Context, uses []keys.Use) error {
	_, err := s.write(ctx, func(w records.Writer) (records.Written, error) { return records.ApplyUses(w, uses) })
	return err
}

// Spent implements [keys.Store].
func (s *Store) Spent(ctx context.Context, spendings []keys.Spending) error {
	_, err := s.write(ctx, func(w records.Writer) (records.Written, error) { return records.ApplySpendings(w, spendings) })
	return err
}

// Ready implements [keys.Store]. It doesn't wait for a write that is under way.
func (s *Store) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.writable()
	return err
}

func (s *Store) write(ctx context.Context, write func(records.Writer) (records.Written, error)) (commit keys.Commit, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return keys.Commit{}, err
	}
	defer faultsPanic()()
	defer s.caughtAstray(&err)
	return s.update(write, nil)
}

// writable returns the file that is open, unless what is written to it is lost.
func (s *Store) writable() (*bolt.DB, error) {
	now := s.state.Load()
	if now.err != nil {
		return nil, now.err
	}
	// What is written to a file that nobody finds again is lost when this
	// process ends. Where it can't be known, there is no reason to think so.
	if err := stillAt(s.path, now.file); errors.Is(err, errReplaced) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s: %w", keys.ErrUnavailable, s.path, errAstray)
	}
	return now.db, nil
}

// update is called with writing held. failed, where it isn't nil, gets the file
// of a commit that failed, before that is closed.
func (s *Store) update(write func(records.Writer) (records.Written, error), failed func(*bolt.DB)) (commit keys.Commit, err error) {
	db, err := s.writable()
	if err != nil {
		return keys.Commit{}, err
	}

	// From where fn has returned the commit may have written something. The
	// feed is told in a deferred call, so that it is told even if what follows
	// panics: a change nobody hears of is a revoked credential that passes.
	var written records.Written
	var begun, committed bool
	defer func() {
		if !begun {
			return
		}
		if !committed {
			if failed != nil {
				failed(db)
			}
			err = s.fail(db, err)
		}
		if written.Change != nil {
			s.tell(*written.Change)
		}
	}()
	err = s.commit(db, func(tx *bolt.Tx) error {
		var err error
		if written, err = write(newRevision(tx)); err != nil {
			return err
		}
		begun = true
		return nil
	})
	if committed = err == nil; !committed {
		return keys.Commit{}, err
	}
	return written.Commit, nil
}

// tell is called with writing held.
func (s *Store) tell(change keys.Change) {
	if s.feed != nil {
		s.feed(change)
	}
}

// Close implements [keys.Store].
func (s *Store) Close() error {
	s.writing.Lock()
	last := s.state.Swap(closed)
	if last != closed {
		close(s.closing)
	}
	s.writing.Unlock()

	if last == closed {
		return keys.ErrClosed
	}
	s.recovering.Wait()
	if last.db == nil {
		return nil
	}
	// bbolt waits for the transactions that are still reading.
	if err := last.db.Close(); err != nil {
		return fmt.Errorf("closing key store %s: %w", s.path, err)
	}
	return nil
}

// Interface guards
var _ keys.Store = (*Store)(nil)
