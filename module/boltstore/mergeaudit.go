package boltstore

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// auditLog keeps the current log if it goes on from the backup's: then it
// tells what happened since. Otherwise the backup's stays.
func (r *restoring) auditLog(into *batches) error {
	if r.now == nil {
		return nil
	}
	goesOn, err := r.logGoesOn()
	if err != nil {
		return err
	}
	if !goesOn {
		r.Notices = append(r.Notices, "the audit log is the backup's, for that of the file before does not go on from it; it is still in that file")
		return nil
	}
	for _, name := range [][]byte{audit.bucket, auditOfUser.bucket} {
		w, err := into.next()
		if err != nil {
			return err
		}
		if err := errors.Join(w.tx.DeleteBucket(name), second(w.tx.CreateBucket(name))); err != nil {
			return err
		}
	}
	err = ofCurrent(r, &audit, func(e keys.AuditEntry) error {
		w, err := into.next()
		if err != nil {
			return err
		}
		return w.PutAuditEntry(e)
	})
	if err != nil {
		return err
	}
	head, err := reader{r.now}.AuditHead()
	if err != nil {
		return err
	}
	w, err := into.next()
	if err != nil {
		return err
	}
	return w.PutAuditHead(head)
}

func second(_ *bolt.Bucket, err error) error { return err }

// logGoesOn says whether the current audit log is whole, and has in it the
// entry with which the backup's ends, or begins after it.
func (r *restoring) logGoesOn() (bool, error) {
	now, err := keys.VerifyAudit(reader{r.now})
	if errors.Is(err, keys.ErrAuditBroken) {
		r.Notices = append(r.Notices, fmt.Sprintf("of the file before, %v", err))
		return false, nil
	}
	if err != nil {
		if r.passOver(err) {
			return false, nil
		}
		return false, unreadable(err)
	}
	was, err := reader{r.from}.AuditHead()
	switch {
	case err != nil:
		return false, err
	case now.Last < was.Last || now.Last == 0:
		return false, nil
	case was.Last == 0 || was.Last+1 < now.First: // what was between is too old to be kept
		return r.kinship == descendant, nil
	case was.Last+1 == now.First:
		return now.Anchor == was.Hash, nil
	}
	return r.logHasHead()
}

// logHasHead reports whether the current audit log has in it the entry with
// which the backup's ends.
func (r *restoring) logHasHead() (bool, error) {
	was, err := reader{r.from}.AuditHead()
	if err != nil {
		return false, err
	}
	e, err := audit.get(r.now, place(nil, was.Last))
	if errors.Is(err, keys.ErrNotFound) || errors.Is(err, keys.ErrCorrupt) {
		return false, nil
	}
	return err == nil && bytes.Equal(e.Hash[:], was.Hash[:]), err
}
