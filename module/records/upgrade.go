package records

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Upgrade adds what format 1 doesn't have: the indexes by creator and of
// sessions, the counts, and the ID of the store. All buckets of the current
// format are there. Format 1 was not written to while nothing was changed, so
// the time of its last write tells nothing of the clock: unless now is zero,
// the clock is taken for right.
func Upgrade(w Writer, now time.Time) error {
	err := errors.Join(
		fillIn(w, &apps), fillIn(w, &credentials, sessionsOfUser, credentialsOfCreator),
		fillIn(w, &collaborators, collaboratorsOfCreator), fillIn(w, &tombstones, tombstonesOfCreator),
		identify(w), newUpdate(w).advance(now),
	)
	if err != nil {
		return fmt.Errorf("upgrading the key store: %w", err)
	}
	return writeFormat(w)
}

// fillIn puts the records of a table into indexes that are new, and counts
// them. It leaves out records that can't be read, because they can't be changed
// either.
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
