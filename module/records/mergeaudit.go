package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// auditLog keeps the current log if it continues the backup's log, because it then
// also has the changes since. Otherwise it keeps the backup's log.
func (m *Merge) auditLog() error {
	if m.Now == nil {
		return nil
	}
	continues, err := m.logContinues()
	if err != nil {
		return err
	}
	if !continues {
		m.Notices = append(m.Notices, "the audit log is the backup's, because the log of the previous file does not continue it; that log is still in the previous file")
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

// empty deletes all entries of a bucket.
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

// logContinues reports whether the current audit log is whole, and contains the
// last entry of the backup's log or begins right after it.
func (m *Merge) logContinues() (bool, error) {
	now, err := keys.VerifyAudit(NewView(m.Now))
	if errors.Is(err, keys.ErrAuditBroken) {
		m.Notices = append(m.Notices, fmt.Sprintf("in the previous file, %v", err))
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
	case was.Last == 0 || was.Last+1 < now.First: // the entries in between were too old to keep
		return m.kinship == descendant, nil
	case was.Last+1 == now.First:
		return now.Anchor == was.Hash, nil
	}
	return m.logHasHead()
}

// logHasHead reports whether the current audit log contains the last entry of the
// backup's log.
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
