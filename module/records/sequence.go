package records

import (
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// sequencesBucket maps the name of a bucket to the newest number of its records.
var sequencesBucket = []byte("sequences")

// revisionKey is the key of the sequences bucket for the revision of the store. No
// bucket has this name.
var revisionKey = []byte("revision")

// nextRevision gives the revision being written its number.
func nextRevision(w Writer) (uint64, error) {
	last, err := readSequence(w, revisionKey)
	if err != nil {
		return 0, err
	}
	return last + 1, writeSequence(w, revisionKey, last+1)
}

// order gives a new record the next seq. A record with a seq advances the sequence
// past it.
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
