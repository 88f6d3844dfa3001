package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// upgradeFile brings the file at path to the current format, and keeps a copy
// of what it was beside it. A crash leaves the file in either format, whole.
func upgradeFile(db *bolt.DB, path string) error {
	version, err := formatOf(db)
	if err != nil || version == 0 || version >= formatVersion {
		return err
	}
	if err := copyBeside(db, fmt.Sprintf("%s.format-%d", path, version)); err != nil {
		return fmt.Errorf("keeping a copy of the file before it is upgraded (nothing was changed; make room for the copy): %w", err)
	}
	return upgrade(db, time.Now())
}

// formatOf is the format of a file, and 0 for one that is not a key store yet.
func formatOf(db *bolt.DB) (version int, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		err := checkFormat(tx)
		if errors.Is(err, errEmpty) || errors.Is(err, errForeign) {
			return nil // the caller finds out
		}
		if err == nil {
			version = versionOf(tx)
		}
		return err
	})
	return version, err
}

// versionOf is the format that a file names, and 0 where it names none.
func versionOf(tx *bolt.Tx) int {
	number, ours := strings.CutPrefix(string(tx.Bucket(metaBucket).Get(formatKey)), formatName)
	version, err := strconv.Atoi(number)
	if !ours || err != nil {
		return 0
	}
	return version
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

// upgrade adds what format 1 doesn't have, in one transaction: the indexes by
// creator and of sessions, the counts, and the ID of the store. Format 1 was
// not written to while nothing was changed, so the time of its last write tells
// nothing of the clock: unless now is zero, the clock is taken for right.
func upgrade(db *bolt.DB, now time.Time) error {
	return db.Update(func(tx *bolt.Tx) error {
		if versionOf(tx) >= formatVersion {
			return nil
		}
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		err := errors.Join(
			fillIn(tx, &apps), fillIn(tx, &credentials, sessionsOfUser, credentialsOfCreator),
			fillIn(tx, &collaborators, collaboratorsOfCreator), fillIn(tx, &tombstones, tombstonesOfCreator),
			identify(tx), (&writer{reader: reader{tx}}).advance(now),
		)
		if err != nil {
			return fmt.Errorf("upgrading the file: %w", err)
		}
		return tx.Bucket(metaBucket).Put(formatKey, fmt.Append(nil, formatName, formatVersion))
	})
}

// fillIn puts the records of a table into indexes that are new, and counts
// them. A record that can't be read is left out, as it can't be changed either.
func fillIn[R, S any](tx *bolt.Tx, t *table[R, S], indexes ...index[R]) error {
	counts := map[string]uint64{}
	err := tx.Bucket(t.bucket).ForEach(func(key, value []byte) error {
		record, err := t.decode(key, value)
		if errors.Is(err, keys.ErrCorrupt) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, by := range indexes {
			if at := by.key(record); at != nil {
				if err := tx.Bucket(by.bucket).Put(at, key); err != nil {
					return err
				}
			}
		}
		if t.count != nil {
			if at := t.count(record); at != nil {
				counts[string(at)]++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for at, n := range counts {
		if err := writeCount(tx, []byte(at), n); err != nil {
			return err
		}
	}
	return nil
}
