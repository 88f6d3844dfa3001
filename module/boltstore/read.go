package boltstore

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

// opening is [os.OpenFile], or what a test puts in its place.
type opening func(name string, flag int, mode os.FileMode) (*os.File, error)

// openToRead opens a file without writing to it, reads the whole of it, and
// refuses one that is not ours, newer, damaged, or empty.
func openToRead(ctx context.Context, path string, open opening) (*bolt.DB, error) {
	return openChecked(path, open, func(file *os.File, size int64, db *bolt.DB) error {
		// Before anything is read by bbolt: a page that leads astray ends the
		// process.
		if err := checkTree(ctx, file, size, db.Info().PageSize); err != nil {
			return err
		}
		return db.View(checkPages)
	})
}

// inspect refuses a file that is not ours, newer, cut short, or empty, or whose
// first pages are damaged. It reads nothing else: what is below is checked when
// it is read.
func inspect(path string, open opening) error {
	db, err := openChecked(path, open, func(file *os.File, size int64, db *bolt.DB) error {
		return checkRoots(file, size, db.Info().PageSize)
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// openChecked opens a file without writing to it, and refuses one that is not
// ours, newer, empty, or that check refuses.
func openChecked(path string, open opening, check func(file *os.File, size int64, db *bolt.DB) error) (*bolt.DB, error) {
	file, err := open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() == 0 {
		err = errEmpty
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	db, err := bolt.Open(path, 0, &bolt.Options{
		Timeout:  lockTimeout,
		ReadOnly: true,
		OpenFile: func(string, int, fs.FileMode) (*os.File, error) { return file, nil },
	})
	if err != nil {
		return nil, explain(err)
	}
	if err = check(file, info.Size(), db); err == nil {
		err = db.View(func(tx *bolt.Tx) error {
			// Behind its end a file is not zeros but a fault that ends the
			// process.
			if info.Size() < tx.Size() {
				return fmt.Errorf("%w (it has %d bytes, of %d)", errDamaged, info.Size(), tx.Size())
			}
			return checkFormat(tx)
		})
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}
