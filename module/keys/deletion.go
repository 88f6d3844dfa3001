package keys

import (
	"errors"
	"iter"
)

// maxDeleted is how many records of deleted users and apps one transaction
// removes, because others wait for it.
const maxDeleted = 100

// Deleted reports whether a user or an app (if AppID is not empty) was deleted.
// Nothing of it is valid then, even if records are left.
func Deleted(r Reader, ref AppRef) (bool, error) {
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
// [Tx.ContinueDeletion].
func (tx *Tx) beginDeletion(ref AppRef) error {
	d := Deletion{AppRef: ref, At: tx.now, By: tx.actor}
	if err := tx.w.PutDeletion(d); err != nil {
		return err
	}
	done, err := tx.ContinueDeletion(d)
	tx.deleting = tx.deleting || !done
	return err
}

// ContinueDeletion removes remaining records of a deleted user or app, in the
// name of the actor who deleted it: as long as there is room, up to
// [maxDeleted] in one transaction. It reports whether none is left. Each step is
// safe on its own.
func (tx *Tx) ContinueDeletion(d Deletion) (done bool, err error) {
	tx.actor = d.By
	if d.AppID != "" {
		done, err = tx.deleteOfApp(d.AppRef)
	} else {
		done, err = tx.deleteOfUser(d.OwnerID)
	}
	if err != nil || !done {
		return false, err
	}
	return true, tx.w.DeleteDeletion(d.AppRef)
}

func (tx *Tx) deleteOfApp(ref AppRef) (done bool, err error) {
	revoke := func(c Credential) error { return tx.revoke(c, "app deleted") }
	if done, err = removeEach(tx, tx.AppCredentials(ref, 0), revoke); err != nil || !done {
		return false, err
	}
	return removeEach(tx, tx.Collaborators(ref, 0), tx.removeCollaborator)
}

func (tx *Tx) deleteOfUser(id string) (done bool, err error) {
	revoke := func(c Credential) error { return tx.revoke(c, "user deleted") }
	if done, err = removeEach(tx, tx.Credentials(id, 0), revoke); err != nil || !done {
		return false, err
	}
	if done, err = removeEach(tx, tx.Collaborations(id, 0), tx.removeCollaborator); err != nil || !done {
		return false, err
	}
	for a, err := range tx.Apps(id, 0) {
		if err != nil {
			return false, err
		}
		// The app goes last, because its collaborators are found by it.
		if done, err := removeEach(tx, tx.Collaborators(a.AppRef, 0), tx.removeCollaborator); err != nil || !done {
			return false, err
		}
		if done, err := removeEach(tx, one(a), tx.removeApp); err != nil || !done {
			return false, err
		}
	}
	return true, nil
}

func (tx *Tx) removeApp(a App) error {
	if err := tx.w.DeleteApp(a.AppRef); err != nil {
		return err
	}
	return tx.record(ActionAppDelete, Subject{UserID: a.OwnerID, AppID: a.AppID}, factsOfApp(a), nil)
}

// one is a list of one record.
func one[R any](record R) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) { yield(record, nil) }
}

// removeEach removes the records of a list as long as there is room. It reports
// whether it has removed all of them.
func removeEach[R any](tx *Tx, list iter.Seq2[R, error], remove func(R) error) (done bool, err error) {
	for record, err := range list {
		if err != nil {
			return false, err
		}
		if tx.removed == maxDeleted || !tx.roomToRemove() {
			return false, nil
		}
		tx.removed++
		if err := remove(record); err != nil {
			return false, err
		}
	}
	return true, nil
}
