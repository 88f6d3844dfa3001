package boltstore

import (
	"errors"
	"fmt"
	"iter"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// reader is a [keys.Reader] over one transaction.
type reader struct{ tx *bolt.Tx }

func (r reader) User(id string) (keys.User, error) {
	return users.get(r.tx, []byte(id))
}

func (r reader) UserByEmail(email string) (keys.User, error) {
	return users.find(r.tx, userEmails, []byte(keys.EmailKey(email)))
}

func (r reader) Users(after uint64) iter.Seq2[keys.User, error] {
	return users.list(r.tx, userOrder, nil, after)
}

func (r reader) UserRetired(id string) (bool, error) {
	return r.tx.Bucket(retiredBucket).Get([]byte(id)) != nil, nil
}

func (r reader) RetiredUsers() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		cursor := r.tx.Bucket(retiredBucket).Cursor()
		for id, _ := cursor.First(); id != nil; id, _ = cursor.Next() {
			if !yield(string(id), nil) {
				return
			}
		}
	}
}

func (r reader) App(app keys.AppRef) (keys.App, error) {
	return apps.get(r.tx, appKey(app))
}

func (r reader) Apps(ownerID string, after uint64) iter.Seq2[keys.App, error] {
	return apps.list(r.tx, appOrder, join(ownerID), after)
}

func (r reader) Credential(d keys.Digest) (keys.Credential, error) {
	return credentials.get(r.tx, d[:])
}

func (r reader) CredentialByID(id string) (keys.Credential, error) {
	return credentials.find(r.tx, credentialIDs, []byte(id))
}

func (r reader) Credentials(userID string, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(r.tx, credentialsOfUser, join(userID), after)
}

func (r reader) AppCredentials(app keys.AppRef, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(r.tx, credentialsOfApp, appKey(app), after)
}

func (r reader) LastUsed(d keys.Digest) (keys.Usage, error) {
	u, err := usages.get(r.tx, d[:])
	return u.Usage, err
}

func (r reader) Collaborator(c keys.CollaboratorRef) (keys.Collaborator, error) {
	return collaborators.get(r.tx, collaboratorKey(c))
}

func (r reader) Collaborators(app keys.AppRef, after uint64) iter.Seq2[keys.Collaborator, error] {
	return collaborators.list(r.tx, collaboratorsOfApp, appKey(app), after)
}

func (r reader) Collaborations(userID string, after uint64) iter.Seq2[keys.Collaborator, error] {
	return collaborators.list(r.tx, collaborationsOfUser, join(userID), after)
}

func (r reader) Tombstone(d keys.Digest) (keys.Tombstone, error) {
	return tombstones.get(r.tx, d[:])
}

func (r reader) TombstoneByID(id string) (keys.Tombstone, error) {
	return tombstones.findFirst(r.tx, tombstoneIDs, join(id))
}

func (r reader) Tombstones() iter.Seq2[keys.Tombstone, error] {
	return tombstones.all(r.tx, nil)
}

func (r reader) AuditEntries(userID string, after uint64) iter.Seq2[keys.AuditEntry, error] {
	if userID == "" {
		return audit.all(r.tx, place(nil, after))
	}
	return audit.list(r.tx, auditOfUser, join(userID), after)
}

func (r reader) AuditEntriesBack(userID string, before uint64) iter.Seq2[keys.AuditEntry, error] {
	if userID == "" {
		return audit.allBack(r.tx, before)
	}
	return audit.back(r.tx, auditOfUser, join(userID), before)
}

func (r reader) Sessions(userID string, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(r.tx, sessionsOfUser, join(userID), after)
}

func (r reader) CredentialsMade(userID, by string, after uint64) iter.Seq2[keys.Credential, error] {
	return credentials.list(r.tx, credentialsOfCreator, join(userID, by), after)
}

func (r reader) CollaboratorsAdded(ownerID, by string, after uint64) iter.Seq2[keys.Collaborator, error] {
	return collaborators.list(r.tx, collaboratorsOfCreator, join(ownerID, by), after)
}

func (r reader) TombstonesMade(userID, by string) iter.Seq2[keys.Tombstone, error] {
	return tombstones.under(r.tx, tombstonesOfCreator, join(userID, by))
}

func (r reader) Totals(userID string) (keys.Totals, error) {
	made, err1 := readCount(r.tx, keyCount(userID))
	apps, err2 := readCount(r.tx, appCount(userID))
	return keys.Totals{Keys: made, Apps: apps}, errors.Join(err1, err2)
}

func (r reader) Deletion(app keys.AppRef) (keys.Deletion, error) {
	return deletions.get(r.tx, appKey(app))
}

func (r reader) Deletions() iter.Seq2[keys.Deletion, error] {
	return deletions.all(r.tx, nil)
}

