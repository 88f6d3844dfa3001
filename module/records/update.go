package records

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// Written describes a revision being written.
type Written struct {
	keys.Commit
	// Change is the change to publish on the feed once the revision is committed,
	// or nil.
	Change *keys.Change
}

// Apply runs fn on a revision being written. fn may write at most maxWrites
// records. Apply returns the error of fn or of any failed write. After an error the
// revision must not be committed.
func Apply(w Writer, maxWrites int, fn func(keys.Writer) error) (Written, error) {
	u := newUpdate(w)
	u.left = maxWrites
	if err := fn(u); err != nil {
		return Written{}, err
	}
	return u.finish()
}

// ApplyUses writes uses to a revision for [keys.Store.Used].
func ApplyUses(w Writer, uses []keys.Use) (Written, error) {
	for _, use := range uses {
		if !has(w, credentials.bucket, use.Digest[:]) {
			continue
		}
		if err := applyLastUse(w, use); err != nil {
			return Written{}, err
		}
		if err := applyActivity(w, use); err != nil {
			return Written{}, err
		}
	}
	return Written{}, nil
}

func applyLastUse(w Writer, use keys.Use) error {
	if use.At.IsZero() {
		return nil
	}
	switch last, err := usages.get(w, use.Digest[:]); {
	case err == nil && use.At.Before(last.At):
		return nil
	case err != nil && !errors.Is(err, keys.ErrNotFound):
		return err
	}
	return usages.put(w, usage{use.Usage, use.Digest})
}

// update is a [keys.Writer] of one revision being written.
type update struct {
	view
	w Writer

	// left is how many more records may be written.
	left    int
	touched []credential.Digest
	reset   bool // the time of the last write was set
	groups  []credential.Digest
	// err is the error of the first failed write. The record may then lack indexes,
	// so the transaction fails even if fn ignored the error.
	err error
}

// newUpdate returns an update without a limit.
func newUpdate(w Writer) *update { return &update{view: view{r: w}, w: w, left: math.MaxInt} }

// finish completes the revision after fn.
func (u *update) finish() (Written, error) {
	if u.err != nil {
		return Written{}, u.err
	}
	revision, err := nextRevision(u.w)
	if err != nil {
		return Written{}, err
	}
	at, err := u.LastWrite()
	return Written{
		keys.Commit{Revision: revision},
		&keys.Change{Touched: u.touched, Groups: u.groups, At: at, All: u.reset, Reset: u.reset},
	}, err
}

// wrote counts a written record, and keeps the error of the write.
func (u *update) wrote(err error) error {
	if u.left--; err == nil && u.left < 0 {
		err = keys.ErrTooManyWrites
	}
	return u.kept(err)
}

// kept keeps the first error of a write.
func (u *update) kept(err error) error {
	if u.err == nil {
		u.err = err
	}
	return err
}

func (u *update) Left() int { return u.left }

func (u *update) PutUser(user keys.User) error  { return u.wrote(users.put(u.w, user)) }
func (u *update) DeleteUser(id string) error    { return u.wrote(users.delete(u.w, []byte(id))) }
func (u *update) PutApp(a keys.App) error       { return u.wrote(apps.put(u.w, a)) }
func (u *update) DeleteApp(a keys.AppRef) error { return u.wrote(apps.delete(u.w, appKey(a))) }

func (u *update) RetireUser(id string) error {
	return u.wrote(u.w.Put(retiredBucket, []byte(id), []byte{1}))
}

func (u *update) PutCredential(c keys.Credential) error {
	return u.wrote(credentials.put(u.w, c))
}

func (u *update) DeleteCredential(d credential.Digest) error {
	err := usages.delete(u.w, d[:])
	if err == nil {
		err = deleteActivity(u.w, d)
	}
	if err == nil {
		err = credentials.delete(u.w, d[:])
	}
	return u.wrote(err)
}

func (u *update) PutLastUsed(d credential.Digest, last keys.Usage) error {
	return u.wrote(usages.put(u.w, usage{last, d}))
}

func (u *update) PutCollaborator(c keys.Collaborator) error {
	return u.wrote(collaborators.put(u.w, c))
}

func (u *update) DeleteCollaborator(c keys.CollaboratorRef) error {
	return u.wrote(collaborators.delete(u.w, collaboratorKey(c)))
}

func (u *update) PutDeletion(d keys.Deletion) error {
	return u.wrote(deletions.put(u.w, d))
}

func (u *update) DeleteDeletion(app keys.AppRef) error {
	return u.wrote(deletions.delete(u.w, appKey(app)))
}

func (u *update) PutTombstone(t keys.Tombstone) error {
	return u.wrote(tombstones.put(u.w, t))
}

func (u *update) PutAuditEntry(e keys.AuditEntry) error {
	return u.wrote(audit.put(u.w, e))
}

func (u *update) DeleteAuditEntry(seq uint64) error {
	return u.wrote(audit.delete(u.w, place(nil, seq)))
}

func (u *update) PutAuditHead(h keys.AuditHead) error {
	value, err := seal(packAuditHead(h))
	if err == nil {
		err = u.w.Put(metaBucket, auditHeadKey, value)
	}
	return u.wrote(err)
}

func (u *update) Touch(at time.Time, digests ...credential.Digest) {
	u.touched = append(u.touched, digests...)
	_ = u.kept(u.advance(at)) // finish returns it
}

func (u *update) TouchGroups(digests ...credential.Digest) { u.groups = append(u.groups, digests...) }

// advance moves the time of the last write forward, never back.
func (u *update) advance(at time.Time) error {
	last, err := u.LastWrite()
	if err != nil || !at.After(last) {
		return err
	}
	return u.setLastWrite(at)
}

func (u *update) ResetClock(at time.Time) {
	u.reset = true
	_ = u.kept(u.setLastWrite(at)) // finish returns it
}

func (u *update) setLastWrite(at time.Time) error {
	value, err := seal(packTime(at))
	if err != nil {
		return fmt.Errorf("storing the time of the last write: %w", err)
	}
	return u.w.Put(metaBucket, lastWriteKey, value)
}

// Interface guards
var (
	_ keys.Reader = (*view)(nil)
	_ keys.Writer = (*update)(nil)
)
