package etcdstore

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Used implements [keys.Store]. Uses don't touch the head, so they never get in the
// way of a change. Each is written only if nothing else was written in its place
// since the mirror heard of it, and made again otherwise. If etcd doesn't answer,
// it may have counted some.
func (s *Store) Used(ctx context.Context, uses []keys.Use) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return keys.ErrClosed
	}
	ctx, cancel := context.WithTimeout(s.ctx, commitTimeout)
	defer cancel()
	for len(uses) > 0 {
		// A use is two records at most.
		some := uses[:min(len(uses), maxOps/2)]
		again, err := s.useSome(ctx, some)
		if err != nil {
			return err
		}
		uses = append(again, uses[len(some):]...)
	}
	return nil
}

// useSome writes uses, and waits until the mirror has them. It returns those that
// are to be made again.
func (s *Store) useSome(ctx context.Context, uses []keys.Use) (again []keys.Use, err error) {
	writes, err := s.tryUses(ctx, uses)
	if err != nil || len(writes) == 0 {
		return nil, err
	}
	var ops []clientv3.Op
	for _, w := range writes {
		ops = append(ops, w.op)
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.Txn(call).Then(ops...).Commit()
	if err != nil {
		return nil, fmt.Errorf("%w: writing last uses into etcd: %w", keys.ErrUnavailable, err)
	}
	newest := int64(0)
	retry := map[credential.Digest]bool{}
	for i, w := range writes {
		switch made := answer.Responses[i].GetResponseTxn(); {
		case made.Succeeded:
			newest = answer.Header.Revision
		case made.Responses[1].GetResponseRange().Count > 0: // the credential is there
			retry[w.digest] = true
			for _, kv := range made.Responses[0].GetResponseRange().Kvs {
				newest = max(newest, kv.ModRevision)
			}
		}
	}
	if !s.known.wait(ctx, func() bool { return s.known.current().Revision >= newest }) {
		return nil, fmt.Errorf("%w: this node can't follow etcd now", keys.ErrUnavailable)
	}
	for _, use := range uses {
		if retry[use.Digest] {
			again = append(again, use)
		}
	}
	return again, nil
}

// useWrite is a record of uses to be written.
type useWrite struct {
	digest credential.Digest
	op     clientv3.Op
}

// tryUses makes uses on the mirror, and returns what they would write.
func (s *Store) tryUses(ctx context.Context, uses []keys.Use) (writes []useWrite, err error) {
	err = s.onMirror(ctx, func(m *boltstore.Mirror) error {
		before := map[string][]byte{}
		var recorder *records.Recorder
		err := m.Try(ctx, func(w records.Writer, _ []byte) error {
			recorder = records.NewRecorder(w)
			_, err := records.ApplyUses(recorder, uses)
			return err
		})
		if err != nil {
			return err
		}
		err = m.Read(ctx, func(r records.Reader, _ []byte) error {
			for _, e := range recorder.Entries() {
				before[s.layout.entry(e)] = slices.Clone(r.Get(e.Bucket, e.Key))
			}
			return nil
		})
		for _, e := range recorder.Entries() {
			writes = append(writes, s.useWrite(e, before[s.layout.entry(e)]))
		}
		return err
	})
	return writes, err
}

// useWrite returns the operation that writes an entry, if its credential exists
// and the entry has the value that it had before.
func (s *Store) useWrite(e records.Entry, before []byte) useWrite {
	name, digest := s.layout.entry(e), credential.Digest(e.Key)
	holder := s.layout.entry(records.CredentialEntry(digest))
	same := clientv3.Compare(clientv3.CreateRevision(name), "=", 0)
	if before != nil {
		same = clientv3.Compare(clientv3.Value(name), "=", string(before))
	}
	write := clientv3.OpDelete(name)
	if e.Value != nil {
		write = clientv3.OpPut(name, string(e.Value))
	}
	return useWrite{digest, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(holder), ">", 0), same},
		[]clientv3.Op{write},
		[]clientv3.Op{clientv3.OpGet(name, clientv3.WithKeysOnly()), clientv3.OpGet(holder, clientv3.WithCountOnly())},
	)}
}
