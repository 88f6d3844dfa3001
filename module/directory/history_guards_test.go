package directory_test

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// teller is a store of which a test tells that it changed.
type teller struct {
	keys.Store
	tell func(keys.Change)
}

func (s *teller) Feed(feed func(keys.Change)) {
	s.tell = feed
	s.Store.Feed(feed)
}

// After a change of unknown extent, nothing cached counts any more, and live
// requests are decided again.
func TestAllChanged(t *testing.T) {
	m := openStore(t)
	s := &teller{Store: m}
	d := openIdle(t, s, time.Now)
	update(t, d, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		_, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}})
		return err
	})
	c := createKey(t, d)
	var r request
	if !d.Admit(&r.live, &r, find(t, d, c.Digest), nil, nil) {
		t.Fatal("not admitted")
	}
	defer d.Leave(&r.live)
	cache(t, d, c.Digest)
	loads := d.Loads()
	s.tell(keys.Change{All: true})
	find(t, d, c.Digest)
	if d.Loads() == loads {
		t.Error("answered from the cache of before")
	}
	if n := r.rechecks.Load(); n != 1 {
		t.Errorf("the live request was decided again %d times, want once", n)
	}
}

// A revocation counts even if a record exists next to it, as after a failed
// restore.
func TestATombstoneCounts(t *testing.T) {
	d, m, c := newDirectory(t)
	_, err := m.Update(t.Context(), func(w keys.Writer) error {
		w.Touch(time.Now(), c.Digest)
		return w.PutTombstone(keys.Tombstone{Digest: c.Digest, ID: c.ID, At: time.Now(), Reason: "leaked"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if find(t, d, c.Digest).Exists() {
		t.Error("a revoked credential is good")
	}
}

// IDs that spell the same in a row still name two collaborators.
func TestCollaboratorDigestsDiffer(t *testing.T) {
	refs := []keys.CollaboratorRef{
		{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"},
		{AppRef: keys.AppRef{OwnerID: "ali", AppID: "ceshop"}, UserID: "bob"},
		{AppRef: keys.AppRef{OwnerID: "balice", AppID: "shop"}, UserID: "bo"},
		{AppRef: keys.AppRef{OwnerID: "bob", AppID: "shop"}, UserID: "alice"},
		{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: keys.Everyone},
	}
	found := map[credential.Digest]keys.CollaboratorRef{}
	for _, r := range refs {
		if other, ok := found[r.Digest()]; ok {
			t.Errorf("%v and %v share a digest", r, other)
		}
		found[r.Digest()] = r
	}
}

// meeting is a store that has something happen between what a change writes
// and its commit.
type meeting struct {
	keys.Store
	between func()
}

func (s *meeting) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	return s.Store.Update(ctx, func(w keys.Writer) error {
		err := fn(w)
		if s.between != nil {
			s.between()
		}
		return err
	})
}

// cache loads a credential until it is in the cache, which takes a moment.
func cache(t *testing.T, d *directory.Directory, digest credential.Digest) {
	t.Helper()
	end := time.Now().Add(deadline)
	for loads := d.Loads() - 1; d.Loads() != loads; find(t, d, digest) {
		if loads = d.Loads(); time.Now().After(end) {
			t.Fatal("it is never cached")
		}
	}
}

// A load between the writing and the commit reads the old revision. It must not
// count afterwards.
func TestALoadBeforeTheCommit(t *testing.T) {
	s := &meeting{Store: openStore(t)}
	d := openIdle(t, s, time.Now)
	update(t, d, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		_, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}})
		return err
	})
	c := createKey(t, d)
	s.between = func() { cache(t, d, c.Digest) }
	update(t, d, func(tx *keys.Tx) error { return tx.Revoke(c.ID, "leaked") })
	if find(t, d, c.Digest).Exists() {
		t.Error("found after the revocation")
	}
}

// asking is a request that asks again who it is of.
type asking struct {
	live  directory.Live
	again func()
}

func (r *asking) Recheck() { r.again() }

// A sweep re-decides a request by the changed records.
func TestRecheckSeesTheChange(t *testing.T) {
	d, _, c := newDirectory(t)
	cache(t, d, c.Digest)
	asked := 0
	r := &asking{again: func() {
		asked++
		if find(t, d, c.Digest).Exists() {
			t.Error("decided again by what was before")
		}
	}}
	if !d.Admit(&r.live, r, find(t, d, c.Digest), nil, nil) {
		t.Fatal("not admitted")
	}
	defer d.Leave(&r.live)
	update(t, d, func(tx *keys.Tx) error { return tx.Revoke(c.ID, "leaked") })
	if asked != 1 {
		t.Errorf("decided again %d times, want once", asked)
	}
}
