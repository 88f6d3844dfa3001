package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

const (
	// maxOps is what etcd takes in one transaction unless it is told otherwise
	// (--max-txn-ops), and maxBytes is a little less than its --max-request-bytes.
	maxOps   = 128
	maxBytes = 1400 << 10
	// otherOps are the head, the sequences, and the meta data.
	otherOps = 12
	// maxWrites is how many records fit: to delete a credential deletes its last
	// use and its activity too.
	maxWrites = (maxOps - otherOps) / 3

	// commitTimeout is how long a change tries to get in between those of the
	// other nodes.
	commitTimeout = 15 * time.Second
	retryPause    = 50 * time.Millisecond
)

// MaxWrites implements [keys.Store]. What it counts fits into one transaction of
// etcd, so a change is there as a whole or not at all.
func (s *Store) MaxWrites() int { return maxWrites }

// Update implements [keys.Store]. It makes the change on the mirror, and puts what
// that wrote into etcd if no other change has come between. If one has, it begins
// again. It returns once the mirror has applied the change.
//
// If it isn't known whether etcd has taken the change, the error says so and
// wraps [keys.ErrUnavailable].
func (s *Store) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	return s.write(ctx, func(w records.Writer) (records.Written, error) { return records.Apply(w, maxWrites, fn) })
}

func (s *Store) write(ctx context.Context, fn func(records.Writer) (records.Written, error)) (keys.Commit, error) {
	s.updating.Lock()
	defer s.updating.Unlock()
	if err := ctx.Err(); err != nil {
		return keys.Commit{}, err
	}
	if s.closed.Load() {
		return keys.Commit{}, keys.ErrClosed
	}
	if len(s.known.heldBy()) > 0 {
		return keys.Commit{}, fmt.Errorf("%w: %w", keys.ErrUnavailable, errHeld)
	}
	// A change that has begun is not given up because its client has gone.
	ctx, cancel := context.WithTimeout(s.ctx, commitTimeout)
	defer cancel()
	for {
		t, err := s.try(ctx, fn)
		if err != nil {
			return keys.Commit{}, err
		}
		commit, again, err := s.commit(ctx, t)
		if !again {
			return commit, err
		}
	}
}

// try is a change that was made on the mirror.
type try struct {
	head    head
	ops     []clientv3.Op
	written records.Written
}

// try makes a change on the mirror, and takes it back.
func (s *Store) try(ctx context.Context, fn func(records.Writer) (records.Written, error)) (t *try, err error) {
	err = s.onMirror(ctx, func(m *boltstore.Mirror) error {
		return m.Try(ctx, func(w records.Writer, stored []byte) error {
			state, err := decode[applied]("state of the mirror", stored)
			if err != nil {
				return err
			}
			recorder := records.NewRecorder(w)
			written, err := fn(recorder)
			if err != nil {
				return err
			}
			t = &try{head: state.Head.after(written), written: written}
			return s.operations(t, recorder.Entries())
		})
	})
	return t, err
}

// operations fills in what is put into etcd.
func (s *Store) operations(t *try, entries []records.Entry) error {
	t.ops = s.layout.putHead(t.head)
	for _, e := range entries {
		key := s.layout.entry(e)
		if e.Value == nil {
			t.ops = append(t.ops, clientv3.OpDelete(key))
		} else {
			t.ops = append(t.ops, clientv3.OpPut(key, string(e.Value)))
		}
	}
	size := 0
	for _, op := range t.ops {
		size += len(op.KeyBytes()) + len(op.ValueBytes())
	}
	if len(t.ops) > maxOps || size > maxBytes {
		return fmt.Errorf("%w: it has %d operations with %d bytes, and etcd takes %d with %d", keys.ErrTooManyWrites, len(t.ops), size, maxOps, maxBytes)
	}
	return nil
}

var errUnknown = fmt.Errorf("%w: etcd did not say whether it took the change; look whether it is there before you make it again", keys.ErrUnavailable)