// AuditHead is the zero one where nothing has been written.
func (r reader) AuditHead() (keys.AuditHead, error) {
	value := r.tx.Bucket(metaBucket).Get(auditHeadKey)
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

// LastWrite is the zero time where nothing has been written.
func (r reader) StoreID() (string, error) { return storeID(r.tx) }

func (r reader) LastWrite() (time.Time, error) {
	value := r.tx.Bucket(metaBucket).Get(lastWriteKey)
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

// writer is a [keys.Writer] over one transaction.
type writer struct {
	reader
	touched []keys.Digest
	reset   bool // the time of the last write was set
	groups  []keys.Digest
	// err is the first write that failed. A record may then be there without
	// its indexes, so the transaction fails even where fn passed over it.
	err error
}

// finish is called after fn. It returns what the feed is to be told.
func (w *writer) finish() (keys.Change, error) {
	if w.err != nil {
		return keys.Change{}, w.err
	}
	at, err := w.LastWrite()
	return keys.Change{Touched: w.touched, Groups: w.groups, At: at, All: w.reset, Reset: w.reset}, err
}

func (w *writer) wrote(err error) error {
	if w.err == nil {
		w.err = err
	}
	return err
}

func (w *writer) PutUser(u keys.User) error     { return w.wrote(users.put(w.tx, u)) }
func (w *writer) DeleteUser(id string) error    { return w.wrote(users.delete(w.tx, []byte(id))) }
func (w *writer) PutApp(a keys.App) error       { return w.wrote(apps.put(w.tx, a)) }
func (w *writer) DeleteApp(a keys.AppRef) error { return w.wrote(apps.delete(w.tx, appKey(a))) }

func (w *writer) RetireUser(id string) error {
	return w.wrote(w.tx.Bucket(retiredBucket).Put([]byte(id), []byte{1}))
}

func (w *writer) PutCredential(c keys.Credential) error {
	return w.wrote(credentials.put(w.tx, c))
}

func (w *writer) DeleteCredential(d keys.Digest) error {
	if err := w.wrote(usages.delete(w.tx, d[:])); err != nil {
		return err
	}
	return w.wrote(credentials.delete(w.tx, d[:]))
}

func (w *writer) PutLastUsed(d keys.Digest, u keys.Usage) error {
	return w.wrote(usages.put(w.tx, usage{u, d}))
}

func (w *writer) PutCollaborator(c keys.Collaborator) error {
	return w.wrote(collaborators.put(w.tx, c))
}

func (w *writer) DeleteCollaborator(c keys.CollaboratorRef) error {
	return w.wrote(collaborators.delete(w.tx, collaboratorKey(c)))
}

func (w *writer) PutDeletion(d keys.Deletion) error {
	return w.wrote(deletions.put(w.tx, d))
}

func (w *writer) DeleteDeletion(app keys.AppRef) error {
	return w.wrote(deletions.delete(w.tx, appKey(app)))
}

func (w *writer) PutTombstone(t keys.Tombstone) error {
	return w.wrote(tombstones.put(w.tx, t))
}

func (w *writer) PutAuditEntry(e keys.AuditEntry) error {
	return w.wrote(audit.put(w.tx, e))
}

func (w *writer) DeleteAuditEntry(seq uint64) error {
	return w.wrote(audit.delete(w.tx, place(nil, seq)))
}

func (w *writer) PutAuditHead(h keys.AuditHead) error {
	value, err := seal(packAuditHead(h))
	if err == nil {
		err = w.tx.Bucket(metaBucket).Put(auditHeadKey, value)
	}
	return w.wrote(err)
}

func (w *writer) Touch(at time.Time, digests ...keys.Digest) {
	w.touched = append(w.touched, digests...)
	_ = w.wrote(w.advance(at)) // finish returns it
}

func (w *writer) TouchGroups(digests ...keys.Digest) { w.groups = append(w.groups, digests...) }

// advance moves the time of the last write on, never back.
func (w *writer) advance(at time.Time) error {
	last, err := w.LastWrite()
	if err != nil || !at.After(last) {
		return err
	}
	return w.setLastWrite(at)
}

func (w *writer) ResetClock(at time.Time) {
	w.reset = true
	_ = w.wrote(w.setLastWrite(at)) // finish returns it
}

func (w *writer) setLastWrite(at time.Time) error {
	value, err := seal(packTime(at))
	if err != nil {
		return fmt.Errorf("storing the time of the last write: %w", err)
	}
	return w.tx.Bucket(metaBucket).Put(lastWriteKey, value)
}

// Interface guards
var (
	_ keys.Reader = reader{}
	_ keys.Writer = (*writer)(nil)
)
