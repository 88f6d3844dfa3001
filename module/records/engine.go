// Package records keeps the records of a key store in an ordered map of buckets,
// which an engine provides. It encodes, indexes, counts, checks, upgrades and
// merges the records.
package records

import (
	"bytes"
	"iter"
)

// Reader is one revision of an ordered map of buckets. It is used by one
// goroutine at a time.
//
// A missing bucket is empty. Returned slices are read-only, and valid until the
// next write or the end of the revision. A Reader doesn't retain keys.
type Reader interface {
	// Get returns the value of a key, or nil if there is none.
	Get(bucket, key []byte) []byte
	// Seek returns the first entry at or after a key, or a nil key if there is
	// none.
	Seek(bucket, key []byte) (k, v []byte)
	// SeekBack returns the last entry at or before a key, or a nil key if there is
	// none.
	SeekBack(bucket, key []byte) (k, v []byte)
}

// Writer is a revision being written. Callers must not change a value that they
// passed before the revision ends.
type Writer interface {
	Reader
	// Put sets the value of a key. The value is not empty.
	Put(bucket, key, value []byte) error
	// Delete deletes a key. It does nothing if the key is missing.
	Delete(bucket, key []byte) error
}

// entries walks a bucket from a key on. Each step seeks again, because the caller
// may delete entries.
func entries(r Reader, bucket, from []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		next := bytes.Clone(from)
		for {
			key, value := r.Seek(bucket, next)
			if key == nil {
				return
			}
			next = append(append(next[:0], key...), 0) // the first key after it
			if !yield(key, value) {
				return
			}
		}
	}
}

// has reports whether a bucket has a key.
func has(r Reader, bucket, key []byte) bool { return r.Get(bucket, key) != nil }

// count returns the number of entries of a bucket. It stops with an error of check,
// which it calls for each entry.
func count(r Reader, bucket []byte, check func() error) (n int, err error) {
	for range entries(r, bucket, nil) {
		if err := check(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
