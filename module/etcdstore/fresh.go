package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// checksPerFence is how often the head is read while the fence would close. So
// one read may fail, and the next one too.
const checksPerFence = 4

// keepFresh reads the head again and again.
func (s *Store) keepFresh() {
	every := s.config.MaxStaleness / checksPerFence
	for {
		pause := every
		if err := s.refresh(every); err != nil && s.ctx.Err() == nil {
			s.known.fail(err)
			pause = every / checksPerFence
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.caughtUp:
		case <-time.After(pause):
		}
	}
}

var (
	errNotRegistered = errors.New("this node was not registered")
	errOtherCluster  = errors.New("it is another etcd cluster, or restored from a snapshot")
)

// refresh makes the node fresh as of now, if it knows everything, nothing is held,
// and the registration outlasts the fence. timeout is for each call of etcd.
func (s *Store) refresh(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	if err := s.renew(ctx); err != nil {
		return err
	}
	before, sent := s.known.current(), s.fence.now()
	seen, err := s.look(ctx)
	if err != nil {
		return err
	}
	if before.Cluster == 0 {
		return nil // the first list isn't finished
	}
	if err := before.contradicts(seen.found); err != nil {
		return s.doubt(err)
	}
	if seen.cluster != before.Cluster { // whose revisions say nothing of this one's
		return s.doubt(errOtherCluster)
	}
	if seen.held != "" {
		s.stopServing()
		return fmt.Errorf("%w: %s", errHeld, seen.held)
	}
	if err := s.await(seen); err != nil {
		return err
	}
	if !seen.registered {
		if err := s.register(ctx); err != nil {
			return err
		}
		sent = s.fence.now()
		if seen, err = s.look(ctx); err != nil {
			return err
		}
		if !seen.registered {
			return errNotRegistered
		}
		if err := s.await(seen); err != nil {
			return err
		}
	}
	// The registration may end before the fence would close.
	if lasts := s.lease.from.Add(s.lease.ttl - s.fence.length); lasts.Before(sent) {
		sent = lasts
	}
	s.freshAsOf(sent)
	return nil
}

// doubt makes the node stale and catch up with etcd again. It is for what only the
// task that follows etcd can judge and mend.
func (s *Store) doubt(why error) error {
	s.fence.close()
	s.known.catchUpAgain()
	return why
}

// look is what a linearizable read has seen.
type look struct {
	found
	registered bool
	held       string
}

func (s *Store) look(ctx context.Context) (look, error) {
	answer, err := s.client.Txn(ctx).Then(
		clientv3.OpGet(s.layout.head()),
		clientv3.OpGet(s.layout.node(s.node)),
		clientv3.OpGet(s.layout.holds(), clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return look{}, fmt.Errorf("asking etcd what is new: %w", err)
	}
	seen := look{found: found{revision: answer.Header.Revision, cluster: answer.Header.ClusterId}}
	if kvs := answer.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		h, err := decode[head]("head", kvs[0].Value)
		if err != nil {
			return look{}, err
		}
		seen.head, seen.put = &h, kvs[0].ModRevision
	}
	for _, kv := range answer.Responses[1].GetResponseRange().Kvs { // an earlier lease may end at any time
		seen.registered = clientv3.LeaseID(kv.Lease) == s.lease.id
	}
	if kvs := answer.Responses[2].GetResponseRange().Kvs; len(kvs) > 0 {
		seen.held = string(kvs[0].Value)
	}
	return seen, nil
}

// await waits until the mirror has applied the head that was seen. A node that
// takes longer than the fence is no longer among those that changes wait for.
func (s *Store) await(seen look) error {
	for range checksPerFence {
		before := s.known.current().Revision
		ctx, cancel := context.WithTimeout(s.ctx, s.fence.length/checksPerFence)
		applied := s.known.wait(ctx, s.known.reaches(seen.put))
		cancel()
		now := s.known.current()
		switch {
		case !applied && now.Revision == before:
			s.known.catchUpAgain() // the member that is watched may be cut off
		case applied && now.HeadRevision == seen.put && !bytes.Equal(now.Head.ID, seen.head.ID):
			return s.doubt(errForked)
		case applied:
			return nil
		}
	}
	err := fmt.Errorf("this node has yet to apply change %d, and has applied %d", seen.head.Seq, s.known.current().Head.Seq)
	if s.fence.fresh() || s.ctx.Err() != nil {
		return err
	}
	call, cancelCall := context.WithTimeout(s.ctx, callTimeout)
	defer cancelCall()
	return errors.Join(err, s.withdraw(call))
}

// freshAsOf opens the fence.
func (s *Store) freshAsOf(known time.Time) {
	was := s.fence.fresh()
	s.fence.open(known)
	s.fence.serve.Store(s.config.Serve) // nothing is held any more
	if !was {
		s.known.fail(nil) // which wakes up those that wait for it
		s.config.Observer.Fresh()
	}
}

// endStale ends the live requests of a node when its fence closes.
func (s *Store) endStale() {
	fresh := false
	for {
		pause := s.config.MaxStaleness / checksPerFence / 4
		if left := s.fence.left(); left > 0 {
			fresh, pause = true, min(left, s.config.MaxStaleness/2)
		} else if fresh && s.ctx.Err() == nil {
			fresh = false
			s.config.Observer.Stale(s.known.trouble())
			if !s.fence.serve.Load() {
				s.tell(keys.Change{All: true}) // which decides them again
			}
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(pause + time.Millisecond):
		}
	}
}

// Fleet implements [keys.Shared].
func (s *Store) Fleet(context.Context) (keys.Fleet, error) {
	f := keys.Fleet{
		Node: s.node, Fresh: s.fence.fresh(), Nodes: s.known.list(),
		MaxStalenessSeconds: s.config.MaxStaleness.Seconds(), OnStale: settings{Serve: s.config.Serve}.String(),
		ServedStale: s.fence.served.Load(),
	}
	applied := s.known.current().Head.Seq
	f.Revision = applied
	for _, n := range f.Nodes {
		f.Revision = max(f.Revision, n.Revision+n.Behind)
	}
	f.Behind = f.Revision - applied
	if known := s.fence.known.Load(); known != nil {
		f.LagSeconds = age(*known, s.fence.now()).Seconds()
	}
	if !f.Fresh {
		f.Why = s.staleError().Error()
	}
	return f, nil
}
