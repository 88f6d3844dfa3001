package etcdstore

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Under the prefix of the store in etcd are
//
//	head                     the newest change
//	head-id                  the ID of the head, which the next change compares
//	r/<bucket>/<key>         the primary entries of the records
//	u/<bucket>/<key>         what keys were used for, which are not changes
//	q/<first day>/<meter>    how much of a quota nodes have taken in a window
//	nodes/<id>               the nodes, while they live
//	held/<id>                why a node keeps all from deciding
//	reconcile                put when the operator wants the fleet to be reconciled
//	moved                    the head of a store that was moved in, as it was then
//	left                     put when the store was moved out
//	settings                 what all nodes must agree on

// layout makes the names of keys.
type layout string

func (l layout) head() string          { return string(l) + "head" }
func (l layout) headID() string        { return string(l) + "head-id" }
func (l layout) settings() string      { return string(l) + "settings" }
func (l layout) reconcile() string     { return string(l) + "reconcile" }
func (l layout) moved() string         { return string(l) + "moved" }
func (l layout) left() string          { return string(l) + "left" }
func (l layout) records() string       { return string(l) + "r/" }
func (l layout) uses() string          { return string(l) + "u/" }
func (l layout) quotas() string        { return string(l) + "q/" }
func (l layout) nodes() string         { return string(l) + "nodes/" }
func (l layout) node(id string) string { return l.nodes() + id }
func (l layout) holds() string         { return string(l) + "held/" }
func (l layout) hold(id string) string { return l.holds() + id }

// window returns the prefix of the keys of the quotas in a window. The keys of earlier
// windows sort before it.
func (l layout) window(begin keys.Date) string { return l.quotas() + begin.String() + "/" }

// quota returns the key of a quota in a window.
func (l layout) quota(begin keys.Date, meter credential.Digest) string {
	return l.window(begin) + string(meter[:])
}

// entry returns the key of a primary entry.
func (l layout) entry(e records.Entry) string {
	prefix := l.records()
	if records.IsUse(e.Bucket) {
		prefix = l.uses()
	}
	return prefix + string(e.Bucket) + "/" + string(e.Key)
}

// parse is the reverse of entry. A nil value is that of a deleted entry.
func (l layout) parse(key string, value []byte) (records.Entry, error) {
	rest, ok := strings.CutPrefix(key, l.records())
	if !ok {
		rest, ok = strings.CutPrefix(key, l.uses())
	}
	bucket, name, whole := strings.Cut(rest, "/")
	if !ok || !whole || !records.Primary([]byte(bucket)) {
		return records.Entry{}, fmt.Errorf("%w: etcd has a key %q, which this version does not know: use the newest version on all nodes", keys.ErrCorrupt, key)
	}
	return records.Entry{Bucket: []byte(bucket), Key: []byte(name), Value: value}, nil
}

// head is the newest change. It tells every node what the change has made
// stale.
type head struct {
	// Seq is the revision of the store. It counts the changes.
	Seq uint64 `cbor:"1,keyasint"`
	// ID tells the change from any other that might have come in its place.
	// Previous is the ID of the one before.
	ID       []byte `cbor:"2,keyasint"`
	Previous []byte `cbor:"3,keyasint,omitempty"`
	// At is the newest write time in the store, in Unix nanoseconds, or 0.
	At int64 `cbor:"4,keyasint,omitempty"`
	// Touched and Groups are digests, one after the other.
	Touched []byte `cbor:"5,keyasint,omitempty"`
	Groups  []byte `cbor:"6,keyasint,omitempty"`
	All     bool   `cbor:"7,keyasint,omitempty"`
	Reset   bool   `cbor:"8,keyasint,omitempty"`
	// Epoch counts the steps of reconciling. The steps of one have the same Seq.
	Epoch uint64 `cbor:"9,keyasint,omitempty"`
}

func newID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return id
}

// putHead returns the operations that put a head.
func (l layout) putHead(h head) []clientv3.Op {
	return []clientv3.Op{clientv3.OpPut(l.head(), string(encode(h))), clientv3.OpPut(l.headID(), string(h.ID))}
}

