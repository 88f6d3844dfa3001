package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// batch is what some events did.
type batch struct {
	state   applied
	changes []*change
	// merged is what the feed is told of all heads, or nil without a head.
	merged *keys.Change
}

// change is what one revision of etcd did.
type change struct {
	revision int64
	entries  []records.Entry
	head     *head
}

// applyEvents applies whole revisions of etcd to the mirror, and then tells the
// feed and the other nodes.
func (s *Store) applyEvents(ctx context.Context, events []*clientv3.Event) error {
	state := s.known.current()
	changes, err := s.changesOf(events, state.Revision)
	if err != nil {
		return err
	}
	for _, e := range events { // first, as in followOnce
		s.applyNode(e)
	}
	if len(changes) == 0 {
		return nil
	}
	b := batch{state: state, changes: changes}
	err = b.follow()
	switch {
	case errors.Is(err, errForked):
		return s.hold(ctx, err)
	case err == nil:
		err = s.commitBatch(ctx, &b)
	}
	if err != nil {
		return err
	}
	s.known.apply(b.state, b.heads()...)
	if b.merged != nil {
		s.reportSoon()
	}
	return nil
}

// heads returns the heads of all changes.
func (b *batch) heads() (list []head) {
	for _, c := range b.changes {
		if c.head != nil {
			list = append(list, *c.head)
		}
	}
	return list
}

// commitBatch writes changes to the mirror. The feed is told by the mirror.
func (s *Store) commitBatch(ctx context.Context, b *batch) error {
	return s.onMirror(ctx, func(m *boltstore.Mirror) error {
		return m.Write(ctx, func(w records.Writer) ([]byte, *keys.Change, error) {
			for _, c := range b.changes {
				if err := records.Replay(w, c.entries); err != nil {
					return nil, nil, err
				}
			}
			return encode(b.state), b.merged, nil
		})
	})
}

// changesOf gathers the events of each revision of etcd after the given one, up to
// which all is applied.
func (s *Store) changesOf(events []*clientv3.Event, after int64) ([]*change, error) {
	var changes []*change
	for _, e := range events {
		if e.Kv.ModRevision <= after {
			continue
		}
		key := string(e.Kv.Key)
		isHead := key == s.layout.head()
		if !isHead && !strings.HasPrefix(key, s.layout.records()) && !strings.HasPrefix(key, s.layout.uses()) {
			continue
		}
		if n := len(changes); n == 0 || changes[n-1].revision != e.Kv.ModRevision {
			changes = append(changes, &change{revision: e.Kv.ModRevision})
		}
		c := changes[len(changes)-1]
		if isHead {
			if e.Type == clientv3.EventTypeDelete {
				return nil, errNoHead
			}
			h, err := decode[head]("head", e.Kv.Value)
			if err != nil {
				return nil, err
			}
			c.head = &h
			continue
		}
		value := e.Kv.Value
		if e.Type == clientv3.EventTypeDelete {
			value = nil
		}
		entry, err := s.layout.parse(key, value)
		if err != nil {
			return nil, err
		}
		c.entries = append(c.entries, entry)
	}
	return changes, nil
}

var errForked = errors.New("etcd has a change that does not follow the newest one that this node knows")

// follow moves the state of the mirror past the changes. It returns errForked if a
// head doesn't follow the one before.
func (b *batch) follow() error {
	for _, c := range b.changes {
		b.state.Revision = c.revision
		if c.head == nil {
			continue
		}
		if !bytes.Equal(c.head.Previous, b.state.Head.ID) {
			return errForked
		}
		b.state = b.state.with(*c.head, c.revision)
		change, err := c.head.change()
		if err != nil {
			return err
		}
		b.merged = merge(b.merged, change)
	}
	return nil
}

// merge returns what the feed is told of two commits that are written as one.
func merge(before *keys.Change, c keys.Change) *keys.Change {
	if before == nil {
		return &c
	}
	merged := keys.Change{
		Touched: append(before.Touched, c.Touched...), Groups: append(before.Groups, c.Groups...),
		All: before.All || c.All, Reset: before.Reset || c.Reset, At: before.At,
	}
	if c.Reset || c.At.After(merged.At) {
		merged.At = c.At
	}
	return &merged
}
