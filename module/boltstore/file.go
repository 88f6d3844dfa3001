package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-api-keys/gateway/module/records"
)

// lockTimeout is how long to wait for a file that is held: in a reload it may
// be opened just before the one that held it lets go.
const lockTimeout = 2 * time.Second

// What can be wrong with a file, and what to do about it.
var (
	errForeign = errors.New("it is not a key store: give another path, or move the file away to begin with an empty store")
	errDamaged = errors.New("the file is damaged: put a backup copy of it in its place")
	errNewer   = errors.New("it was written by a newer version of this program: use that version")
	// errEmpty is for a file that was a store; where one may be made, it is.
	errEmpty    = errors.New("the file is empty: put a backup copy of it in its place")
	errReplaced = errors.New("another file was put in its place meanwhile: try again")
	errAstray   = errors.New("the file that is open was moved, deleted or replaced, and what is written to it would be lost: put it back, or restart Caddy to go on with what is there now")
	errLocked   = fmt.Errorf("it is still in use by another process after %s: stop that process, or give one of the two a path of its own", lockTimeout)
)

// create opens the file, and creates a missing one.
func (s *Store) create() (*bolt.DB, error) {
	folder := filepath.Dir(s.path)
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	if err := inspect(s.path, s.openFile); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errEmpty) {
		return nil, err
	}
	db, err := s.openDB(os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err = s.initialize(db); err == nil {
		// A file is on disk only once its folder is. Not for a new file only:
		// the run that made it may have died before it came here.
		err = syncFolder(folder)
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// existing opens the file, which must be there: one made in its place would
// have forgotten every revocation. It reads the whole file first, without
// writing to it, because bbolt, opening a damaged file to write, panics and
// keeps the lock.
func (s *Store) existing() (*bolt.DB, error) {
	db, err := openToRead(context.Background(), s.path, s.openFile)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return s.openDB(0)
}

func checkPages(tx *bolt.Tx) error {
	var first error
	for err := range tx.Check() { // to its end, or its sender would wait forever
		if first == nil {
			first = fmt.Errorf("%w (%w)", errDamaged, err)
		}
	}
	return first
}

// checkFormat refuses a file that is not ours, newer, or not whole.
func checkFormat(tx *bolt.Tx) error {
	if first, _ := tx.Cursor().First(); first == nil {
		return errEmpty
	}
	version, err := records.FormatOf(newRevision(tx))
	switch {
	case errors.Is(err, records.ErrNoStore):
		return errForeign
	case err != nil:
		return fmt.Errorf("%w (%w)", errDamaged, err)
	case version > records.Format:
		return fmt.Errorf("%w (its format is %d, this version reads %d)", errNewer, version, records.Format)
	}
	for _, name := range records.Buckets(version) {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w (it has no bucket %s)", errDamaged, name)
		}
	}
	return nil
}

// openDB opens the file to read and write. The only flag is os.O_CREATE.
func (s *Store) openDB(flag int) (*bolt.DB, error) {
	var file *os.File
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bolt.FreelistMapType,
		NoStatistics:    true,
		InitialMmapSize: mmapSize(),
		OpenFile: func(name string, flags int, mode fs.FileMode) (*os.File, error) {
			var err error
			file, err = s.openFile(name, flags&^os.O_CREATE|flag, mode)
			return file, err
		},
	})
	if err != nil {
		return nil, explain(err)
	}
	// A restore may have put another file in its place while this one waited
	// for the lock: what is written to this one would be lost.
	if s.file, err = file.Stat(); err == nil {
		err = stillAt(s.path, s.file)
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	if err = s.checkKind(db); err == nil {
		err = settle(db, file)
	}
	if err == nil {
		err = upgradeFile(db, s.path, s.observer)
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// stillAt reports whether a path leads to the file that was opened by it.
func stillAt(path string, opened fs.FileInfo) error {
	there, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, there) {
		return errReplaced
	}
	return nil
}

// mmapSize is how much of the address space the file gets; it costs nothing
// else. A file that outgrows it is mapped again, for which bbolt waits for the
// slowest reader while every other one waits for bbolt.
func mmapSize() int {
	if bits.UintSize < 64 || runtime.GOOS == "windows" { // which would make the file that large
		return 0
	}
	size := 1 << 30
	return size << 4 // 16 GiB, in two steps for 32 bits to compile
}

// explain turns what bbolt says of a file into what to do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return errLocked
	case errors.Is(err, bolterrors.ErrInvalid):
		return errForeign
	case errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return fmt.Errorf("%w (%w)", errDamaged, err)
	}
	return err
}

// checkKind refuses a mirror where a store is wanted, and a store where a mirror
// is: it would be replaced by what it mirrors.
func (s *Store) checkKind(db *bolt.DB) error {
	return db.View(func(tx *bolt.Tx) error {
		first, _ := tx.Cursor().First()
		mirror := tx.Bucket(mirrorBucket) != nil
		switch {
		case first == nil || mirror == s.mirrors:
			return nil
		case mirror:
			return errMirror
		}
		return errNoMirror
	})
}

// initialize gives a file without any bucket those of a key store.
func (s *Store) initialize(db *bolt.DB) error {
	err := db.View(checkFormat)
	if !errors.Is(err, errEmpty) {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range s.bucketNames() {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return records.Initialize(newRevision(tx))
	})
}

// bucketNames returns the buckets of a new file.
func (s *Store) bucketNames() [][]byte {
	names := records.Buckets(records.Format)
	if s.mirrors {
		names = append(names, mirrorBucket)
	}
	return names
}

// makeFolder makes a folder and those above it, for this user alone, each
// durably.
func makeFolder(folder string) error {
	err := os.Mkdir(folder, 0o700)
	switch {
	case err == nil:
		return syncFolder(filepath.Dir(folder))
	case errors.Is(err, fs.ErrExist):
		return nil // if it is not a folder, opening the file says so
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	above := filepath.Dir(folder)
	if above == folder {
		return noFolder(folder, err)
	}
	if err := makeFolder(above); err != nil {
		return err
	}
	// Once, because it may never be possible: what is above can be there and lead
	// nowhere, as a link to nothing does.
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return noFolder(folder, err)
	}
	return syncFolder(above)
}

// noFolder says which folder can't be made.
func noFolder(folder string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("the folder %s can't be made: %w; see that what is above it is a folder, and no link that leads nowhere, or give another path", folder, err)
}

// syncFolder makes durable which files a folder has.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" { // which has no such thing
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
