package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// What tells a node that etcd has lost changes, as after a snapshot was
// restored. Whatever the changes revoked would work again.
var (
	errBack = errors.New("etcd is back at a change before the newest one that this node knows")
	errLost = errors.New("etcd lacks revocations that this node knows")
	// errHeld is for a node that waits until the fleet has been reconciled.
	errHeld     = errors.New("etcd has lost changes, and no node decides until \"caddy api-keys fleet reconcile\" has taken back what they revoked")
	errApproved = errors.New("the operator wants the fleet to be reconciled")
)

// contradicts returns an error if the head in etcd can't follow the state of a
// mirror. That it doesn't contradict it doesn't mean that it follows.
func (a applied) contradicts(there found) error {
	switch {
	case there.head == nil:
		return errNoHead
	case there.head.Seq < a.Head.Seq:
		return errBack
	case there.head.Seq == a.Head.Seq && there.head.Epoch <= a.Head.Epoch && !bytes.Equal(there.head.ID, a.Head.ID):
		return errBack
	case there.cluster != a.Cluster: // the revisions say nothing
		return nil
	case there.put <= a.Revision && !bytes.Equal(there.head.ID, a.Head.ID):
		return errBack
	}
	return nil
}

// hold keeps all nodes from deciding, because of what this node knows and etcd
// doesn't. It returns an error, which wraps errApproved if the operator has seen it
// and wants the fleet to be reconciled.
func (s *Store) hold(ctx context.Context, why error) error {
	s.stopServing()
	err := fmt.Errorf("%w (%w)", errHeld, why)

	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := s.layout.hold(s.holdID())
	absent := clientv3.Compare(clientv3.CreateRevision(name), "=", 0)
	if _, failed := s.client.Txn(ctx).If(absent).Then(clientv3.OpPut(name, why.Error())).Commit(); failed != nil {
		return errors.Join(err, failed)
	}
	answer, failed := s.client.Txn(ctx).Then(clientv3.OpGet(name), clientv3.OpGet(s.layout.reconcile())).Commit()
	if failed != nil {
		return errors.Join(err, failed)
	}
	held, asked := answer.Responses[0].GetResponseRange().Kvs, answer.Responses[1].GetResponseRange().Kvs
	if len(held) > 0 && len(asked) > 0 && asked[0].ModRevision > held[0].ModRevision {
		return errors.Join(err, errApproved)
	}
	return err
}

// stopServing makes the node stale. The node decides nothing until it is fresh again,
// even with on_stale serve.
func (s *Store) stopServing() {
	s.fence.close()
	if s.fence.serve.Swap(false) {
		s.tell(keys.Change{All: true}) // decides again the live requests that it served while stale
	}
}

// letGo takes back what this node has held, if it has. It is for a node whose
// mirror knows nothing that etcd doesn't.
func (s *Store) letGo(ctx context.Context) error {
	if !slices.Contains(s.known.heldBy(), s.holdID()) {
		return nil
	}
	_, err := s.client.Delete(ctx, s.layout.hold(s.holdID()))
	return err
}

// holdID is the ID of the mirror, whose knowledge is at stake. It stays when the
// process starts again.
func (s *Store) holdID() string { return fmt.Sprintf("%x", s.known.current().Mirror) }
