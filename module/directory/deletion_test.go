package directory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// largeApp makes an app with more keys and collaborators than one transaction
// takes away.
func largeApp(t *testing.T, d *directory.Directory, ref keys.AppRef) (all []keys.Credential, bob keys.CollaboratorRef) {
	t.Helper()
	bob = keys.CollaboratorRef{AppRef: ref, UserID: "bob"}
	update(t, d, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: ref.OwnerID}); err != nil {
			return err
		}
		if _, err := tx.CreateApp(keys.App{AppRef: ref}); err != nil {
			return err
		}
		for range 250 {
			c := newKey()
			c.UserID, c.AppID = ref.OwnerID, ref.AppID
			if _, err := tx.CreateCredential(c); err != nil {
				return err
			}
			all = append(all, c)
		}
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: bob, Scopes: []string{"All"}})
		return err
	})
	return all, bob
}

// A user or an app with many keys is deleted in steps. The first makes every
// key and collaborator of it worth nothing, and ends live requests; the others
// take the records away, and what was begun is finished after a restart.
func TestADeletionTakesEffectAtOnce(t *testing.T) {
	ref := keys.AppRef{OwnerID: "large", AppID: "app"}
	for name, remove := range map[string]func(*keys.Tx) error{
		"app":  func(tx *keys.Tx) error { return tx.DeleteApp(ref) },
		"user": func(tx *keys.Tx) error { return tx.DeleteUser(ref.OwnerID) },
	} {
		t.Run(name, func(t *testing.T) {
			d, m, _ := newDirectory(t)
			all, bob := largeApp(t, d, ref)
			var r request
			if !d.Admit(&r.live, &r, find(t, d, all[249].Digest), nil, nil) {
				t.Fatal("not admitted")
			}
			defer d.Leave(&r.live)
			for _, c := range all {
				find(t, d, c.Digest) // cached
			}
			if e, err := d.Collaborator(t.Context(), bob); err != nil || !e.Exists() {
				t.Fatalf("the collaborator before: %v, %v", e, err)
			}
			var left uint64
			update(t, d, func(tx *keys.Tx) error {
				if err := remove(tx); err != nil {
					return err
				}
				totals, err := tx.Totals(ref.OwnerID)
				left = totals.Keys
				return err
			})
			if left != 150 {
				t.Errorf("the first step leaves %d records, want 150 of 250", left)
			}
			for i, c := range all {
				if find(t, d, c.Digest).Exists() {
					t.Fatalf("key %d is good after the deletion", i)
				}
			}
			if e, err := d.Collaborator(t.Context(), bob); err != nil || e.Exists() {
				t.Errorf("the collaborator is good after the deletion (%v)", err)
			}
			if r.rechecks.Load() == 0 {
				t.Error("the live request was not decided again")
			}
			if err := d.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantNothingLeft(t, d, m, ref, all)
		})
	}
}

func wantNothingLeft(t *testing.T, d *directory.Directory, m *faultyStore, ref keys.AppRef, all []keys.Credential) {
	t.Helper()
	err := d.View(t.Context(), func(r keys.Reader) error {
		totals, err := r.Totals(ref.OwnerID)
		if err != nil || totals != (keys.Totals{}) {
			t.Errorf("left: %+v, %v", totals, err)
		}
		for _, c := range all {
			if _, err := r.Tombstone(c.Digest); err != nil {
				return fmt.Errorf("tombstone of %s: %w", c.ID, err)
			}
		}
		for range r.Collaborators(ref, 0) {
			t.Error("a collaborator is left")
		}
		for range r.Deletions() {
			t.Error("the deletion is not finished")
		}
		_, err = keys.VerifyAudit(r)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	found, err := m.Store.(keys.Examiner).Examine(t.Context())
	if err != nil || len(found.Findings) > 0 {
		t.Errorf("a check: %+v, %v", found.Findings, err)
	}
}

// As long as keys of a deleted app are left, no app takes its name: they would
// be good again.
func TestNoAppInThePlaceOfOneBeingDeleted(t *testing.T) {
	ref := keys.AppRef{OwnerID: "large", AppID: "app"}
	d, _, _ := newDirectory(t)
	largeApp(t, d, ref)
	update(t, d, func(tx *keys.Tx) error {
		if err := tx.DeleteApp(ref); err != nil {
			return err
		}
		if _, err := tx.CreateApp(keys.App{AppRef: ref}); !errors.Is(err, keys.ErrDeleting) {
			t.Errorf("got %v, want ErrDeleting", err)
		}
		return nil
	})
	if err := d.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	update(t, d, func(tx *keys.Tx) error { _, err := tx.CreateApp(keys.App{AppRef: ref}); return err })
}

// A deletion that a run before had begun is finished by the next.
func TestADeletionIsFinishedAfterARestart(t *testing.T) {
	ref := keys.AppRef{OwnerID: "large", AppID: "app"}
	d, m, _ := newDirectory(t)
	all, _ := largeApp(t, d, ref)
	_, err := m.Update(t.Context(), func(w keys.Writer) error { // as far as a crash let it come
		w.Touch(all[0].CreatedAt)
		return errors.Join(w.DeleteApp(ref), w.PutDeletion(keys.Deletion{AppRef: ref, By: operator}))
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := directory.New(nobodyCloses{m}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if again.Standing(find(t, again.Directory, c.Digest)) != keys.Unknown || c.Kind != policy.AppKey {
			t.Fatalf("%s is good", c.ID)
		}
	}
}

// nobodyCloses is a store that is another directory's to close.
type nobodyCloses struct{ *faultyStore }

func (nobodyCloses) Close() error           { return nil }
func (nobodyCloses) Feed(func(keys.Change)) {}
