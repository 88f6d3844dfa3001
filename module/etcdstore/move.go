package etcdstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Moved is the result of moving a store into etcd or out of it.
type Moved struct {
	// Records is the number of records that are at the new place. Written is how
	// many of them were written or deleted now.
	Records int `json:"records"`
	Written int `json:"written"`
	// Revision is the newest change of the store.
	Revision uint64 `json:"revision"`
	// Finished is true if the new place can be used.
	Finished bool `json:"finished"`
}

// What keeps a store from being moved.
var (
	errRuns    = errors.New("nodes are running on the key store in etcd: stop all of them")
	errInUse   = errors.New("etcd has a key store under this prefix that has been changed since: give another prefix")
	errChanged = errors.New("the records in etcd differ from those that were written: see that nothing else writes under this prefix, and run it again")
	// errUnfinished is for a node that is started too early.
	errUnfinished = errors.New("a key store is being moved into etcd: finish that with \"store migrate\" first")
	errLeft       = errors.New("this key store was moved out of etcd: use the file that it was moved to, or give another prefix")
)

// mover moves a store.
type mover struct {
	client *clientv3.Client
	layout layout
	Moved
}

func newMover(c Config) (*mover, error) {
	c.Mirror = "-" // a mover needs no mirror
	c, err := c.Complete()
	if err != nil {
		return nil, err
	}
	client, err := connect(c)
	if err != nil {
		return nil, err
	}
	return &mover{client: client, layout: layout(c.Prefix)}, nil
}

// MoveIn copies the records of a store into etcd. It writes what differs, so it can
// be run again after it was ended, or to prepare what a later run finishes. Only a
// run with finish makes a store of them that nodes can use, after reading
// everything back. Nobody may change the source from then on.
func MoveIn(ctx context.Context, c Config, from records.Reader, finish bool) (done Moved, err error) {
	m, err := newMover(c)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, m.client.Close()) }()
	if m.Revision, err = records.Revision(from); err != nil {
		return done, err
	}
	if err := m.begin(ctx); err != nil {
		return done, err
	}
	m.Written, err = m.each(ctx, from, m.write)
	if err != nil || !finish {
		return m.Moved, err
	}
	differ, err := m.each(ctx, from, func(context.Context, []clientv3.Op) error { return nil })
	if err == nil && differ > 0 {
		err = errChanged
	}
	if err != nil {
		return m.Moved, err
	}
	return m.Moved, m.finish(ctx)
}

// begin refuses an etcd that has another store, or one in use. What an earlier run
// has finished, and nobody has changed, is unfinished again.
func (m *mover) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := m.client.Txn(ctx).Then(
		clientv3.OpGet(m.layout.nodes(), clientv3.WithPrefix(), clientv3.WithCountOnly()),
		clientv3.OpGet(m.layout.head()), clientv3.OpGet(m.layout.moved()),
	).Commit()
	if err != nil {
		return fmt.Errorf("asking etcd: %w", err)
	}
	nodes, there, moved := answer.Responses[0].GetResponseRange(), answer.Responses[1].GetResponseRange(), answer.Responses[2].GetResponseRange()
	switch {
	case nodes.Count > 0:
		return errRuns
	case len(there.Kvs) == 0:
		return nil
	case len(moved.Kvs) == 0 || !bytes.Equal(moved.Kvs[0].Value, there.Kvs[0].Value):
		return errInUse
	}
	same := clientv3.Compare(clientv3.ModRevision(m.layout.head()), "=", there.Kvs[0].ModRevision)
	gone, err := m.client.Txn(ctx).If(same).Then(clientv3.OpDelete(m.layout.head()), clientv3.OpDelete(m.layout.headID())).Commit()
	if err == nil && !gone.Succeeded {
		err = errInUse
	}
	return err
}

// sum is the hash of a value.
type sum [sha256.Size]byte

func sumOf(value []byte) sum { return sha256.Sum256(value) }

// each compares the records of a store with those in etcd, and calls write with the
// operations that make them equal. It returns how many there are.
func (m *mover) each(ctx context.Context, from records.Reader, write func(context.Context, []clientv3.Op) error) (n int, err error) {
	there, err := m.digestAll(ctx)
	if err != nil {
		return 0, err
	}
	var ops []clientv3.Op
	size := 0
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		n += len(ops)
		err := write(ctx, ops)
		ops, size = nil, 0
		return err
	}
	add := func(op clientv3.Op, bytes int) error {
		if len(ops) == maxOps || size+bytes > maxBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		ops, size = append(ops, op), size+bytes
		return nil
	}
	m.Records = 0
	err = records.Primaries(ctx, from, func(e records.Entry) error {
		m.Records++
		name := m.layout.entry(e)
		sum, ok := there[name]
		delete(there, name)
		if ok && sum == sumOf(e.Value) {
			return nil
		}
		return add(clientv3.OpPut(name, string(e.Value)), len(name)+len(e.Value))
	})
	if err != nil {
		return n, err
	}
	for name := range there { // what the source has no longer
		if err := add(clientv3.OpDelete(name), len(name)); err != nil {
			return n, err
		}
	}
	return n, flush()
}

