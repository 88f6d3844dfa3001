package records

import (
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// keyCount and appCount return the keys of the counts bucket for the numbers of a
// user's keys and apps.
func keyCount(userID string) []byte { return append(join(userID), "keys"...) }
func appCount(userID string) []byte { return append(join(userID), "apps"...) }

// addCount adds n, which is 1 or -1, to the count that includes a record.
func (t *table[R, S]) addCount(w Writer, record R, n int) error {
	if t.count == nil {
		return nil
	}
	at := t.count(record)
	if at == nil {
		return nil
	}
	count, err := readCount(w, at)
	switch {
	case err != nil:
		return err
	case n < 0 && count == 0:
		return fmt.Errorf("%w: more records than %s counts", keys.ErrCorrupt, shown(at))
	}
	return writeCount(w, at, count+uint64(n))
}

func readCount(r Reader, at []byte) (uint64, error) {
	value := r.Get(countsBucket, at)
	if value == nil {
		return 0, nil
	}
	var count uint64
	if err := unseal(value, &count); err != nil {
		return 0, fmt.Errorf("%w: the count %s: %w", keys.ErrCorrupt, shown(at), err)
	}
	return count, nil
}

// writeCount writes a count. It deletes a count of 0.
func writeCount(w Writer, at []byte, count uint64) error {
	if count == 0 {
		return w.Delete(countsBucket, at)
	}
	value, err := seal(count)
	if err != nil {
		return err
	}
	return w.Put(countsBucket, at, value)
}
