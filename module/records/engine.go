// Package records keeps the records of a key store in an ordered map of
// buckets, which an engine provides: how records are written, which indexes
// lead to them, how they are counted, checked, upgraded and merged.
package records

import (
	"bytes"
	"iter"
)

// Reader is one revision of an ordered map of buckets. It is used by one
// goroutine at a time.
//
// A bucket that does not exist is empty. What a Reader returns is read only,
// and good until the next write or the end of the revision. A Reader keeps no
// key that it is given.
type Reader interface {
	// Get returns the value of a key, or nil if there is none.
	Get(bucket, key []byte) []byte
	// Seek returns the first entry at or after a key, or a nil key where there
	// is none.
	Seek(bucket, key []byte) (k, v []byte)
	// SeekBack returns the last entry at or before a key, or a nil key where
	// there is none.
	SeekBack(bucket, key []byte) (k, v []byte)
}

// Writer is a revision that is being written. A value that it was given does
// not change before the revision ends.
type Writer interface {
	Reader
	// Put sets the value of a key, which is not empty.
	Put(bucket, key, value []byte) error
	// Delete deletes a key. It does nothing if there is none.
	Delete(bucket, key []byte) error
}

// entries walks a bucket from a key on. Each step seeks again, because the
// caller may delete what it is given.
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

// count returns how many entries a bucket has. It asks each time whether to go
// on.
func count(r Reader, bucket []byte, goOn func() error) (n int, err error) {
	for range entries(r, bucket, nil) {
		if err := goOn(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
