package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// table keeps the records of one kind R, each as an S in one bucket, and the
// indexes that go with them.
type table[R, S any] struct {
	name    string
	bucket  []byte
	key     func(R) []byte
	seq     func(*R) *uint64 // nil where records have no order
	pack    func(R) S
	unpack  func(S) (R, error)
	indexes []index[R]
	// count is where records of this kind are counted, and nil for a record
	// that isn't.
	count func(R) []byte
}

// index leads from another key to that of the record.
type index[R any] struct {
	bucket []byte
	key    func(R) []byte // nil where the record is not in it
}

func (t *table[R, S]) get(tx *bolt.Tx, key []byte) (R, error) {
	value := tx.Bucket(t.bucket).Get(key)
	if value == nil {
		var none R
		return none, keys.ErrNotFound
	}
	return t.decode(key, value)
}

// find gets a record by an index.
func (t *table[R, S]) find(tx *bolt.Tx, by index[R], key []byte) (R, error) {
	target := tx.Bucket(by.bucket).Get(key)
	if target == nil {
		var none R
		return none, keys.ErrNotFound
	}
	return t.follow(tx, by, key, target)
}

// findFirst gets the first record whose key in an index begins with prefix.
func (t *table[R, S]) findFirst(tx *bolt.Tx, by index[R], prefix []byte) (R, error) {
	key, target := tx.Bucket(by.bucket).Cursor().Seek(prefix)
	if !bytes.HasPrefix(key, prefix) {
		var none R
		return none, keys.ErrNotFound
	}
	return t.follow(tx, by, key, target)
}

// follow gets the record that an index leads to, which must be one that the
// index would lead to: a wrong turn ends at somebody else's record.
func (t *table[R, S]) follow(tx *bolt.Tx, by index[R], key, target []byte) (R, error) {
	record, err := t.get(tx, target)
	if errors.Is(err, keys.ErrNotFound) || err == nil && !bytes.Equal(by.key(record), key) {
		var none R
		return none, t.corrupt(target, fmt.Errorf("the index %s has it under %q", by.bucket, key))
	}
	return record, err
}

