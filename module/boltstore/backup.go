package boltstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Backup implements [keys.Backuper]. Everything that was acknowledged before
// it was called is in the copy.
func (s *Store) Backup(ctx context.Context, path string) (keys.Backup, error) {
	b, err := s.backup(ctx, path)
	if err != nil {
		return keys.Backup{}, fmt.Errorf("backing up key store %s: %w", s.path, err)
	}
	return b, nil
}

func (s *Store) backup(ctx context.Context, path string) (b keys.Backup, err error) {
	folder, name := filepath.Split(path)
	if path == "" {
		folder, name = filepath.Dir(s.path), filepath.Base(s.path)
	}
	if folder == "" {
		folder = "."
	}
	begin := s.beginMarked
	if s.mirrors { // the mark is among the records that it mirrors
		begin = s.begin
	}
	b, found, err := s.copyInto(ctx, folder, name, begin)
	if err != nil {
		return b, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(b.Path)
		}
	}()
	if d := found.Damage(); d != nil {
		return b, fmt.Errorf("the store is damaged, so there is no backup of it (%s): \"store check\" lists what is wrong", d.Text)
	}
	b.Records, b.LastWrite, b.Findings, b.Marked = found.Records, found.LastWrite, found.Findings, found.Marked
	if path == "" {
		return b, nil
	}
	if err := Replace(b.Path, path); err != nil {
		return b, err
	}
	b.Path = path
	return b, syncFolder(folder)
}

// copyInto copies the store into a new file in a folder, for this user alone,
// and examines the copy. Where it fails there is no file.
func (s *Store) copyInto(ctx context.Context, folder, name string, begin func() (*bolt.Tx, error)) (b keys.Backup, found keys.Examination, err error) {
	if err := ctx.Err(); err != nil {
		return b, found, err
	}
	file, err := os.CreateTemp(folder, "."+name+".backup-*")
	if err != nil {
		return b, found, err
	}
	b.Path = file.Name()
	defer func() {
		if p := recover(); p != nil {
			_ = os.Remove(b.Path)
			panic(p)
		}
		if err != nil {
			_ = os.Remove(b.Path)
		}
	}()
	tx, err := begin()
	if err == nil {
		b.Size, b.SHA256, err = copyTo(ctx, tx, file)
		err = errors.Join(err, tx.Rollback())
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return b, found, err
	}
	found, err = examine(ctx, b.Path)
	return b, found, err
}

// beginMarked writes the mark of a backup durably, and begins to read the store
// as it is with that mark and no other change. A store that can't be written to
// is read without a mark: such a copy is still worth having.
func (s *Store) beginMarked() (*bolt.Tx, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	var last *bolt.Tx
	marked := false
	defer func() {
		if !marked && last != nil { // the commit panicked
			_ = last.Rollback()
		}
	}()
	_, _ = s.update(records.AddMark, func(db *bolt.DB) {
		// The file is closed after this transaction, and then checked.
		last, _ = db.Begin(false)
	})
	marked = true
	if last != nil {
		return last, nil
	}
	return s.begin()
}

// copyTo writes what a transaction sees as a file of its own.
func copyTo(ctx context.Context, tx *bolt.Tx, w io.Writer) (size int64, sum credential.Digest, err error) {
	hash := sha256.New()
	size, err = tx.WriteTo(&endable{ctx, io.MultiWriter(w, hash)})
	hash.Sum(sum[:0])
	return size, sum, err
}

// endable is a writer that fails once nobody waits for it any more.
type endable struct {
	ctx context.Context
	w   io.Writer
}

func (e *endable) Write(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.w.Write(p)
}

// Examine implements [keys.Examiner]. It examines a copy, so that no
// transaction is open for as long as that takes: the file would grow.
func (s *Store) Examine(ctx context.Context) (keys.Examination, error) {
	b, found, err := s.copyInto(ctx, filepath.Dir(s.path), filepath.Base(s.path), s.begin)
	if err != nil {
		return found, fmt.Errorf("checking key store %s: %w", s.path, err)
	}
	return found, os.Remove(b.Path)
}

var errInUse = errors.New("a key store that is in use is not replaced: name another file")

// Replace renames a file, and takes the place of another that is there, unless
// that is a key store that some process has open: it would go on with a file
// that nobody finds again.
func Replace(from, to string) error {
	if info, err := os.Stat(to); err == nil && info.Mode().IsRegular() {
		db, err := bolt.Open(to, 0, &bolt.Options{ReadOnly: true, Timeout: time.Nanosecond}) // tries once
		if errors.Is(err, bolterrors.ErrTimeout) {
			return fmt.Errorf("%s: %w", to, errInUse)
		}
		if err == nil {
			closed := sync.OnceValue(db.Close)
			defer func() { _ = closed() }() // after the renaming: nobody opens it meanwhile
			if runtime.GOOS == "windows" {  // where an open file can't be replaced
				_ = closed()
			}
		}
	}
	return os.Rename(from, to)
}

// SyncFolder makes durable which files a folder has, as after a rename.
func SyncFolder(folder string) error { return syncFolder(folder) }

// Interface guards
var (
	_ keys.Backuper = (*Store)(nil)
	_ keys.Examiner = (*Store)(nil)
)
