package records

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// NewView returns the records of a revision.
func NewView(r Reader) keys.Reader { return &view{r: r} }

// view is a [keys.Reader] of one revision.
type view struct {
	r Reader
	// key has room for the key of one record, so that reading a record doesn't
	// allocate.
	key [96]byte
}

// of returns the key of several IDs. It is valid until the next call.
func (v *view) of(ids ...string) []byte { return appendIDs(v.key[:0], ids...) }

func (v *view) User(id string) (keys.User, error) {
	return users.get(v.r, append(v.key[:0], id...))
}

func (v *view) UserByEmail(email string) (keys.User, error) {
	return users.find(v.r, userEmails, append(v.key[:0], keys.EmailKey(email)...))
}

func (v *view) Users(after uint64) iter.Seq2[keys.User, error] {
	return users.list(v.r, userOrder, nil, after)
}

func (v *view) UserRetired(id string) (bool, error) {
	return has(v.r, retiredBucket, append(v.key[:0], id...)), nil
}

func (v *view) RetiredUsers() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for id := range entries(v.r, retiredBucket, nil) {
			if !yield(string(id), nil) {
				return
			}
		}
	}
}

func (v *view) App(app keys.AppRef) (keys.App, error) {
	return apps.get(v.r, v.of(app.OwnerID, app.AppID))
}

func (v *view) Apps(ownerID string, after uint64) iter.Seq2[keys.App, error] {
	return apps.list(v.r, appOrder, join(ownerID), after)
}

func (v *view) Credential(d credential.Digest) (keys.Credential, error) {
	return credentials.get(v.r, append(v.key[:0], d[:]...))
}

func (v *view) CredentialByID(id string) (keys.Credential, error) {
	return credentials.find(v.r, credentialIDs, append(v.key[:0], id...))
}

func (v *view) Credentials(userID string, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(v.r, credentialsOfUser, join(userID), after)
}

func (v *view) AppCredentials(app keys.AppRef, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(v.r, credentialsOfApp, appKey(app), after)
}

func (v *view) LastUsed(d credential.Digest) (keys.Usage, error) {
	u, err := usages.get(v.r, append(v.key[:0], d[:]...))
	return u.Usage, err
}

func (v *view) Activity(d credential.Digest) (keys.Activity, error) {
	a, err := activities.get(v.r, append(v.key[:0], d[:]...))
	return a.Activity, err
}

func (v *view) Activities(after credential.Digest) iter.Seq2[keys.KeyActivity, error] {
	return activities.all(v.r, after[:])
}

func (v *view) Spending(meter credential.Digest) (keys.Spending, error) {
	return spendings.get(v.r, append(v.key[:0], meter[:]...))
}

func (v *view) Spendings(after credential.Digest) iter.Seq2[keys.Spending, error] {
	return spendings.all(v.r, after[:])
}

func (v *view) Collaborator(c keys.CollaboratorRef) (keys.Collaborator, error) {
	return collaborators.get(v.r, v.of(c.OwnerID, c.AppID, c.UserID))
}

func (v *view) Collaborators(app keys.AppRef, after uint64) iter.Seq2[keys.Collaborator, error] {
	return collaborators.list(v.r, collaboratorsOfApp, appKey(app), after)
}

func (v *view) Collaborations(userID string, after uint64) iter.Seq2[keys.Collaborator, error] {
	return collaborators.list(v.r, collaborationsOfUser, join(userID), after)
}

func (v *view) Tombstone(d credential.Digest) (keys.Tombstone, error) {
	return tombstones.get(v.r, append(v.key[:0], d[:]...))
}

func (v *view) TombstoneByID(id string) (keys.Tombstone, error) {
	return tombstones.findFirst(v.r, tombstoneIDs, v.of(id))
}

func (v *view) Tombstones() iter.Seq2[keys.Tombstone, error] {
	return tombstones.all(v.r, nil)
}

func (v *view) AuditEntries(userID string, after uint64) iter.Seq2[keys.AuditEntry, error] {
	if userID == "" {
		return audit.all(v.r, place(nil, after))
	}
	return audit.list(v.r, auditOfUser, join(userID), after)
}

func (v *view) AuditEntriesBack(userID string, before uint64) iter.Seq2[keys.AuditEntry, error] {
	if userID == "" {
		return audit.allBack(v.r, before)
	}
	return audit.back(v.r, auditOfUser, join(userID), before)
}

func (v *view) Sessions(userID string, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(v.r, sessionsOfUser, join(userID), after)
}

func (v *view) CredentialsMade(userID, by string, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(v.r, credentialsOfCreator, join(userID, by), after)
}

func (v *view) CollaboratorsAdded(ownerID, by string, after uint64) iter.Seq2[keys.Collaborator, error] {
	return collaborators.list(v.r, collaboratorsOfCreator, join(ownerID, by), after)
}

func (v *view) TombstonesMade(userID, by string) iter.Seq2[keys.Tombstone, error] {
	return tombstones.under(v.r, tombstonesOfCreator, join(userID, by))
}

func (v *view) Totals(userID string) (keys.Totals, error) {
	made, err1 := readCount(v.r, keyCount(userID))
	apps, err2 := readCount(v.r, appCount(userID))
	return keys.Totals{Keys: made, Apps: apps}, errors.Join(err1, err2)
}

func (v *view) Deletion(app keys.AppRef) (keys.Deletion, error) {
	return deletions.get(v.r, v.of(app.OwnerID, app.AppID))
}

func (v *view) Deletions() iter.Seq2[keys.Deletion, error] {
	return deletions.all(v.r, nil)
}

func (v *view) AuditHead() (keys.AuditHead, error) {
	value := v.r.Get(metaBucket, auditHeadKey)
	if value == nil {
		return keys.AuditHead{}, nil
	}
	var stored auditHeadRecord
	err := unseal(value, &stored)
	head, err2 := stored.unpack()
	if err = errors.Join(err, err2); err != nil {
		return keys.AuditHead{}, fmt.Errorf("%w: the head of the audit log: %w", keys.ErrCorrupt, err)
	}
	return head, nil
}

func (v *view) StoreID() (string, error) { return storeID(v.r) }

func (v *view) LastWrite() (time.Time, error) {
	value := v.r.Get(metaBucket, lastWriteKey)
	if value == nil {
		return time.Time{}, nil
	}
	var stored *stamp
	err := unseal(value, &stored)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: the time of the last write: %w", keys.ErrCorrupt, err)
	}
	at, err := stored.time()
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: the time of the last write: %w", keys.ErrCorrupt, err)
	}
	return at, nil
}
