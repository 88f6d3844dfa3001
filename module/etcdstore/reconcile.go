package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// reconcileTimeout is how long the nodes have to take back what they know.
const reconcileTimeout = 5 * time.Minute

// Reconcile implements [keys.Shared]. Every node that keeps the fleet from deciding
// takes back what it knows, and then lets go. That includes nodes that find out during
// the call that they know more than etcd. acceptLost lets go for nodes that don't,
// because their mirrors are lost.
func (s *Store) Reconcile(ctx context.Context, acceptLost bool) (done keys.Reconciled, err error) {
	if err := s.readNodes(ctx); err != nil { // a node that doesn't follow etcd now doesn't know the holds
		return done, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	done.Nodes = s.known.heldBy()
	if len(done.Nodes) == 0 {
		done.Nodes = []string{} // an empty list in JSON, not null
		return done, nil
	}
	patience := reconcileTimeout
	if acceptLost {
		patience = reconcileTimeout / 10
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		asked, err := s.client.Put(waiting, s.layout.reconcile(), time.Now().UTC().Format(time.RFC3339))
		if err != nil {
			return done, fmt.Errorf("%w: asking the nodes to reconcile: %w", keys.ErrUnavailable, err)
		}
		s.known.catchUpAgain()
		var later []string
		if !s.known.wait(waiting, func() bool {
			later = s.known.heldAfter(asked.Header.Revision)
			return len(later) > 0 || len(s.known.heldBy()) == 0
		}) {
			break
		}
		if len(later) == 0 {
			return done, nil
		}
		done.Nodes = append(done.Nodes, later...)
		slices.Sort(done.Nodes)
		done.Nodes = slices.Compact(done.Nodes)
	}
	done.Lost = s.known.heldBy()
	if !acceptLost {
		return done, fmt.Errorf("%w: the nodes with the mirrors %v have not taken back what they know: start them with their mirrors; if those are lost, give --accept-lost-revocations, and revoke again what only they knew", keys.ErrUnavailable, done.Lost)
	}
	call, cancelCall := context.WithTimeout(s.ctx, callTimeout)
	defer cancelCall()
	for _, id := range done.Lost {
		if _, err := s.client.Delete(call, s.layout.hold(id)); err != nil {
			return done, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
		}
	}
	return done, nil
}

// takeBack takes back into etcd what the mirror knows was revoked, narrowed,
// disabled or deleted, as restoring a backup does. The mirror is then what is in
// etcd.
func (s *Store) takeBack(ctx context.Context) (err error) {
	there, err := s.getHead(ctx)
	if err != nil {
		return err
	}
	if there.head == nil {
		return errNoHead
	}
	next, err := boltstore.MakeMirror(ctx, s.config.Mirror)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, next.Abandon()) }()
	if _, err := s.fill(ctx, next, there.revision); err != nil {
		return err
	}
	entries, err := s.merge(ctx, next)
	if err != nil {
		return err
	}
	before := s.known.current()
	state := applied{Cluster: there.cluster, Mirror: before.Mirror}.with(*there.head, there.put)
	seq := max(before.Head.Seq, there.head.Seq) + 1 // as merge has it
	// The mirror of a step that fails is made again, from what etcd has then.
	for some := range slices.Chunk(entries, maxOps-otherOps) {
		if state, err = s.takeBackSome(ctx, state, seq, some); err != nil {
			return err
		}
	}
	if err := s.replace(ctx, next, state); err != nil {
		return err
	}
	return s.letGo(ctx)
}

// merge writes into a new mirror what the present one knows, and returns the
// entries that it changed.
func (s *Store) merge(ctx context.Context, next *boltstore.NewMirror) ([]records.Entry, error) {
	var recorder *records.Recorder
	err := next.Read(func(from records.Reader) error {
		return s.mirror.Load().Read(ctx, func(now records.Reader, _ []byte) error {
			m := records.Merge{Now: now}
			_ = m.Recognise(from) // whatever they are to each other, it only takes away
			return m.Run(ctx, from, func() (records.Writer, error) {
				w, err := next.Next()
				if err != nil {
					return nil, err
				}
				if recorder == nil {
					recorder = records.NewRecorder(w)
				}
				recorder.Writer = w
				return recorder, nil
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("merging what this node knows: %w", err)
	}
	return recorder.Entries(), nil
}

// takeBackSome puts entries into etcd, if the head is still the one of the state.
func (s *Store) takeBackSome(ctx context.Context, state applied, seq uint64, some []records.Entry) (applied, error) {
	h := head{Seq: seq, ID: newID(), Previous: state.Head.ID, All: true, At: state.Head.At, Epoch: state.Head.Epoch + 1}
	t := &try{head: h}
	if err := s.operations(t, some); err != nil {
		return state, err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.Txn(call).If(s.layout.isHead(h.Previous)).Then(t.ops...).Commit()
	switch {
	case err != nil:
		return state, fmt.Errorf("taking back what this node knows: %w", err)
	case !answer.Succeeded:
		return state, errors.New("another node has changed something meanwhile")
	}
	state.Revision = answer.Header.Revision
	return state.with(h, answer.Header.Revision), nil
}
