package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// applyNode notes what an event says of a node.
func (s *Store) applyNode(e *clientv3.Event) {
	key, revision := string(e.Kv.Key), e.Kv.ModRevision
	gone := e.Type == clientv3.EventTypeDelete
	if id, ok := strings.CutPrefix(key, s.layout.nodes()); ok {
		if gone {
			s.known.dropNode(id, revision)
		} else {
			s.known.putNode(id, nodeOf(e.Kv.Value, revision))
		}
	}
	if id, ok := strings.CutPrefix(key, s.layout.holds()); ok {
		if gone {
			s.known.dropHold(id, revision)
		} else {
			s.known.putHold(id, holdAt{string(e.Kv.Value), revision})
		}
	}
}

// nodeOf reads what a node said of itself. One that can't be read counts as one
// that has applied nothing and has the longest fence.
func nodeOf(value []byte, revision int64) nodeAt {
	n, err := decode[nodeRecord]("node", value)
	if err != nil {
		n = nodeRecord{Fence: int64(maxStaleness)}
	}
	return nodeAt{n, revision}
}

// readNodes reads the nodes and their holds.
func (s *Store) readNodes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.Txn(ctx).Then(
		clientv3.OpGet(s.layout.nodes(), clientv3.WithPrefix()),
		clientv3.OpGet(s.layout.holds(), clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return fmt.Errorf("asking etcd for the nodes: %w", err)
	}
	nodes, holds := map[string]nodeAt{}, map[string]holdAt{}
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		nodes[strings.TrimPrefix(string(kv.Key), s.layout.nodes())] = nodeOf(kv.Value, kv.ModRevision)
	}
	for _, kv := range answer.Responses[1].GetResponseRange().Kvs {
		holds[strings.TrimPrefix(string(kv.Key), s.layout.holds())] = holdAt{string(kv.Value), kv.ModRevision}
	}
	s.known.putNodes(nodes, holds)
	return nil
}

// agree makes sure that all nodes have the same settings. The first node sets them,
// and so does a node that is alone. agree also notes the longest fence that a node
// may have.
func (s *Store) agree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name, ours := s.layout.settings(), settings{Serve: s.config.Serve, Fence: int64(s.config.MaxStaleness)}
	answer, err := s.client.Txn(ctx).Then(clientv3.OpGet(name), clientv3.OpGet(s.layout.nodes(), clientv3.WithPrefix(), clientv3.WithCountOnly())).Commit()
	if err != nil {
		return fmt.Errorf("asking etcd for the settings: %w", err)
	}
	there, others := answer.Responses[0].GetResponseRange().Kvs, answer.Responses[1].GetResponseRange().Count
	unchanged, longest := clientv3.Compare(clientv3.CreateRevision(name), "=", 0), ours.Fence
	if len(there) > 0 {
		theirs, err := decode[settings]("settings", there[0].Value)
		if err != nil {
			return err
		}
		if others > 0 {
			if theirs.Serve != ours.Serve {
				return &impossibleError{fmt.Errorf("on_stale is %s here, and %s on the other nodes; stop all nodes, and set the same value on each", ours, theirs)}
			}
			ours.Fence = max(ours.Fence, theirs.Fence)
		}
		longest = max(longest, theirs.Fence)
		unchanged = clientv3.Compare(clientv3.ModRevision(name), "=", there[0].ModRevision)
		if theirs == ours {
			s.known.edit(func() { s.known.longest = time.Duration(longest) })
			return nil
		}
	}
	put, err := s.client.Txn(ctx).If(unchanged).Then(clientv3.OpPut(name, string(encode(ours)))).Commit()
	if err == nil && !put.Succeeded {
		err = errors.New("another node starts at the same moment")
	}
	if err == nil {
		s.known.edit(func() { s.known.longest = time.Duration(longest) })
	}
	return err
}

// lease is the registration of this node. It is used by one task.
type lease struct {
	id clientv3.LeaseID
	// from is a moment before the lease was last renewed. It lasts ttl from then
	// on, or longer.
	from time.Time
	ttl  time.Duration
}

// renew renews the lease if it is time to, and makes a missing one.
func (s *Store) renew(ctx context.Context) error {
	now := time.Now()
	if s.lease.id != 0 {
		if now.Sub(s.lease.from) < s.lease.ttl/4 {
			return nil
		}
		answer, err := s.client.KeepAliveOnce(ctx, s.lease.id)
		if err == nil {
			s.lease.from, s.lease.ttl = now, time.Duration(answer.TTL)*time.Second
			return nil
		}
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return fmt.Errorf("renewing the registration of this node: %w", err)
		}
		s.lease = lease{}
	}
	answer, err := s.client.Grant(ctx, s.config.leaseSeconds())
	if err != nil {
		return fmt.Errorf("registering this node: %w", err)
	}
	s.lease = lease{answer.ID, now, time.Duration(answer.TTL) * time.Second}
	return nil
}

// register puts this node among those that changes wait for.
func (s *Store) register(ctx context.Context) error {
	_, err := s.client.Put(ctx, s.layout.node(s.node), string(encode(s.record())), clientv3.WithLease(s.lease.id))
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		s.lease = lease{}
	}
	if err != nil {
		return fmt.Errorf("registering this node: %w", err)
	}
	return nil
}

// record is what this node says of itself.
func (s *Store) record() nodeRecord {
	return nodeRecord{
		Name: s.name(), Started: s.started.Unix(), Seq: s.known.current().Head.Seq,
		Fence: int64(s.config.MaxStaleness), Mirror: s.holdID(),
	}
}

// withdraw takes this node, which is not fresh, from among those that changes wait
// for. It gives up the lease with which the node is registered, so that a call that
// fails and is carried out later does not end the next registration.
func (s *Store) withdraw(ctx context.Context) error {
	id := s.lease.id
	s.lease = lease{}
	_, err := s.client.Revoke(ctx, id)
	return err
}

// leave ends the registration of a node that is being closed, and tells that it
// decides no more. If etcd isn't reached, it ends by itself.
func (s *Store) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.lease.id == 0 {
		return
	}
	last := s.record()
	last.Fence = 0
	_, _ = s.client.Put(ctx, s.layout.node(s.node), string(encode(last)), clientv3.WithLease(s.lease.id))
	_, _ = s.client.Revoke(ctx, s.lease.id)
}

// reportSoon tells the others what this node has applied.
func (s *Store) reportSoon() { wake(s.report) }

// wake wakes up the task that waits at a channel with room for one.
func wake(task chan<- struct{}) {
	select {
	case task <- struct{}{}:
	default: // it has yet to begin
	}
}

// reportApplied tells the others, one report after the other.
func (s *Store) reportApplied() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.report:
		}
		// Only if the node is registered. What fails is told with the next
		// report, and by then changes wait for the fence.
		name := s.layout.node(s.node)
		ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
		_, err := s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(name), ">", 0)).
			Then(clientv3.OpPut(name, string(encode(s.record())), clientv3.WithIgnoreLease())).Commit()
		cancel()
		if err != nil && s.ctx.Err() == nil {
			s.known.fail(fmt.Errorf("reporting to the other nodes: %w", err))
		}
	}
}
