package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// ErrHasCredentials is returned by [Store.Build] for a store that has, or had, a
// credential.
var ErrHasCredentials = errors.New("the key store has credentials, or tombstones of some")

// Build is a copy of a store without credentials, in a file of its own, that
// many credentials are put into. [Build.Finish] writes them in key order, so
// that each page of the file is written once and is full, and puts the file in
// the place of the store's. Until then nothing of it is seen or kept.
//
// A Build is a [keys.Store] for imports: it finds a credential by its digest
// only, and has no lists of them. An Update that fails ends it. Closing it
// closes the store too.
type Build struct {
	*Store        // of the copy
	target *Store // which is held meanwhile
	// new are the credentials that were put.
	new      *loading
	failed   error
	finished bool
}

// Build begins to build. It returns [ErrHasCredentials] or
// [errors.ErrUnsupported] if it can't, and then the store stays open.
func (s *Store) Build(ctx context.Context) (*Build, error) {
	if runtime.GOOS == "windows" { // where an open file can't be replaced
		return nil, errors.ErrUnsupported
	}
	var copied *os.File
	var last uint64
	err := s.read(ctx, func(tx *bolt.Tx) (err error) {
		if records.HasCredentials(newRevision(tx)) {
			return ErrHasCredentials
		}
		if last, err = records.LastCredential(newRevision(tx)); err != nil {
			return err
		}
		folder, name := filepath.Split(s.path)
		prefix := "." + name + ".import-"
		if err := removeCopies(filepath.Clean(folder), prefix); err != nil {
			return err
		}
		if copied, err = os.CreateTemp(folder, prefix+"*"); err != nil {
			return err
		}
		_, _, err = copyTo(ctx, tx, copied)
		return errors.Join(err, copied.Close())
	})
	if err != nil {
		if copied != nil {
			err = errors.Join(err, os.Remove(copied.Name()))
		}
		return nil, err
	}
	inner, err := open(copied.Name(), s.observer, s.faults)
	if err != nil {
		return nil, errors.Join(err, os.Remove(copied.Name()))
	}
	// Nobody sees the file before it is whole, and synced.
	db := inner.state.Load().db
	db.NoSync, db.NoGrowSync = true, true
	return &Build{Store: inner, target: s, new: newLoading(filepath.Dir(s.path), last)}, nil
}

// removeCopies removes the copies of builds that were killed. None is in use,
// because a build holds the store that it is for.
func removeCopies(folder, prefix string) error {
	list, err := os.ReadDir(folder)
	for _, f := range list {
		if strings.HasPrefix(f.Name(), prefix) {
			err = errors.Join(err, os.Remove(filepath.Join(folder, f.Name())))
		}
	}
	return err
}

// Update implements [keys.Store].
func (b *Build) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	if b.failed != nil {
		return keys.Commit{}, b.failed
	}
	commit, err := b.Store.Update(ctx, func(w keys.Writer) error { return fn(&buildWriter{w, b.new}) })
	if err == nil {
		err = b.new.commit()
	}
	if err != nil {
		b.failed = fmt.Errorf("%w: %s was not built because a change failed: %w", keys.ErrUnavailable, b.path, err)
	}
	return commit, err
}

// buildWriter is a writer that keeps credentials apart.
type buildWriter struct {
	keys.Writer
	new *loading
}

// PutCredential implements [keys.Writer].
func (w *buildWriter) PutCredential(c keys.Credential) error { return w.new.put(c) }

// Credential implements [keys.Reader].
func (w *buildWriter) Credential(d credential.Digest) (keys.Credential, error) { return w.new.get(d) }

// Finish writes the credentials, makes all of it durable, and puts the file in
// the place of the store's. The Build can only be closed afterwards.
func (b *Build) Finish(ctx context.Context) error {
	if b.failed != nil {
		return b.failed
	}
	b.failed = keys.ErrClosed
	b.writing.Lock()
	defer b.writing.Unlock()
	db, err := b.writable()
	if err != nil {
		return err
	}
	if err := b.new.write(ctx, db); err != nil {
		return fmt.Errorf("building key store %s: %w", b.target.path, err)
	}
	if err := errors.Join(db.Sync(), b.replace()); err != nil {
		return fmt.Errorf("building key store %s: %w", b.target.path, err)
	}
	return nil
}

// replace puts the file in the place of the store's.
func (b *Build) replace() error {
	now := b.target.state.Load()
	if now.err != nil {
		return now.err
	}
	if err := stillAt(b.target.path, now.file); err != nil {
		return err
	}
	if _, err := belongsLike(b.path, now.file); err != nil {
		return err
	}
	if err := os.Rename(b.path, b.target.path); err != nil {
		return err
	}
	b.finished = true
	return syncFolder(filepath.Dir(b.target.path))
}

// Close implements [keys.Store]. It gives the copy up unless Finish has put it
// in its place.
func (b *Build) Close() error {
	err := errors.Join(b.new.close(), b.Store.Close())
	if !b.finished {
		err = errors.Join(err, os.Remove(b.path))
	}
	return errors.Join(err, b.target.Close())
}

// Interface guard
var _ keys.Store = (*Build)(nil)
