package directory_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/memstore"
)

// sharedStore looks to a directory like a store of several processes.
type sharedStore struct {
	keys.Store

	stale   bool
	settled []keys.Commit
	quotas  *quotas
}

// quotas counts what several directories have taken of quotas.
type quotas struct {
	mu    sync.Mutex
	taken map[quota]int64
	asked int
	fails error
	// during is called while a part is given back.
	during func()
}

type quota struct {
	meter credential.Digest
	begin keys.Date
}

func (s *sharedStore) Fresh() error {
	if s.stale {
		return keys.ErrStale
	}
	return nil
}

func (s *sharedStore) Settle(_ context.Context, c keys.Commit) keys.Commit {
	s.settled = append(s.settled, c)
	return c
}

func (s *sharedStore) Fleet(context.Context) (keys.Fleet, error) { return keys.Fleet{}, nil }

func (s *sharedStore) Reconcile(context.Context, bool) (keys.Reconciled, error) {
	return keys.Reconciled{}, nil
}

func (s *sharedStore) Allot(_ context.Context, a keys.Allotment) (granted, taken int64, err error) {
	q, at := s.quotas, quota{a.Meter, a.Begin}
	if a.Want < 0 && q.during != nil {
		q.during()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.asked++; q.fails != nil {
		return 0, 0, q.fails
	}
	granted = a.Granted(q.taken[at])
	q.taken[at] += granted
	return granted, q.taken[at], nil
}

// newShared returns a directory over a store of several processes, with a key.
func newShared(t *testing.T) (*directory.Directory, *sharedStore, keys.Credential) {
	t.Helper()
	store, err := memstore.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &sharedStore{Store: store}
	d := openIdle(t, s, time.Now)
	update(t, d, func(tx *keys.Tx) error {
		_, err1 := tx.CreateUser(keys.User{ID: "alice"})
		_, err2 := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}})
		return errors.Join(err1, err2)
	})
	return d, s, createKey(t, d)
}

// A process that may not know the newest changes decides nothing, not even from its
// cache.
func TestStaleProcessFindsNothing(t *testing.T) {
	d, s, key := newShared(t)
	collaborator := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"}
	find(t, d, key.Digest)
	if _, err := d.Collaborator(t.Context(), collaborator); err != nil {
		t.Fatal(err)
	}
	d.WaitForCache()
	s.stale = true
	if e, err := d.Find(t.Context(), key.Digest); !errors.Is(err, keys.ErrStale) {
		t.Errorf("the key is %v, %v", e, err)
	}
	if e, err := d.Collaborator(t.Context(), collaborator); !errors.Is(err, keys.ErrStale) {
		t.Errorf("the collaborator is %v, %v", e, err)
	}
}

// A change returns once it has settled, unless its caller doesn't want to wait.
func TestChangesSettle(t *testing.T) {
	d, s, key := newShared(t)
	s.settled = nil
	revoke := func(tx *keys.Tx) error { return tx.Revoke(key.ID, "by the test") }
	if err := d.UpdateFirst(t.Context(), operator, revoke); err != nil {
		t.Fatal(err)
	}
	if len(s.settled) != 1 || s.settled[0].Revision == 0 {
		t.Errorf("settled before it returned: %+v", s.settled)
	}
	s.settled = nil
	if err := d.Update(directory.WithoutSettling(t.Context()), operator, func(tx *keys.Tx) error {
		_, err := tx.CreateUser(keys.User{ID: "bob"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(s.settled) != 0 {
		t.Errorf("a change whose caller doesn't wait settled: %+v", s.settled)
	}
}