// list walks the records under a prefix of an index in order of their seq.
func (t *table[R, S]) list(tx *bolt.Tx, by index[R], prefix []byte, after uint64) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		cursor := tx.Bucket(by.bucket).Cursor()
		for last := after; last < math.MaxUint64; {
			// Sought each time, for whoever walks may delete what it is given,
			// and that moves what a cursor stands on.
			key, target := cursor.Seek(place(slices.Clip(prefix), last+1))
			if !bytes.HasPrefix(key, prefix) || len(key) != len(prefix)+8 {
				return
			}
			last = binary.BigEndian.Uint64(key[len(prefix):])
			record, err := t.follow(tx, by, key, target)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// under walks the records under a prefix of an index that has no order.
func (t *table[R, S]) under(tx *bolt.Tx, by index[R], prefix []byte) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		cursor := tx.Bucket(by.bucket).Cursor()
		for last := slices.Clone(prefix); ; {
			// Sought each time, as in list.
			key, target := cursor.Seek(last)
			if key != nil && bytes.Equal(key, last) {
				key, target = cursor.Next()
			}
			if !bytes.HasPrefix(key, prefix) {
				return
			}
			last = append(last[:0], key...)
			record, err := t.follow(tx, by, last, target)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// back walks the records under a prefix of an index in the reverse order of
// their seq, from before the given one; 0 is the end.
func (t *table[R, S]) back(tx *bolt.Tx, by index[R], prefix []byte, before uint64) iter.Seq2[R, error] {
	return backwards(tx.Bucket(by.bucket), prefix, before, func(key, target []byte) (R, error) {
		return t.follow(tx, by, key, target)
	})
}

// allBack walks all records of a table whose keys are places.
func (t *table[R, S]) allBack(tx *bolt.Tx, before uint64) iter.Seq2[R, error] {
	return backwards(tx.Bucket(t.bucket), nil, before, t.decode)
}

func backwards[R any](bucket *bolt.Bucket, prefix []byte, before uint64, read func(key, value []byte) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		cursor := bucket.Cursor()
		for next := before - 1; next > 0; { // of 0 that is the largest there is
			// Sought each time, as in list.
			at := place(slices.Clip(prefix), next)
			key, value := cursor.Seek(at)
			switch {
			case key == nil:
				key, value = cursor.Last()
			case !bytes.Equal(key, at):
				key, value = cursor.Prev()
			}
			if !bytes.HasPrefix(key, prefix) || len(key) != len(prefix)+8 {
				return
			}
			next = binary.BigEndian.Uint64(key[len(prefix):]) - 1
			record, err := read(key, value)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// all walks every record, in the order of their keys, from after the given
// one.
func (t *table[R, S]) all(tx *bolt.Tx, after []byte) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		cursor := tx.Bucket(t.bucket).Cursor()
		// Sought each time, as in list.
		for last := slices.Clone(after); ; {
			key, value := cursor.Seek(last)
			if key != nil && bytes.Equal(key, last) {
				key, value = cursor.Next()
			}
			if key == nil {
				return
			}
			last = append(last[:0], key...)
			record, err := t.decode(key, value)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

func (t *table[R, S]) put(tx *bolt.Tx, record R) error {
	bucket := tx.Bucket(t.bucket)
	if t.seq != nil {
		if err := order(bucket, t.seq(&record)); err != nil {
			return t.failed("storing", err)
		}
	}
	key := t.key(record)
	value, err := t.encode(record)
	if err != nil {
		return t.failed("storing", err)
	}
	// The one before may have been indexed under other keys.
	if err := t.delete(tx, key); err != nil {
		return err
	}
	for _, by := range t.indexes {
		at := by.key(record)
		if at == nil {
			continue
		}
		b := tx.Bucket(by.bucket)
		if b.Get(at) != nil {
			return t.failed("storing", fmt.Errorf("%q in the index %s: %w", at, by.bucket, keys.ErrExists))
		}
		if err := b.Put(at, key); err != nil {
			return t.failed("storing", err)
		}
	}
	if err := bucket.Put(key, value); err != nil {
		return t.failed("storing", err)
	}
	if err := t.addCount(tx, record, 1); err != nil {
		return t.failed("storing", err)
	}
	return nil
}

// addCount adds n, which is 1 or -1, to the count of records that one is among.
func (t *table[R, S]) addCount(tx *bolt.Tx, record R, n int) error {
	if t.count == nil {
		return nil
	}
	at := t.count(record)
	if at == nil {
		return nil
	}
	count, err := readCount(tx, at)
	switch {
	case err != nil:
		return err
	case n < 0 && count == 0:
		return fmt.Errorf("%w: more records than %s counts", keys.ErrCorrupt, shown(at))
	}
	return writeCount(tx, at, count+uint64(n))
}

func readCount(tx *bolt.Tx, at []byte) (uint64, error) {
	value := tx.Bucket(countsBucket).Get(at)
	if value == nil {
		return 0, nil
	}
	var count uint64
	if err := unseal(value, &count); err != nil {
		return 0, fmt.Errorf("%w: the count %s: %w", keys.ErrCorrupt, shown(at), err)
	}
	return count, nil
}

// writeCount keeps no count of 0.
func writeCount(tx *bolt.Tx, at []byte, count uint64) error {
	if count == 0 {
		return tx.Bucket(countsBucket).Delete(at)
	}
	value, err := seal(count)
	if err != nil {
		return err
	}
	return tx.Bucket(countsBucket).Put(at, value)
}

// order gives a new record the next seq, and keeps the next ones behind a seq
// that was given.
func order(bucket *bolt.Bucket, seq *uint64) (err error) {
	switch {
	case *seq == 0:
		*seq, err = bucket.NextSequence()
	case *seq > bucket.Sequence():
		err = bucket.SetSequence(*seq)
	}
	return err
}

func (t *table[R, S]) delete(tx *bolt.Tx, key []byte) error {
	record, err := t.get(tx, key)
	if errors.Is(err, keys.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, by := range t.indexes {
		if at := by.key(record); at != nil {
			if err := tx.Bucket(by.bucket).Delete(at); err != nil {
				return t.failed("deleting", err)
			}
		}
	}
	if err := tx.Bucket(t.bucket).Delete(key); err != nil {
		return t.failed("deleting", err)
	}
	if err := t.addCount(tx, record, -1); err != nil {
		return t.failed("deleting", err)
	}
	return nil
}

func (t *table[R, S]) failed(doing string, err error) error {
	return fmt.Errorf("%s a %s: %w", doing, t.name, err)
}