// digestAll returns the sums of all records in etcd at one revision.
func (m *mover) digestAll(ctx context.Context) (map[string]sum, error) {
	there := map[string]sum{}
	err := listAll(ctx, m.client, m.layout, 0, func(key string, value []byte) error {
		there[key] = sumOf(value)
		return nil
	})
	return there, err
}

func (m *mover) write(ctx context.Context, ops []clientv3.Op) error {
	ctx, cancel := context.WithTimeout(ctx, 10*callTimeout)
	defer cancel()
	absent := clientv3.Compare(clientv3.CreateRevision(m.layout.head()), "=", 0)
	answer, err := m.client.Txn(ctx).If(absent).Then(ops...).Commit()
	if err == nil && !answer.Succeeded {
		err = errInUse
	}
	if err != nil {
		return fmt.Errorf("writing records into etcd: %w", err)
	}
	return nil
}

// finish makes a store of the records.
func (m *mover) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	h := head{Seq: m.Revision, ID: newID()}
	absent := clientv3.Compare(clientv3.CreateRevision(m.layout.head()), "=", 0)
	answer, err := m.client.Txn(ctx).If(absent).Then(append(m.layout.putHead(h),
		clientv3.OpPut(m.layout.moved(), string(encode(h))), clientv3.OpDelete(m.layout.left()))...).Commit()
	if err == nil && !answer.Succeeded {
		err = errInUse
	}
	m.Finished = err == nil
	return err
}

// MoveOut makes a file of the store in etcd, on which no node may run, and takes it
// out of use in etcd. There is no file at the path yet.
func MoveOut(ctx context.Context, c Config, path string) (done Moved, err error) {
	m, err := newMover(c)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, m.client.Close()) }()
	h, revision, err := m.unused(ctx)
	if err != nil {
		return done, err
	}
	m.Revision = h.Seq
	next, err := boltstore.MakeMirror(ctx, path)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, next.Abandon()) }()
	err = listAll(ctx, m.client, m.layout, revision, func(key string, value []byte) error {
		m.Records++
		return addTo(next, m.layout, key, value)
	})
	if err != nil {
		return done, err
	}
	m.Written = m.Records
	if err := next.FinishStore(ctx); err != nil {
		return done, err
	}
	return m.Moved, m.retire(ctx, revision)
}

// unused returns the head of a store that no node runs on, and the revision of
// etcd.
func (m *mover) unused(ctx context.Context) (h head, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := m.client.Txn(ctx).Then(
		clientv3.OpGet(m.layout.nodes(), clientv3.WithPrefix(), clientv3.WithCountOnly()), clientv3.OpGet(m.layout.head()),
		clientv3.OpGet(m.layout.holds(), clientv3.WithPrefix(), clientv3.WithCountOnly()),
	).Commit()
	if err != nil {
		return h, 0, fmt.Errorf("asking etcd: %w", err)
	}
	there := answer.Responses[1].GetResponseRange()
	switch {
	case answer.Responses[0].GetResponseRange().Count > 0:
		return h, 0, errRuns
	case answer.Responses[2].GetResponseRange().Count > 0:
		return h, 0, errHeld
	case len(there.Kvs) == 0:
		return h, 0, errors.New("etcd has no key store under this prefix")
	}
	h, err = decode[head]("head", there.Kvs[0].Value)
	return h, answer.Header.Revision, err
}

// retire keeps nodes from using the store in etcd, unless it has changed since a
// revision of etcd.
func (m *mover) retire(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	unchanged := clientv3.Compare(clientv3.ModRevision(m.layout.head()), "<", revision+1)
	answer, err := m.client.Txn(ctx).If(unchanged).Then(
		clientv3.OpDelete(m.layout.head()), clientv3.OpDelete(m.layout.headID()), clientv3.OpPut(m.layout.left(), time.Now().UTC().Format(time.RFC3339)),
	).Commit()
	if err == nil && !answer.Succeeded {
		err = errInUse
	}
	if err != nil {
		return fmt.Errorf("the file is complete, but etcd still has the key store: %w", err)
	}
	m.Finished = true
	return nil
}