// commit puts a change into etcd, and waits until the mirror has applied it. again
// is true if another change came before it.
func (s *Store) commit(ctx context.Context, t *try) (done keys.Commit, again bool, err error) {
	s.known.begin(t.head.ID)
	sent, err := s.send(ctx, t)
	if err != nil {
		return keys.Commit{}, false, err
	}
	if !s.known.wait(ctx, s.known.reaches(sent.revision)) {
		if sent.ours {
			return keys.Commit{}, false, fmt.Errorf("%w: etcd has taken the change, but this node can't follow it now", keys.ErrUnavailable)
		}
		return keys.Commit{}, false, fmt.Errorf("%w: this node can't follow the changes of the others now", keys.ErrUnavailable)
	}
	// It may have been taken by a call that failed, and another one after it.
	landed, skipped := s.known.hasLanded()
	switch {
	case sent.ours, landed:
		return t.written.Commit, false, nil
	case sent.unsure && skipped:
		return keys.Commit{}, false, errUnknown
	}
	return keys.Commit{}, true, nil
}

// sent is what came of sending a change.
type sent struct {
	// revision is that of the head that is there now, and ours is true if it is
	// the change's.
	revision int64
	ours     bool
	// unsure is true if a call failed, which etcd may have carried out.
	unsure bool
}

// send puts a change into etcd unless another head is there.
//
// A call that fails may have been carried out all the same. To make it again does
// no harm: at most one is carried out, since that replaces the head.
func (s *Store) send(ctx context.Context, t *try) (done sent, err error) {
	name := s.layout.head()
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		answer, err := s.client.Txn(call).
			If(s.layout.isHead(t.head.Previous)).
			Then(t.ops...).Else(clientv3.OpGet(name)).Commit()
		cancel()
		switch {
		case err == nil && answer.Succeeded:
			done.revision, done.ours = answer.Header.Revision, true
			return done, nil
		case err == nil:
			done.revision, done.ours, err = s.other(answer.Responses[0].GetResponseRange().Kvs, t.head.ID)
			return done, err
		case isRefusal(err):
			return done, fmt.Errorf("%w: etcd refuses the change: %w", keys.ErrUnavailable, err)
		}
		done.unsure = true
		select {
		case <-ctx.Done():
			return done, fmt.Errorf("%w (%w)", errUnknown, err)
		case <-time.After(retryPause):
		}
	}
}

// other returns the revision of the head that was found in place of the one that
// was expected, and whether it has the ID.
func (s *Store) other(found []*mvccpb.KeyValue, id []byte) (revision int64, ours bool, err error) {
	if len(found) == 0 {
		return 0, false, fmt.Errorf("%w: %w", keys.ErrUnavailable, errNoHead)
	}
	h, err := decode[head]("head", found[0].Value)
	return found[0].ModRevision, bytes.Equal(h.ID, id), err
}

// isRefusal reports whether etcd certainly did not carry out a call.
func isRefusal(err error) bool {
	for _, refusal := range []error{
		rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge, rpctypes.ErrDuplicateKey, rpctypes.ErrNoSpace,
		rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrInvalidAuthToken,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// driftPart is by which part clocks may run at different rates: 1 of 64, which
// is thirty times what a clock that is being set goes faster.
const driftPart = 64

// closes returns the time after which a node with this fence has certainly stopped
// deciding by what it knew.
func closes(fence time.Duration) time.Duration { return fence + fence/driftPart }

// Settle implements [keys.Shared]. A node that was registered before the commit
// has reported it, or is known to be behind, because this node has applied the
// commit and all registrations before. A node that registers later reads a head
// that has the commit before it decides.
//
// A node decides only as long as its registration lasts. But an overloaded etcd may
// end registrations before their time, and an etcd that was restored from a snapshot
// has forgotten them. So a change waits for a node that is gone and didn't withdraw
// as for a node that is behind: until its fence has certainly closed. A node that
// begins to follow etcd can't know which nodes were registered a moment before. Its
// changes wait for them as long.
func (s *Store) Settle(ctx context.Context, c keys.Commit) keys.Commit {
	n, wait := s.known.behind(c.Revision)
	if n > 0 {
		end, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		s.known.wait(end, func() bool {
			n, _ = s.known.behind(c.Revision)
			return n == 0
		})
	}
	c.Waiting, c.Unbounded = n, n > 0 && s.config.Serve
	return c
}
