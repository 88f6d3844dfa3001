package keys

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// maxDeleted is how many records of a deleted user or app one transaction
// removes, because others wait for it.
const maxDeleted = 100

// deleted reports whether a user or an app (if AppID is not empty) was deleted.
// Nothing of it is valid then, even if records are left.
func deleted(r Reader, ref AppRef) (bool, error) {
	if _, err := r.User(ref.OwnerID); errors.Is(err, ErrNotFound) {
		return r.UserRetired(ref.OwnerID)
	} else if err != nil || ref.AppID == "" {
		return false, err
	}
	_, err := r.App(ref)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return false, err
}

// beginDeletion removes the records of a user or an app that was deleted in
// this change. It leaves records that are too many for one transaction to
// [Directory.Finish].
func (tx *Tx) beginDeletion(ref AppRef) error {
	d := Deletion{AppRef: ref, At: tx.now, By: tx.actor}
	if err := tx.w.PutDeletion(d); err != nil {
		return err
	}
	done, err := tx.continueDeletion(d)
	tx.deleting = tx.deleting || !done
	return err
}

// continueDeletion removes up to [maxDeleted] records, and reports whether none
// is left.
func (tx *Tx) continueDeletion(d Deletion) (done bool, err error) {
	left := maxDeleted
	if d.AppID != "" {
		err = tx.deleteOfApp(d.AppRef, &left)
	} else {
		err = tx.deleteOfUser(d.OwnerID, &left)
	}
	if err != nil || left == 0 {
		return false, err
	}
	return true, tx.w.DeleteDeletion(d.AppRef)
}

func (tx *Tx) deleteOfApp(ref AppRef, left *int) error {
	revoke := func(c Credential) error { return tx.revoke(c, "app deleted") }
	if err := each(tx.AppCredentials(ref, 0), left, revoke); err != nil {
		return err
	}
	return each(tx.Collaborators(ref, 0), left, tx.uninvite)
}

func (tx *Tx) deleteOfUser(id string, left *int) error {
	revoke := func(c Credential) error { return tx.revoke(c, "user deleted") }
	if err := each(tx.Credentials(id, 0), left, revoke); err != nil {
		return err
	}
	if err := each(tx.Collaborations(id, 0), left, tx.uninvite); err != nil {
		return err
	}
	return each(tx.Apps(id, 0), left, func(a App) error {
		if err := each(tx.Collaborators(a.AppRef, 0), left, tx.uninvite); err != nil || *left == 0 {
			return err // the app itself another time
		}
		if err := tx.w.DeleteApp(a.AppRef); err != nil {
			return err
		}
		return tx.record(ActionAppDelete, Subject{UserID: a.OwnerID, AppID: a.AppID}, factsOfApp(a), nil)
	})
}

// each calls do with up to left records of a list.
func each[R any](list iter.Seq2[R, error], left *int, do func(R) error) error {
	for record, err := range list {
		if err != nil {
			return err
		}
		if *left <= 0 {
			return nil
		}
		*left--
		if err := do(record); err != nil {
			return err
		}
	}
	return nil
}

// finishSoon wakes up the task that finishes deletions.
func (d *Directory) finishSoon() {
	select {
	case d.unfinished <- struct{}{}:
	default: // somebody is about to
	}
}

// Finish removes the remaining records of deleted users and apps, step by step,
// so that nobody waits for all of it. Each step is safe on its own.
func (d *Directory) Finish(ctx context.Context) error {
	d.finishing.Lock()
	defer d.finishing.Unlock()
	for {
		select {
		case <-d.closing:
			return nil
		default:
		}
		var next *Deletion
		err := d.store.View(ctx, func(r Reader) error {
			for deletion, err := range r.Deletions() {
				next = &deletion
				return err
			}
			return nil
		})
		if err != nil || next == nil {
			return err
		}
		err = d.update(ctx, ordinary, Actor{}, func(tx *Tx) error {
			tx.actor = next.By
			_, err := tx.continueDeletion(*next)
			return err
		})
		if err != nil {
			return fmt.Errorf("finishing the deletion of %s %s: %w", next.OwnerID, next.AppID, err)
		}
	}
}
