package boltstore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// revision is a [records.Writer] over one transaction.
type revision struct {
	tx *bolt.Tx
	// buckets are those that were last read: to find a bucket costs as much as
	// to find a key in it. Others take their places in turn.
	buckets [8]bucket
	turn    int
}

// bucket is a bucket that was found in the file.
type bucket struct {
	name []byte
	*bolt.Bucket
	cursor *bolt.Cursor // made when it is first needed
}

func newRevision(tx *bolt.Tx) *revision { return &revision{tx: tx} }

// view returns the records of a transaction.
func view(tx *bolt.Tx) keys.Reader { return records.NewView(newRevision(tx)) }

// bucket finds a bucket, or returns nil if the file has no bucket of that name.
func (r *revision) bucket(name []byte) *bucket {
	for i := range r.buckets {
		if b := &r.buckets[i]; b.Bucket != nil && bytes.Equal(b.name, name) {
			return b
		}
	}
	found := r.tx.Bucket(name)
	if found == nil {
		return nil
	}
	b := &r.buckets[r.turn]
	*b = bucket{name: name, Bucket: found}
	r.turn = (r.turn + 1) % len(r.buckets)
	return b
}

// cursor returns a cursor of a bucket, or nil where there is no such bucket.
func (r *revision) cursor(name []byte) *bolt.Cursor {
	b := r.bucket(name)
	if b == nil {
		return nil
	}
	if b.cursor == nil {
		b.cursor = b.Cursor()
	}
	return b.cursor
}

// Get implements [records.Reader].
func (r *revision) Get(bucket, key []byte) []byte {
	defer markAstray(bucket)
	c := r.cursor(bucket)
	if c == nil {
		return nil
	}
	if k, v := c.Seek(key); bytes.Equal(k, key) {
		return v
	}
	return nil
}

// Seek implements [records.Reader].
func (r *revision) Seek(bucket, key []byte) (k, v []byte) {
	defer markAstray(bucket)
	c := r.cursor(bucket)
	if c == nil {
		return nil, nil
	}
	return c.Seek(key)
}

// SeekBack implements [records.Reader].
func (r *revision) SeekBack(bucket, key []byte) (k, v []byte) {
	defer markAstray(bucket)
	c := r.cursor(bucket)
	if c == nil {
		return nil, nil
	}
	switch k, v = c.Seek(key); {
	case k == nil:
		return c.Last()
	case bytes.Equal(k, key):
		return k, v
	}
	return c.Prev()
}

// Put implements [records.Writer]. A bucket that a store's format need not have
// appears with its first entry.
func (r *revision) Put(bucket, key, value []byte) error {
	defer markAstray(bucket)
	b, err := r.tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	if records.InOrder(bucket) {
		b.FillPercent = 1
	}
	return b.Put(key, value)
}

// Delete implements [records.Writer].
func (r *revision) Delete(bucket, key []byte) error {
	defer markAstray(bucket)
	b := r.tx.Bucket(bucket)
	if b == nil {
		return nil
	}
	return b.Delete(key)
}

// Interface guard
var _ records.Writer = (*revision)(nil)
