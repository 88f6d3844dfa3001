package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// pageSize is how many keys one call lists. For each page etcd counts the keys that
// are left, so small pages of many keys take long.
const pageSize = 10_000

// initialize makes the key store in etcd from the empty mirror, unless another node
// has just done so.
func (s *Store) initialize(ctx context.Context) (made bool, err error) {
	ops := s.layout.putHead(head{ID: newID()})
	err = s.mirror.Load().Read(ctx, func(r records.Reader, _ []byte) error {
		return records.Primaries(ctx, r, func(e records.Entry) error {
			ops = append(ops, clientv3.OpPut(s.layout.entry(e), string(e.Value)))
			return nil
		})
	})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	noHead := clientv3.Compare(clientv3.CreateRevision(s.layout.head()), "=", 0)
	noRecords := clientv3.Compare(clientv3.CreateRevision(s.layout.records()), "=", 0).WithPrefix()
	answer, err := s.client.Txn(ctx).If(noHead, noRecords).Then(ops...).Else(clientv3.OpGet(s.layout.head(), clientv3.WithCountOnly())).Commit()
	switch {
	case err != nil:
		return false, fmt.Errorf("making the key store in etcd: %w", err)
	case !answer.Succeeded && answer.Responses[0].GetResponseRange().Count == 0:
		return false, &impossibleError{errUnfinished}
	}
	return answer.Succeeded, nil
}

// list makes the mirror from all records at one revision of etcd. It returns
// the revision from which on to watch.
func (s *Store) list(ctx context.Context, before applied, why string) (from int64, err error) {
	begin := time.Now()
	there, err := s.getHead(ctx)
	if err != nil {
		return 0, err
	}
	if there.head == nil {
		return 0, errNoHead
	}
	next, err := boltstore.MakeMirror(ctx, s.config.Mirror)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, next.Abandon()) }()
	n, err := s.fill(ctx, next, there.revision)
	if err != nil {
		return 0, err
	}
	if before.Cluster != 0 {
		if err := s.checkKnown(ctx, next); err != nil {
			return 0, s.hold(ctx, err)
		}
	}
	state := applied{Cluster: there.cluster, Revision: there.revision, Mirror: before.Mirror}.with(*there.head, there.put)
	if state.Mirror == nil {
		state.Mirror = newID()
	}
	if err := s.replace(ctx, next, state); err != nil {
		return 0, err
	}
	s.config.Observer.Listed(why, n, time.Since(begin))
	if before.Cluster == 0 {
		return there.revision + 1, nil
	}
	// The mirror knows nothing that etcd doesn't, so it holds nothing any more.
	return there.revision + 1, s.letGo(ctx)
}

// fill writes all records of a revision of etcd into a new mirror. It returns how
// many there are.
func (s *Store) fill(ctx context.Context, next *boltstore.NewMirror, revision int64) (n int, err error) {
	err = listAll(ctx, s.client, s.layout, revision, func(key string, value []byte) error {
		n++
		s.listed.Add(1)
		return addTo(next, s.layout, key, value)
	})
	return n, err
}

// addTo writes a record into a new mirror.
func addTo(next *boltstore.NewMirror, l layout, key string, value []byte) error {
	e, err := l.parse(key, value)
	if err != nil {
		return err
	}
	w, err := next.Next()
	if err != nil {
		return err
	}
	return records.Replay(w, []records.Entry{e})
}

// listAll calls each with all records at a revision of etcd, or at the newest one
// if it is 0.
func listAll(ctx context.Context, client *clientv3.Client, l layout, revision int64, each func(key string, value []byte) error) error {
	for _, prefix := range []string{l.records(), l.uses()} {
		end := clientv3.GetPrefixRangeEnd(prefix)
		for from := prefix; from != ""; {
			call, cancel := context.WithTimeout(ctx, 10*callTimeout)
			page, err := client.Get(call, from, clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithLimit(pageSize))
			cancel()
			if err != nil {
				return fmt.Errorf("listing the records in etcd: %w", err)
			}
			if revision == 0 {
				revision = page.Header.Revision
			}
			from = next(page)
			for _, kv := range page.Kvs {
				if err := each(string(kv.Key), kv.Value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// next returns the key from which on the next page is, or "" after the last one.
func next(page *clientv3.GetResponse) string {
	if !page.More {
		return ""
	}
	return string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
}

// checkKnown returns an error if etcd has lost what the present mirror knows.
func (s *Store) checkKnown(ctx context.Context, next *boltstore.NewMirror) error {
	knows := false
	err := next.Read(func(now records.Reader) error {
		return s.mirror.Load().Read(ctx, func(earlier records.Reader, _ []byte) (err error) {
			knows, err = records.Knows(ctx, now, earlier)
			return err
		})
	})
	if err == nil && !knows {
		return errLost
	}
	return err
}

// replace gives a new mirror the place of the present one.
func (s *Store) replace(ctx context.Context, next *boltstore.NewMirror, state applied) (err error) {
	if err := next.Finish(encode(state)); err != nil {
		return err
	}
	mirror, err := boltstore.OpenMirror(s.config.Mirror, s.config.Observer)
	if err != nil {
		return err
	}
	mirror.Feed(s.tell)
	before := s.mirror.Swap(mirror)
	defer func() { err = errors.Join(err, before.Close()) }()
	change := keys.Change{All: true, Reset: true}
	if err := mirror.View(ctx, func(r keys.Reader) (err error) {
		change.At, err = r.LastWrite()
		return err
	}); err != nil {
		return err
	}
	s.tell(change)
	// As in followOnce: the nodes first.
	if err := s.readNodes(ctx); err != nil {
		return err
	}
	s.known.applyList(state)
	return nil
}
