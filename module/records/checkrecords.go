package records

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// This file checks whether the records of a store fit together.

// deleting reports whether a user or an app is being deleted. Its remaining records
// are refused, and will be deleted.
func (e *examiner) deleting(owner, app string) bool {
	at := func(app string) []byte { return appKey(keys.AppRef{OwnerID: owner, AppID: app}) }
	return has(e.r, deletions.bucket, at("")) || has(e.r, deletions.bucket, at(app))
}

// mark compares a mark with the audit log, as far as the log goes back.
func (e *examiner) mark(m mark) {
	if m.last == 0 {
		return
	}
	entry, err := audit.get(e.r, place(nil, m.last))
	switch head, errHead := NewView(e.r).AuditHead(); {
	case errHead != nil, errors.Is(err, keys.ErrCorrupt): // found elsewhere
	case m.last > head.Last, err == nil && entry.Hash != m.hash:
		e.odd("the mark of the backup of %s does not belong to this audit log", m.at.Format(time.RFC3339))
	}
}

// identity checks the ID and the revision of the store, and whether it is a backup.
func (e *examiner) identity() error {
	if _, err := readSequence(e.r, revisionKey); err != nil {
		e.damage("%v", err)
	}
	if _, err := storeID(e.r); err != nil {
		e.damage("%v", err)
	}
	own, err := ownMarks(e.r)
	e.Marked = err == nil && len(own) > 0 // unreadable marks are found elsewhere
	return nil
}

func (e *examiner) user(u keys.User) {
	if has(e.r, retiredBucket, []byte(u.ID)) {
		e.odd("the user %s was deleted, but exists", u.ID)
	}
}

func (e *examiner) app(a keys.App) {
	if !has(e.r, users.bucket, []byte(a.OwnerID)) && !e.deleting(a.OwnerID, "") {
		e.odd("the owner of the app %s is missing: there is no user %s", a.AppID, a.OwnerID)
	}
}

func (e *examiner) credential(c keys.Credential) {
	if !has(e.r, users.bucket, []byte(c.UserID)) && !e.deleting(c.UserID, "") {
		e.odd("the user of the key %s is missing: there is no user %s", c.ID, c.UserID)
	}
	if c.AppID != "" && !has(e.r, apps.bucket, join(c.UserID, c.AppID)) && !e.deleting(c.UserID, c.AppID) {
		e.odd("the app of the key %s is missing: user %s has no app %s", c.ID, c.UserID, c.AppID)
	}
	if has(e.r, tombstones.bucket, c.Digest[:]) {
		e.odd("the key %s was revoked, but exists: it is refused nevertheless", c.ID)
	}
}

func (e *examiner) collaborator(c keys.Collaborator) {
	if !has(e.r, apps.bucket, appKey(c.AppRef)) && !e.deleting(c.OwnerID, c.AppID) {
		e.odd("the app of the collaborator %s is missing: user %s has no app %s", c.UserID, c.OwnerID, c.AppID)
	}
}

func (e *examiner) usage(u usage) {
	if !has(e.r, credentials.bucket, u.digest[:]) {
		e.odd("the credential of the last use %s is missing", shown(u.digest[:]))
	}
}

func (e *examiner) activity(a keys.KeyActivity) {
	if !has(e.r, credentials.bucket, a.Digest[:]) {
		e.odd("the credential of the activity %s is missing", shown(a.Digest[:]))
	}
}
