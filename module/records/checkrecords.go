package records

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// What should be so of records that stand in the same store.

// deleting reports whether a user or an app is being deleted: what is left of
// it is refused, and goes.
func (e *examiner) deleting(owner, app string) bool {
	at := func(app string) []byte { return appKey(keys.AppRef{OwnerID: owner, AppID: app}) }
	return has(e.r, deletions.bucket, at("")) || has(e.r, deletions.bucket, at(app))
}

// mark compares what a mark says of the audit log with the log, as far as that
// goes back.
func (e *examiner) mark(m mark) {
	if m.last == 0 {
		return
	}
	entry, err := audit.get(e.r, place(nil, m.last))
	switch head, errHead := NewView(e.r).AuditHead(); {
	case errHead != nil, errors.Is(err, keys.ErrCorrupt): // which is found elsewhere
	case m.last > head.Last, err == nil && entry.Hash != m.hash:
		e.odd("the mark of the backup of %s is not of this audit log", m.at.Format(time.RFC3339))
	}
}

// identity checks the ID and the revision of the store, and finds out whether
// it is a backup.
func (e *examiner) identity() error {
	if _, err := readSequence(e.r, revisionKey); err != nil {
		e.damage("%v", err)
	}
	if _, err := storeID(e.r); err != nil {
		e.damage("%v", err)
	}
	own, err := ownMarks(e.r)
	e.Marked = err == nil && len(own) > 0 // what can't be read is found elsewhere
	return nil
}

func (e *examiner) user(u keys.User) {
	if has(e.r, retiredBucket, []byte(u.ID)) {
		e.odd("the user %s was deleted, and is there", u.ID)
	}
}

func (e *examiner) app(a keys.App) {
	if !has(e.r, users.bucket, []byte(a.OwnerID)) && !e.deleting(a.OwnerID, "") {
		e.odd("the app %s has no owner: there is no user %s", a.AppID, a.OwnerID)
	}
}

func (e *examiner) credential(c keys.Credential) {
	if !has(e.r, users.bucket, []byte(c.UserID)) && !e.deleting(c.UserID, "") {
		e.odd("the key %s has no user: there is no user %s", c.ID, c.UserID)
	}
	if c.AppID != "" && !has(e.r, apps.bucket, join(c.UserID, c.AppID)) && !e.deleting(c.UserID, c.AppID) {
		e.odd("the key %s has no app: user %s has no app %s", c.ID, c.UserID, c.AppID)
	}
	if has(e.r, tombstones.bucket, c.Digest[:]) {
		e.odd("the key %s was revoked, and is there: it is refused all the same", c.ID)
	}
}

func (e *examiner) collaborator(c keys.Collaborator) {
	if !has(e.r, apps.bucket, appKey(c.AppRef)) && !e.deleting(c.OwnerID, c.AppID) {
		e.odd("the collaborator %s has no app: user %s has no app %s", c.UserID, c.OwnerID, c.AppID)
	}
}

func (e *examiner) usage(u usage) {
	if !has(e.r, credentials.bucket, u.digest[:]) {
		e.odd("the last use of %s is of no credential", shown(u.digest[:]))
	}
}
