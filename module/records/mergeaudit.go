package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// auditLog keeps the current log if it goes on from the backup's: then it
// tells what happened since. Otherwise the backup's stays.
func (m *Merge) auditLog() error {
	if m.Now == nil {
		return nil
	}
	goesOn, err := m.logGoesOn()
	if err != nil {
		return err
	}
	if !goesOn {
		m.Notices = append(m.Notices, "the audit log is the backup's, for that of the file before does not go on from it; it is still in that file")
		return nil
	}
	for _, name := range [][]byte{audit.bucket, auditOfUser.bucket} {
		if err := m.empty(name); err != nil {
			return err
		}
	}
	err = ofCurrent(m, &audit, func(e keys.AuditEntry) error {
		w, err := m.update()
		if err != nil {
			return err
		}
		return w.PutAuditEntry(e)
	})
	if err != nil {
		return err
	}
	head, err := NewView(m.Now).AuditHead()
	if err != nil {
		return err
	}
	w, err := m.update()
	if err != nil {
		return err
	}
	return w.PutAuditHead(head)
}

// empty deletes all that a bucket has.
func (m *Merge) empty(bucket []byte) error {
	for {
		w, err := m.next()
		if err != nil {
			return err
		}
		key, _ := w.Seek(bucket, nil)
		if key == nil {
			return nil
		}
		if err := w.Delete(bucket, key); err != nil {
			return err
		}
	}
}

// logGoesOn reports whether the current audit log is whole, and has in it the
// entry with which the backup's ends, or begins after it.
func (m *Merge) logGoesOn() (bool, error) {
	now, err := keys.VerifyAudit(NewView(m.Now))
	if errors.Is(err, keys.ErrAuditBroken) {
		m.Notices = append(m.Notices, fmt.Sprintf("of the file before, %v", err))
		return false, nil
	}
	if err != nil {
		if m.passOver(err) {
			return false, nil
		}
		return false, unreadable(err)
	}
	was, err := NewView(m.from).AuditHead()
	switch {
	case err != nil:
		return false, err
	case now.Last < was.Last || now.Last == 0:
		return false, nil
	case was.Last == 0 || was.Last+1 < now.First: // what was between is too old to be kept
		return m.kinship == descendant, nil
	case was.Last+1 == now.First:
		return now.Anchor == was.Hash, nil
	}
	return m.logHasHead()
}

// logHasHead reports whether the current audit log has in it the entry with
// which the backup's ends.
func (m *Merge) logHasHead() (bool, error) {
	was, err := NewView(m.from).AuditHead()
	if err != nil {
		return false, err
	}
	e, err := audit.get(m.Now, place(nil, was.Last))
	if errors.Is(err, keys.ErrNotFound) || errors.Is(err, keys.ErrCorrupt) {
		return false, nil
	}
	return err == nil && bytes.Equal(e.Hash[:], was.Hash[:]), err
}
