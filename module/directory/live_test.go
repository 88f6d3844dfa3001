package directory_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

type request struct {
	live     directory.Live
	rechecks atomic.Int32
}

func (r *request) Recheck() { r.rechecks.Add(1) }

func TestAdmit(t *testing.T) {
	d, _, c := newDirectory(t)
	other := createKey(t, d)
	entry, others := find(t, d, c.Digest), find(t, d, other.Digest)
	var mine, theirs request
	if !d.Admit(&mine.live, &mine, entry, nil, nil) || !d.Admit(&theirs.live, &theirs, others, nil, nil) {
		t.Fatal("not admitted")
	}
	if n := d.Live(); n != 2 {
		t.Errorf("%d live", n)
	}
	update(t, d, func(tx *keys.Tx) error { return tx.Revoke(c.ID, "leaked") })
	if mine.rechecks.Load() != 1 || theirs.rechecks.Load() != 0 {
		t.Errorf("decided again %d and %d times, want 1 and 0", mine.rechecks.Load(), theirs.rechecks.Load())
	}
	d.Leave(&mine.live)
	d.Leave(&theirs.live)
	d.Leave(&theirs.live)
	if n := d.Live(); n != 0 {
		t.Errorf("%d live after all have left", n)
	}
	// A request decided before the revocation comes too late.
	if d.Admit(&mine.live, &mine, entry, nil, nil) {
		t.Error("admitted by an entry from before a change")
	}
	if n := d.Live(); n != 0 {
		t.Errorf("%d live after one that was not admitted", n)
	}
}

// A change to the collaborator reaches a request decided by it, like a change
// to the credential.
func TestAdmitByCollaborator(t *testing.T) {
	d, _, c := newDirectory(t)
	update(t, d, func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "bob"}); return err })
	ref := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"}
	addCollaborator := func(scopes ...string) {
		update(t, d, func(tx *keys.Tx) error {
			_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: ref, Scopes: scopes})
			return err
		})
	}
	collaborator := func() *directory.Entry {
		e, err := d.Collaborator(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if collaborator().Exists() {
		t.Fatal("a collaborator before there is one")
	}
	addCollaborator("Inputs:Get")
	if !collaborator().Exists() {
		t.Fatal("no collaborator after there is one")
	}
	var r request
	if !d.Admit(&r.live, &r, find(t, d, c.Digest), collaborator(), nil) {
		t.Fatal("not admitted")
	}
	defer d.Leave(&r.live)
	addCollaborator("Models:Get")
	update(t, d, func(tx *keys.Tx) error { return tx.RemoveCollaborator(ref) })
	if n := r.rechecks.Load(); n != 2 {
		t.Errorf("decided again %d times, want 2", n)
	}
	if collaborator().Exists() {
		t.Error("a collaborator after the removal")
	}
}

// A request that is admitted while a revocation is on its way is either refused
// or told: none slips between the two.
func TestNobodySlipsBetween(t *testing.T) {
	d, _, _ := newDirectory(t)
	for range 60 {
		c := createKey(t, d)
		var requests [16]request
		var admitted [16]bool
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range requests {
			wg.Go(func() {
				<-start
				e, err := d.Find(t.Context(), c.Digest)
				if err != nil {
					t.Error(err)
					return
				}
				admitted[i] = e.Exists() && d.Admit(&requests[i].live, &requests[i], e, nil, nil)
			})
		}
		wg.Go(func() {
			<-start
			if err := d.Update(t.Context(), operator, func(tx *keys.Tx) error { return tx.Revoke(c.ID, "leaked") }); err != nil {
				t.Error(err)
			}
		})
		close(start)
		wg.Wait()
		for i := range requests {
			if admitted[i] && requests[i].rechecks.Load() == 0 {
				t.Fatal("a request was admitted by a revoked credential and not told")
			}
			d.Leave(&requests[i].live)
		}
	}
}
