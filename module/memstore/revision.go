package memstore

import (
	"bytes"

	"github.com/google/btree"

	"github.com/caddy-api-keys/gateway/module/records"
)

// entry is a key of a bucket, and its value. Entries sort by bucket, then by
// key.
type entry struct {
	bucket, key, value []byte
}

func (e entry) less(than entry) bool {
	if order := bytes.Compare(e.bucket, than.bucket); order != 0 {
		return order < 0
	}
	return bytes.Compare(e.key, than.key) < 0
}

// degree is how many children a node of the tree has at least.
const degree = 32

// revision is a [records.Writer] over all buckets in one tree.
type revision struct{ tree *btree.BTreeG[entry] }

func newRevision() revision { return revision{btree.NewG(degree, entry.less)} }

// clone returns a copy. The two share memory until either is written to.
func (r revision) clone() revision { return revision{r.tree.Clone()} }

// Get implements [records.Reader].
func (r revision) Get(bucket, key []byte) []byte {
	found, _ := r.tree.Get(entry{bucket: bucket, key: key})
	return found.value
}

// Seek implements [records.Reader].
func (r revision) Seek(bucket, key []byte) (k, v []byte) {
	r.tree.AscendGreaterOrEqual(entry{bucket: bucket, key: key}, func(e entry) bool {
		if bytes.Equal(e.bucket, bucket) {
			k, v = e.key, e.value
		}
		return false
	})
	return k, v
}

// SeekBack implements [records.Reader].
func (r revision) SeekBack(bucket, key []byte) (k, v []byte) {
	r.tree.DescendLessOrEqual(entry{bucket: bucket, key: key}, func(e entry) bool {
		if bytes.Equal(e.bucket, bucket) {
			k, v = e.key, e.value
		}
		return false
	})
	return k, v
}

// Put implements [records.Writer].
func (r revision) Put(bucket, key, value []byte) error {
	r.tree.ReplaceOrInsert(entry{bytes.Clone(bucket), bytes.Clone(key), append([]byte{}, value...)})
	return nil
}

// Delete implements [records.Writer].
func (r revision) Delete(bucket, key []byte) error {
	r.tree.Delete(entry{bucket: bucket, key: key})
	return nil
}

// Interface guard
var _ records.Writer = revision{}
