package boltstore

import (
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

func (r reader) Users(after uint64) iter.Seq2[keys.User, error] {
	return users.list(r.tx, userOrder, nil, after)
}

func (r reader) UserRetired(id string) (bool, error) {
	return r.tx.Bucket(retiredBucket).Get([]byte(id)) != nil, nil
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

// LastWrite is the zero time where nothing has been written.
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
	return keys.Change{Touched: w.touched, At: at}, err
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
	return w.wrote(credentials.delete(w.tx, d[:]))
}

func (w *writer) PutCollaborator(c keys.Collaborator) error {
	return w.wrote(collaborators.put(w.tx, c))
}

func (w *writer) DeleteCollaborator(c keys.CollaboratorRef) error {
	return w.wrote(collaborators.delete(w.tx, collaboratorKey(c)))
}

func (w *writer) PutTombstone(t keys.Tombstone) error {
	return w.wrote(tombstones.put(w.tx, t))
}

func (w *writer) Touch(at time.Time, digests ...keys.Digest) {
	w.touched = append(w.touched, digests...)
	_ = w.wrote(w.advance(at)) // finish returns it
}

// advance moves the time of the last write on, never back.
func (w *writer) advance(at time.Time) error {
	last, err := w.LastWrite()
	if err != nil || !at.After(last) {
		return err
	}
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
