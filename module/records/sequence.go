package records

import (
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// sequencesBucket has, under the name of a bucket, the number that was last
// given to one of its records.
var sequencesBucket = []byte("sequences")

// revisionKey is where the sequences bucket has the revision of the store. It
// is no bucket's name.
var revisionKey = []byte("revision")

// nextRevision gives a revision that is being written its number.
func nextRevision(w Writer) (uint64, error) {
	last, err := readSequence(w, revisionKey)
	if err != nil {
		return 0, err
	}
	return last + 1, writeSequence(w, revisionKey, last+1)
}

// order gives a new record the next seq, and keeps the next ones behind a seq
// that was given.
func (t *table[R, S]) order(w Writer, seq *uint64) error {
	last, err := readSequence(w, t.bucket)
	if err != nil {
		return err
	}
	if *seq == 0 {
		*seq = last + 1
	}
	if *seq <= last {
		return nil
	}
	return writeSequence(w, t.bucket, *seq)
}

func readSequence(r Reader, bucket []byte) (uint64, error) {
	value := r.Get(sequencesBucket, bucket)
	if value == nil {
		return 0, nil
	}
	var last uint64
	if err := unseal(value, &last); err != nil {
		return 0, fmt.Errorf("%w: the sequence of %s: %w", keys.ErrCorrupt, bucket, err)
	}
	return last, nil
}

func writeSequence(w Writer, bucket []byte, last uint64) error {
	value, err := seal(last)
	if err != nil {
		return err
	}
	return w.Put(sequencesBucket, bucket, value)
}
