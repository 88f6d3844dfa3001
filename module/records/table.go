package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// table keeps the records of one kind R, each as an S in one bucket, and the
// indexes that go with them.
type table[R, S any] struct {
	name    string
	bucket  []byte
	key     func(R) []byte
	seq     func(*R) *uint64 // nil if records have no order
	pack    func(R) S
	unpack  func(S) (R, error)
	indexes []index[R]
	// count returns the key of the count that includes a record, or nil if the
	// record isn't counted.
	count func(R) []byte
}

// index leads from another key to the key of the record.
type index[R any] struct {
	bucket []byte
	key    func(R) []byte // nil if the index omits the record
}

func (t *table[R, S]) get(r Reader, key []byte) (R, error) {
	value := r.Get(t.bucket, key)
	if value == nil {
		var none R
		return none, keys.ErrNotFound
	}
	return t.decode(key, value)
}

// find gets a record by an index.
func (t *table[R, S]) find(r Reader, by index[R], key []byte) (R, error) {
	target := r.Get(by.bucket, key)
	if target == nil {
		var none R
		return none, keys.ErrNotFound
	}
	return t.follow(r, by, key, target)
}

// findFirst gets the first record whose key in an index begins with prefix.
func (t *table[R, S]) findFirst(r Reader, by index[R], prefix []byte) (R, error) {
	key, target := r.Seek(by.bucket, prefix)
	if !bytes.HasPrefix(key, prefix) {
		var none R
		return none, keys.ErrNotFound
	}
	return t.follow(r, by, key, target)
}

// follow gets the record that an index leads to. It checks that the record belongs
// under that key, because a wrong entry would lead to somebody else's record.
func (t *table[R, S]) follow(r Reader, by index[R], key, target []byte) (R, error) {
	record, err := t.get(r, target)
	if errors.Is(err, keys.ErrNotFound) || err == nil && !bytes.Equal(by.key(record), key) {
		var none R
		return none, t.corrupt(target, fmt.Errorf("the index %s has it under %q", by.bucket, key))
	}
	return record, err
}

func (t *table[R, S]) put(w Writer, record R) error {
	if t.seq != nil {
		if err := t.order(w, t.seq(&record)); err != nil {
			return t.failed("storing", err)
		}
	}
	key := t.key(record)
	value, err := t.encode(record)
	if err != nil {
		return t.failed("storing", err)
	}
	// The previous record may be indexed under other keys.
	if err := t.delete(w, key); err != nil {
		return err
	}
	for _, by := range t.indexes {
		at := by.key(record)
		if at == nil {
			continue
		}
		if has(w, by.bucket, at) {
			return t.failed("storing", fmt.Errorf("%q in the index %s: %w", at, by.bucket, keys.ErrExists))
		}
		if err := w.Put(by.bucket, at, key); err != nil {
			return t.failed("storing", err)
		}
	}
	if err := w.Put(t.bucket, key, value); err != nil {
		return t.failed("storing", err)
	}
	if err := t.addCount(w, record, 1); err != nil {
		return t.failed("storing", err)
	}
	return nil
}

func (t *table[R, S]) delete(w Writer, key []byte) error {
	record, err := t.get(w, key)
	if errors.Is(err, keys.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, by := range t.indexes {
		if at := by.key(record); at != nil {
			if err := w.Delete(by.bucket, at); err != nil {
				return t.failed("deleting", err)
			}
		}
	}
	if err := w.Delete(t.bucket, key); err != nil {
		return t.failed("deleting", err)
	}
	if err := t.addCount(w, record, -1); err != nil {
		return t.failed("deleting", err)
	}
	return nil
}

func (t *table[R, S]) failed(doing string, err error) error {
	return fmt.Errorf("%s a %s: %w", doing, t.name, err)
}
