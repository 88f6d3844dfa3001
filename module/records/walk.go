package records

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"slices"
)

// Each step of a walk seeks again, because the caller may delete records.

// list walks the records under a prefix of an index in the order of their seq.
func (t *table[R, S]) list(r Reader, by index[R], prefix []byte, after uint64) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		at := slices.Clone(prefix)
		for last := after; last < math.MaxUint64; {
			at = place(at[:len(prefix)], last+1)
			key, target := r.Seek(by.bucket, at)
			if !bytes.HasPrefix(key, prefix) || len(key) != len(prefix)+8 {
				return
			}
			last = binary.BigEndian.Uint64(key[len(prefix):])
			record, err := t.follow(r, by, key, target)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// under walks the records under a prefix of an unordered index.
func (t *table[R, S]) under(r Reader, by index[R], prefix []byte) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for key, target := range entries(r, by.bucket, prefix) {
			if !bytes.HasPrefix(key, prefix) {
				return
			}
			record, err := t.follow(r, by, key, target)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// back walks the records under a prefix of an index in the reverse order of their
// seq, beginning before the given one. 0 means the end.
func (t *table[R, S]) back(r Reader, by index[R], prefix []byte, before uint64) iter.Seq2[R, error] {
	return backwards(r, by.bucket, prefix, before, func(key, target []byte) (R, error) {
		return t.follow(r, by, key, target)
	})
}

// allBack walks all records of a table whose keys are places.
func (t *table[R, S]) allBack(r Reader, before uint64) iter.Seq2[R, error] {
	return backwards(r, t.bucket, nil, before, t.decode)
}

func backwards[R any](r Reader, bucket, prefix []byte, before uint64, read func(key, value []byte) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		at := slices.Clone(prefix)
		for next := before - 1; next > 0; { // 0 wraps around to the largest seq
			at = place(at[:len(prefix)], next)
			key, value := r.SeekBack(bucket, at)
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

// all walks every record in the order of keys, beginning after the given key. nil
// means the beginning.
func (t *table[R, S]) all(r Reader, after []byte) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		from := after
		if after != nil {
			from = append(slices.Clone(after), 0)
		}
		for key, value := range entries(r, t.bucket, from) {
			record, err := t.decode(key, value)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}
