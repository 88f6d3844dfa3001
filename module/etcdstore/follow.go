package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// impossibleError is an error that no second attempt mends.
type impossibleError struct{ error }

func (e *impossibleError) Unwrap() error { return e.error }

// What can be wrong with etcd.
var (
	errNoHead = errors.New("etcd has no key store any more under this prefix, and this node had one")
	// errCompacted is for changes that etcd has forgotten before this node saw
	// them, so that it lists all records again.
	errCompacted = errors.New("etcd has forgotten changes that this node had yet to see")
	errEnded     = errors.New("etcd has ended the watch")
	errMoved     = errors.New("the file of the mirror was moved, deleted or replaced")
)

// The pauses between attempts to follow etcd.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// follow applies the changes of all nodes to the mirror, until the store is
// closed. first gets the result of the first attempt to catch up.
func (s *Store) follow(first chan<- error) {
	tell := func(err error) {
		if first != nil {
			first <- err
			first = nil
		}
	}
	var last string
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := s.followOnce(s.ctx, func() {
			pause, last = firstPause, ""
			tell(nil)
		})
		if errors.Is(err, errApproved) {
			if err = s.takeBack(s.ctx); err == nil {
				continue
			}
		}
		if s.ctx.Err() != nil {
			return
		}
		s.known.fail(err)
		if text := err.Error(); text != last {
			last = text
			if errors.Is(err, errHeld) {
				s.config.Observer.Held(err)
			} else {
				s.config.Observer.Disconnected(err)
			}
		}
		if _, ok := errors.AsType[*impossibleError](err); ok {
			tell(err)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// followOnce catches up with etcd and follows it until something fails. It calls
// ready once the mirror is as new as etcd was.
func (s *Store) followOnce(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	s.known.edit(func() { s.known.again, s.known.founded = nil, false })
	if err := s.checkVersion(ctx); err != nil {
		return err
	}
	if err := s.agree(ctx); err != nil {
		return err
	}
	if err := s.readNodes(ctx); err != nil { // to know this node's own hold
		return err
	}
	state, err := s.readState()
	if err != nil {
		return err
	}
	s.known.apply(state)
	from, err := s.catchUp(ctx, state)
	if err != nil {
		return err
	}
	watcher, changes, err := s.watch(ctx, from)
	if err != nil {
		return err
	}
	defer watcher.Close() //nolint:errcheck // reports why the watch ended
	// Read the nodes again before anything else is applied. A change that waits until
	// this node has applied it then knows every node that was registered before. The
	// watch sees every node that registers later.
	if err := s.readNodes(ctx); err != nil {
		return err
	}
	s.known.edit(func() { s.known.again, s.known.why = cancel, nil })
	ready()
	wake(s.caughtUp)
	return s.applyAll(ctx, changes)
}

// watch starts a watch at a revision of etcd.
func (s *Store) watch(ctx context.Context, from int64) (clientv3.Watcher, clientv3.WatchChan, error) {
	watcher := clientv3.NewWatchFromWatchClient(&oneStream{WatchClient: pb.NewWatchClient(s.client.ActiveConnection())}, s.client)
	changes := watcher.Watch(ctx, string(s.layout), clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithCreatedNotify())
	err := errors.New("etcd doesn't start the watch")
	select {
	case answer, open := <-changes:
		switch {
		case !open:
			err = errEnded
		case answer.CompactRevision != 0:
			err = errCompacted // the next attempt lists
		case answer.Err() != nil:
			err = answer.Err()
		case answer.Created:
			return watcher, changes, nil
		}
	case <-time.After(callTimeout):
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = watcher.Close() // reports why the watch ended
	return nil, nil, err
}

// oneStream is a watch client that opens only one stream. When the stream breaks, the
// watch ends. etcd's own client would open another stream and continue from the same
// revision, which means something else if etcd was restored from a snapshot meanwhile.
type oneStream struct {
	pb.WatchClient
	opened bool
}

// Watch implements [pb.WatchClient].
func (c *oneStream) Watch(ctx context.Context, options ...grpc.CallOption) (grpc.BidiStreamingClient[pb.WatchRequest, pb.WatchResponse], error) {
	if c.opened {
		return nil, status.Error(codes.Aborted, errEnded.Error())
	}
	stream, err := c.WatchClient.Watch(ctx, options...)
	c.opened = err == nil
	return stream, err
}

// applyAll applies changes until something fails.
func (s *Store) applyAll(ctx context.Context, changes clientv3.WatchChan) error {
	look := time.NewTicker(s.config.MaxStaleness)
	defer look.Stop()
	for {
		select {
		case answer, open := <-changes:
			switch {
			case !open:
				return errEnded
			case answer.CompactRevision != 0:
				return errCompacted // the next attempt lists
			case answer.Err() != nil:
				return answer.Err()
			}
			if err := s.applyEvents(ctx, answer.Events); err != nil {
				return err
			}
		case <-look.C:
			if s.mirror.Load().Lost() {
				return errMoved // the next attempt lists
			}
		}
	}
}

// catchUp returns the revision of etcd from which on to watch. It lists all
// records if etcd can't tell what has changed since the state of the mirror.
func (s *Store) catchUp(ctx context.Context, state applied) (from int64, err error) {
	there, err := s.getHead(ctx)
	switch {
	case err != nil:
		return 0, err
	case there.left:
		return 0, &impossibleError{errLeft}
	case there.head == nil && state.Cluster == 0:
		made, err := s.initialize(ctx)
		if err != nil {
			return 0, err
		}
		if made {
			s.known.edit(func() { s.known.founded, s.known.unseen = true, time.Time{} })
		}
		return s.list(ctx, state, "the key store is new")
	case state.Cluster == 0:
		return s.list(ctx, state, "this node has no mirror yet")
	}
	if err := state.contradicts(there); err != nil {
		return 0, s.hold(ctx, err)
	}
	if bytes.Equal(there.head.ID, state.Head.ID) {
		if err := s.letGo(ctx); err != nil { // put before this process began
			return 0, err
		}
	}
	if there.cluster != state.Cluster || there.revision < state.Revision {
		return s.list(ctx, state, errOtherCluster.Error())
	}
	if s.mirror.Load().Lost() {
		return s.list(ctx, state, errMoved.Error())
	}
	forgotten, err := s.hasForgotten(ctx, state.Revision)
	switch {
	case err != nil:
		return 0, err
	case !forgotten:
		return state.Revision + 1, nil
	case bytes.Equal(there.head.ID, state.Head.ID): // nothing but last uses has changed
		return there.revision + 1, nil
	}
	return s.list(ctx, state, errCompacted.Error())
}

// hasForgotten reports whether etcd has forgotten what was at a revision.
func (s *Store) hasForgotten(ctx context.Context, revision int64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.Get(ctx, s.layout.head(), clientv3.WithRev(revision), clientv3.WithCountOnly())
	if errors.Is(err, rpctypes.ErrCompacted) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking etcd: %w", err)
	}
	return false, nil
}

// found is the head as etcd has it, or nil.
type found struct {
	head *head
	// put is the revision of etcd that put the head, and revision the newest one.
	// cluster is the ID of the cluster.
	put, revision int64
	cluster       uint64
	// left is true if the store was moved out of etcd.
	left bool
}

func (s *Store) getHead(ctx context.Context) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.Txn(ctx).Then(clientv3.OpGet(s.layout.head()), clientv3.OpGet(s.layout.left(), clientv3.WithCountOnly())).Commit()
	if err != nil {
		return found{}, fmt.Errorf("asking etcd: %w", err)
	}
	f := found{revision: answer.Header.Revision, cluster: answer.Header.ClusterId, left: answer.Responses[1].GetResponseRange().Count > 0}
	kvs := answer.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return f, nil
	}
	h, err := decode[head]("head", kvs[0].Value)
	f.head, f.put = &h, kvs[0].ModRevision
	return f, err
}
