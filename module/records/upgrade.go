package records

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Upgrade upgrades a store to the current format. All buckets of that format exist
// already. Formats 4 and 5 only add fields to records. sequences are the newest
// numbers of the buckets by name, which format 2 has elsewhere.
//
// Format 1 recorded no time while nothing was changed, so its last write says
// nothing about the clock. Unless now is zero, Upgrade trusts the clock.
func Upgrade(w Writer, sequences map[string]uint64, now time.Time) error {
	format, err := FormatOf(w)
	if err == nil && format < 2 {
		err = addIndexes(w, now)
	}
	if err == nil && format < 3 {
		for bucket, last := range sequences {
			err = errors.Join(err, writeSequence(w, []byte(bucket), last))
		}
	}
	if err != nil {
		return fmt.Errorf("upgrading the key store: %w", err)
	}
	return writeFormat(w)
}

// addIndexes adds what format 1 lacks: the indexes by creator and of sessions, the
// counts, and the ID of the store.
func addIndexes(w Writer, now time.Time) error {
	return errors.Join(
		fillIn(w, &apps), fillIn(w, &credentials, sessionsOfUser, credentialsOfCreator),
		fillIn(w, &collaborators, collaboratorsOfCreator), fillIn(w, &tombstones, tombstonesOfCreator),
		identify(w), newUpdate(w).advance(now),
	)
}

// fillIn adds the records of a table to new indexes, and counts them. It leaves out
// unreadable records, because they can't be changed either.
func fillIn[R, S any](w Writer, t *table[R, S], indexes ...index[R]) error {
	counts := map[string]uint64{}
	for key, value := range entries(w, t.bucket, nil) {
		record, err := t.decode(key, value)
		if errors.Is(err, keys.ErrCorrupt) {
			continue
		}
		if err != nil {
			return err
		}
		for _, by := range indexes {
			if at := by.key(record); at != nil {
				if err := w.Put(by.bucket, at, t.key(record)); err != nil {
					return err
				}
			}
		}
		if t.count != nil {
			if at := t.count(record); at != nil {
				counts[string(at)]++
			}
		}
	}
	for at, n := range counts {
		if err := writeCount(w, []byte(at), n); err != nil {
			return err
		}
	}
	return nil
}
