package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// ErrDeleting is returned by [Store.Build] for a store with an unfinished
// deletion: to finish it takes the credentials that a Build keeps apart.
var ErrDeleting = errors.New("the key store has an unfinished deletion")

// Build is a new file for a store, to which many credentials are added.
// [Build.Finish] merges them with those of the store and writes all in key
// order, so that each page of the file is written once and is full, and puts
// the file in the place of the store's. Until then nothing of it is seen or
// kept.
//
// A Build is a [keys.Store] for imports: it finds a credential by its digest
// only, and has no lists of them. An Update that fails ends it. Closing it
// closes the store too.
type Build struct {
	*Store          // of the new file, without credentials
	target *Store   // which is held meanwhile
	old    *bolt.Tx // reads the target
	// found are the credentials of the target.
	found keys.Reader
	// new are the credentials that were put.
	new      *loading
	failed   error
	finished bool
}

// Build begins to build. It returns [ErrDeleting] or [errors.ErrUnsupported] if
// it can't, and then the store stays open.
func (s *Store) Build(ctx context.Context) (*Build, error) {
	if runtime.GOOS == "windows" { // where an open file can't be replaced
		return nil, errors.ErrUnsupported
	}
	old, err := s.begin()
	if err != nil {
		return nil, err
	}
	b, err := s.build(ctx, old)
	if err != nil {
		return nil, errors.Join(err, old.Rollback())
	}
	return b, nil
}

func (s *Store) build(ctx context.Context, old *bolt.Tx) (*Build, error) {
	if records.HasDeletions(newRevision(old)) {
		return nil, ErrDeleting
	}
	last, err := records.LastCredential(newRevision(old))
	if err != nil {
		return nil, err
	}
	path, err := copyOthers(ctx, old, s.path)
	if err != nil {
		return nil, fmt.Errorf("building key store %s: %w", s.path, err)
	}
	inner, err := open(path, s.observer, s.faults)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	// Nobody sees the file before it is whole, and synced.
	db := inner.state.Load().db
	db.NoSync, db.NoGrowSync = true, true
	return &Build{Store: inner, target: s, old: old, found: view(old), new: newLoading(filepath.Dir(s.path), last)}, nil
}

// copyOthers copies what is in a store, except its credentials, into a new file
// next to it.
func copyOthers(ctx context.Context, old *bolt.Tx, path string) (copied string, err error) {
	folder, name := filepath.Split(path)
	prefix := "." + name + ".import-"
	if err := removeCopies(filepath.Clean(folder), prefix); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(folder, prefix+"*")
	if err != nil {
		return "", err
	}
	copied = file.Name()
	if err = file.Close(); err == nil {
		err = copyBuckets(ctx, old, copied)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(copied))
	}
	return copied, nil
}

// copyBuckets writes a file that has all buckets of another, with what is in
// them except for the credentials.
func copyBuckets(ctx context.Context, old *bolt.Tx, path string) (err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoGrowSync: true, FreelistType: bolt.FreelistMapType, InitialMmapSize: mmapSize()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return old.ForEach(func(name []byte, bucket *bolt.Bucket) error {
		err := db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket(name)
			return err
		})
		if err != nil || slices.ContainsFunc(records.CredentialBuckets(), func(b []byte) bool { return bytes.Equal(b, name) }) {
			return err
		}
		return writeSorted(ctx, db, name, bucket.ForEach)
	})
}

// removeCopies removes the files of builds that were killed. None is in use,
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
	commit, err := b.Store.Update(ctx, func(w keys.Writer) error { return fn(&buildWriter{w, b.new, b.found}) })
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
	new   *loading
	found keys.Reader
}

// PutCredential implements [keys.Writer].
func (w *buildWriter) PutCredential(c keys.Credential) error { return w.new.put(c) }

// Credential implements [keys.Reader].
func (w *buildWriter) Credential(d credential.Digest) (keys.Credential, error) {
	c, err := w.new.get(d)
	if errors.Is(err, keys.ErrNotFound) {
		return w.found.Credential(d)
	}
	return c, err
}

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
	if err := b.new.write(ctx, db, b.old); err != nil {
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

// Close implements [keys.Store]. It gives the new file up unless Finish has put it
// in its place.
func (b *Build) Close() error {
	err := errors.Join(b.new.close(), b.Store.Close(), b.old.Rollback())
	if !b.finished {
		err = errors.Join(err, os.Remove(b.path))
	}
	return errors.Join(err, b.target.Close())
}

// Interface guard
var _ keys.Store = (*Build)(nil)
