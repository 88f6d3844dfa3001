package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

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

// Spent implements [keys.Store]. Quotas are allotted.
func (*Store) Spent(context.Context, []keys.Spending) error { return errors.ErrUnsupported }

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
		made := answer.Responses[i].GetResponseTxn()
		if made.Succeeded {
			newest = answer.Header.Revision
			continue
		}
		holder, records := made.Responses[0].GetResponseRange(), made.Responses[1:]
		if holder.Count == 0 {
			continue // the credential was revoked
		}
		retry[w.digest] = true
		for _, r := range records {
			for _, kv := range r.GetResponseRange().Kvs {
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

// useWrite writes the records of the uses of one credential, all or none.
type useWrite struct {
	digest credential.Digest
	op     clientv3.Op
}

// tryUses makes uses on the mirror, and returns what they would write.
func (s *Store) tryUses(ctx context.Context, uses []keys.Use) (writes []useWrite, err error) {
	err = s.onMirror(ctx, func(m *boltstore.Mirror) error {
		before, written := map[string][]byte{}, map[credential.Digest][]records.Entry{}
		err := m.Try(ctx, func(w records.Writer, _ []byte) error {
			recorder := records.NewRecorder(asBefore{w, s.layout, before})
			_, err := records.ApplyUses(recorder, uses)
			for _, e := range recorder.Entries() {
				digest := credential.Digest(e.Key)
				written[digest] = append(written[digest], e)
			}
			return err
		})
		for digest, entries := range written {
			writes = append(writes, s.useWrite(digest, entries, before))
		}
		return err
	})
	return writes, err
}

// asBefore is a revision being written that keeps what its entries were before.
type asBefore struct {
	records.Writer
	layout layout
	before map[string][]byte
}

// Put implements [records.Writer].
func (a asBefore) Put(bucket, key, value []byte) error {
	a.keep(bucket, key)
	return a.Writer.Put(bucket, key, value)
}

// Delete implements [records.Writer].
func (a asBefore) Delete(bucket, key []byte) error {
	a.keep(bucket, key)
	return a.Writer.Delete(bucket, key)
}

func (a asBefore) keep(bucket, key []byte) {
	name := a.layout.entry(records.Entry{Bucket: bucket, Key: key})
	if _, kept := a.before[name]; !kept {
		a.before[name] = bytes.Clone(a.Get(bucket, key))
	}
}

// useWrite returns the operation that writes the records of a credential, if the
// credential exists and they have the values that they had before.
func (s *Store) useWrite(digest credential.Digest, entries []records.Entry, before map[string][]byte) useWrite {
	holder := s.layout.entry(records.CredentialEntry(digest))
	unchanged := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(holder), ">", 0)}
	var write []clientv3.Op
	look := []clientv3.Op{clientv3.OpGet(holder, clientv3.WithCountOnly())}
	for _, e := range entries {
		name := s.layout.entry(e)
		same := clientv3.Compare(clientv3.CreateRevision(name), "=", 0)
		if was := before[name]; was != nil {
			same = clientv3.Compare(clientv3.Value(name), "=", string(was))
		}
		unchanged, look = append(unchanged, same), append(look, clientv3.OpGet(name, clientv3.WithKeysOnly()))
		if e.Value == nil {
			write = append(write, clientv3.OpDelete(name))
		} else {
			write = append(write, clientv3.OpPut(name, string(e.Value)))
		}
	}
	return useWrite{digest, clientv3.OpTxn(unchanged, write, look)}
}