// isHead is a comparison that succeeds while the head has this ID. A comparison of
// revisions would also succeed for another head in an etcd that was restored from a
// snapshot.
func (l layout) isHead(id []byte) clientv3.Cmp {
	return clientv3.Compare(clientv3.Value(l.headID()), "=", string(id))
}

// after returns the head of a change that follows h.
func (h head) after(w records.Written) head {
	next := head{Seq: w.Revision, ID: newID(), Previous: h.ID, Epoch: h.Epoch, Touched: pack(w.Change.Touched), Groups: pack(w.Change.Groups), All: w.Change.All, Reset: w.Change.Reset}
	if !w.Change.At.IsZero() {
		next.At = w.Change.At.UnixNano()
	}
	return next
}

// change returns what the feed is told.
func (h head) change() (keys.Change, error) {
	touched, err1 := unpack(h.Touched)
	groups, err2 := unpack(h.Groups)
	c := keys.Change{Touched: touched, Groups: groups, All: h.All, Reset: h.Reset}
	if h.At != 0 {
		c.At = time.Unix(0, h.At).UTC()
	}
	if err1 != nil {
		return c, err1
	}
	return c, err2
}

func pack(digests []credential.Digest) []byte {
	var packed []byte
	for _, d := range digests {
		packed = append(packed, d[:]...)
	}
	return packed
}

func unpack(packed []byte) ([]credential.Digest, error) {
	var d credential.Digest
	if len(packed)%len(d) != 0 {
		return nil, fmt.Errorf("%w: the head has %d bytes of digests", keys.ErrCorrupt, len(packed))
	}
	var digests []credential.Digest
	for ; len(packed) > 0; packed = packed[len(d):] {
		digests = append(digests, credential.Digest(packed[:len(d)]))
	}
	return digests, nil
}

// applied is what a mirror has applied. It is the state of the mirror.
type applied struct {
	// Cluster is the ID of the etcd cluster. It is 0 for a mirror that has never
	// had anything.
	Cluster uint64 `cbor:"1,keyasint"`
	// Revision is the revision of etcd up to which all is applied.
	Revision int64 `cbor:"2,keyasint"`
	// HeadRevision is the revision of etcd that put the head. Head is that head
	// without what it made stale.
	HeadRevision int64 `cbor:"3,keyasint"`
	Head         head  `cbor:"4,keyasint"`
	// Mirror is the ID of the mirror, which stays when it is made again.
	Mirror []byte `cbor:"5,keyasint"`
}

// with returns the state after a head was put.
func (a applied) with(h head, revision int64) applied {
	h.Touched, h.Groups = nil, nil
	a.Head, a.HeadRevision = h, revision
	return a
}

// nodeRecord is what a node says of itself.
type nodeRecord struct {
	Name    string `cbor:"1,keyasint"`
	Started int64  `cbor:"2,keyasint"` // Unix seconds
	// Seq is the newest change that the node has applied.
	Seq uint64 `cbor:"3,keyasint"`
	// Fence is how long the node may decide by what it knew, in nanoseconds.
	Fence int64 `cbor:"4,keyasint"`
	// Mirror is the ID of its mirror.
	Mirror string `cbor:"5,keyasint"`
}

// quotaRecord is how much of a quota all nodes have taken in a window.
type quotaRecord struct {
	Taken int64 `cbor:"1,keyasint"`
}

// settings are what all nodes must agree on, because a node that is cut off
// can't be asked.
type settings struct {
	Serve bool `cbor:"1,keyasint"`
	// Fence is the longest of the nodes' fences, in nanoseconds. The nodes may have
	// different fences.
	Fence int64 `cbor:"2,keyasint,omitempty"`
}

// String returns the value of on_stale.
func (s settings) String() string {
	if s.Serve {
		return "serve"
	}
	return "deny"
}

func encode(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err) // the types above can all be encoded
	}
	return b
}

func decode[T any](what string, b []byte) (v T, err error) {
	if err = cbor.Unmarshal(b, &v); err != nil {
		err = fmt.Errorf("%w: the %s can't be read: %w", keys.ErrCorrupt, what, err)
	}
	return v, err
}
