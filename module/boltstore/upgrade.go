package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/records"
)

// upgradeFile brings the file at path to the current format, and keeps a copy
// of what it was beside it. A crash leaves the file in either format, whole.
func upgradeFile(db *bolt.DB, path string, o Observer) error {
	version, err := formatOf(db)
	if err != nil || version == 0 || version >= records.Format {
		return err
	}
	kept := fmt.Sprintf("%s.format-%d", path, version)
	if err := copyBeside(db, kept); err != nil {
		return fmt.Errorf("keeping a copy of the file before it is upgraded (nothing was changed; make room for the copy): %w", err)
	}
	if err := upgrade(db, time.Now()); err != nil {
		return err
	}
	o.Upgraded(version, kept)
	return nil
}

// formatOf is the format of a file, and 0 for one that is not a key store yet.
func formatOf(db *bolt.DB) (version int, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		err := checkFormat(tx)
		if errors.Is(err, errEmpty) || errors.Is(err, errForeign) {
			return nil // the caller finds out
		}
		if err == nil {
			version, err = records.FormatOf(newRevision(tx))
		}
		return err
	})
	return version, err
}

// copyBeside writes a copy of a file durably under another name.
func copyBeside(db *bolt.DB, path string) (err error) {
	folder, name := filepath.Split(path)
	file, err := os.CreateTemp(folder, "."+name+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it isn't there any more where all went well
	err = db.View(func(tx *bolt.Tx) error {
		_, _, err := copyTo(context.Background(), tx, file)
		return err
	})
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// upgrade brings a file to the current format in one transaction. now is as
// [records.Upgrade] has it.
func upgrade(db *bolt.DB, now time.Time) error {
	return db.Update(func(tx *bolt.Tx) error {
		version, err := records.FormatOf(newRevision(tx))
		if err != nil || version >= records.Format {
			return err
		}
		// Before format 3 bbolt itself kept the sequences.
		sequences := map[string]uint64{}
		for _, name := range records.Buckets(version) {
			if last := tx.Bucket(name).Sequence(); last > 0 {
				sequences[string(name)] = last
			}
		}
		for _, name := range records.Buckets(records.Format) {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return records.Upgrade(newRevision(tx), sequences, now)
	})
}
