package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// mirrorBucket is in mirrors alone, and tells them from stores. It has what the
// owner of the mirror remembers of it.
var mirrorBucket = []byte("mirror")

// stateKey is the only key of the bucket.
var stateKey = []byte("state")

var (
	errMirror   = errors.New("it is the mirror of a key store that several machines share: configure that store, or give another path")
	errNoMirror = errors.New("it is a key store of its own, and a mirror would replace what it has: give the mirror another path, and take the keys over with \"store migrate\"")
)

// Mirror is a copy of a store whose truth is elsewhere, in one bbolt file. It
// recovers from failed writes like [Store]. [OpenMirror] makes one.
type Mirror struct{ store *Store }

// OpenMirror opens the mirror in the file at path, and makes a missing file. It
// refuses the file of a [Store]. o may be nil.
func OpenMirror(path string, o Observer) (*Mirror, error) {
	path, err := canonical(path)
	if err != nil {
		return nil, fmt.Errorf("path of the mirror: %w", err)
	}
	f := faults{openFile: os.OpenFile, commit: (*bolt.DB).Update}
	if o == nil {
		o = unobserved{}
	}
	s := &Store{path: path, observer: o, closing: make(chan struct{}), mirrors: true, faults: f}
	db, err := s.create()
	if err != nil {
		return nil, fmt.Errorf("opening the mirror %s: %w", path, err)
	}
	s.state.Store(&state{db: db, file: s.file})
	return &Mirror{s}, nil
}

// Path returns the canonical path of the file.
func (m *Mirror) Path() string { return m.store.path }

// Feed sets the function that is called for every change, as [keys.Store] has
// it.
func (m *Mirror) Feed(feed func(keys.Change)) { m.store.Feed(feed) }

// View runs fn over one revision of the mirror, as [keys.Store] has it.
func (m *Mirror) View(ctx context.Context, fn func(keys.Reader) error) error {
	return m.store.View(ctx, fn)
}

// Read runs fn over one revision of the mirror. state is what the last Write
// left, or nil.
func (m *Mirror) Read(ctx context.Context, fn func(r records.Reader, state []byte) error) error {
	return m.store.read(ctx, func(tx *bolt.Tx) error {
		r := newRevision(tx)
		return fn(r, r.Get(mirrorBucket, stateKey))
	})
}

// Write runs fn in a write transaction, and commits what it wrote with the state
// that it returns. The feed is told as by [keys.Store.Update].
func (m *Mirror) Write(ctx context.Context, fn func(records.Writer) (state []byte, change *keys.Change, err error)) error {
	_, err := m.store.write(ctx, func(w records.Writer) (records.Written, error) {
		state, change, err := fn(w)
		if err == nil {
			err = w.Put(mirrorBucket, stateKey, state)
		}
		return records.Written{Change: change}, err
	})
	return err
}

// Try runs fn in a write transaction that is not committed. No other write runs
// meanwhile.
func (m *Mirror) Try(ctx context.Context, fn func(w records.Writer, state []byte) error) (err error) {
	s := m.store
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	defer faultsPanic()()
	defer s.caughtAstray(&err)
	db, err := s.writable()
	if err != nil {
		return err
	}
	tx, err := db.Begin(true)
	if err != nil {
		return fmt.Errorf("%w: writing %s: %w", keys.ErrUnavailable, s.path, err)
	}
	defer func() { _ = tx.Rollback() }()
	w := newRevision(tx)
	return fn(w, w.Get(mirrorBucket, stateKey))
}

// Lost reports whether the file was moved, deleted or replaced, so that what is
// written to the mirror is lost. It has to be made again.
func (m *Mirror) Lost() bool {
	_, err := m.store.writable()
	return errors.Is(err, errAstray)
}

// Ready returns nil if the mirror can be read and written to, as [keys.Store]
// has it.
func (m *Mirror) Ready(ctx context.Context) error { return m.store.Ready(ctx) }

// Backup copies the mirror, as [keys.Backuper] has it, without a mark.
func (m *Mirror) Backup(ctx context.Context, path string) (keys.Backup, error) {
	return m.store.Backup(ctx, path)
}

// Examine checks the mirror, as [keys.Examiner] has it.
func (m *Mirror) Examine(ctx context.Context) (keys.Examination, error) { return m.store.Examine(ctx) }

// Count counts the records, as [keys.Examiner] has it.
func (m *Mirror) Count(ctx context.Context, now time.Time) (keys.Stats, error) {
	return m.store.Count(ctx, now)
}

// Close waits for what is running and closes the file.
func (m *Mirror) Close() error { return m.store.Close() }

// makeStore makes of the copy of a mirror a store of its own.
func makeStore(tx *bolt.Tx) error {
	if tx.Bucket(mirrorBucket) == nil {
		return nil
	}
	return tx.DeleteBucket(mirrorBucket)
}

// NewMirror is a mirror that is being made in a file of its own.
type NewMirror struct {
	path, file string
	db         *bolt.DB
	into       *batches
}

// MakeMirror begins to make the mirror at path again, beside the present one.
// The caller calls Abandon in the end.
func MakeMirror(ctx context.Context, path string) (*NewMirror, error) {
	path, err := canonical(path)
	if err != nil {
		return nil, fmt.Errorf("path of the mirror: %w", err)
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	n := &NewMirror{path: path, file: path + ".new"}
	if err := os.Remove(n.file); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a run that was killed
		return nil, err
	}
	n.db, err = bolt.Open(n.file, 0o600, &bolt.Options{
		Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoStatistics: true, InitialMmapSize: mmapSize(),
		NoSync: true, // nobody sees it before it is whole, and synced
	})
	if err != nil {
		return nil, err
	}
	n.into = &batches{ctx: ctx, db: n.db}
	err = n.db.Update(func(tx *bolt.Tx) error {
		for _, name := range append(records.Buckets(records.Format), mirrorBucket) {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, n.Abandon())
	}
	return n, nil
}

// Next returns the writer for the next record. It commits now and then, so that
// not all records are in memory.
func (n *NewMirror) Next() (records.Writer, error) { return n.into.next() }

// Read runs fn over everything that was written so far.
func (n *NewMirror) Read(fn func(records.Reader) error) error {
	if err := n.into.end(); err != nil {
		return err
	}
	return n.db.View(func(tx *bolt.Tx) error { return fn(newRevision(tx)) })
}

// Finish writes the state, makes the new mirror durable, and gives it the place
// of the present one, which the caller closes and opens again.
func (n *NewMirror) Finish(state []byte) error {
	err := n.into.end()
	if err == nil {
		err = n.db.Update(func(tx *bolt.Tx) error { return newRevision(tx).Put(mirrorBucket, stateKey, state) })
	}
	if err == nil {
		err = n.db.Sync()
	}
	if err = errors.Join(err, n.close()); err != nil {
		return err
	}
	if err := os.Rename(n.file, n.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(n.path))
}

func (n *NewMirror) close() error {
	db := n.db
	if db == nil {
		return nil
	}
	n.db = nil
	return errors.Join(n.into.abandon(), db.Close())
}

// Abandon removes what was not finished.
func (n *NewMirror) Abandon() error {
	err := n.close()
	if gone := os.Remove(n.file); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
