package keys

import (
	"context"
	"iter"
	"time"
)

// Store keeps records durably. Implementations pass the suite of keystest.
//
// A store may be asked from any number of goroutines. It decides nothing: it
// checks neither ids nor who may do what. A context that is done before a call
// begins is the call's error; afterwards it plays no part.
type Store interface {
	// View runs fn over one moment of the store: everything that fn reads is
	// from the same commit. The Reader is not used after fn returns, and no
	// record shares memory with the store.
	View(ctx context.Context, fn func(Reader) error) error

	// Update runs fn in the one write transaction at a time. It returns nil
	// only once everything fn wrote is durable; if fn fails or panics,
	// nothing was written.
	//
	// Update may run fn again, after discarding what the previous run wrote.
	// Whatever fn sets outside of the transaction, each run sets anew.
	//
	// The feed is told before Update returns, whether the commit succeeded
	// or not, for an engine may show a commit that returned an error; it is
	// not told where fn failed.
	Update(ctx context.Context, fn func(Writer) error) error

	// Feed sets who is told of every change, called once and before the
	// first Update. It is called with what one commit touched, in the order
	// of the commits and never at the same time as itself.
	Feed(func(Change))

	// Close waits for what is running and releases the store. Afterwards
	// every call returns [ErrClosed].
	Close() error
}

// Change is what a store's feed tells of one commit.
type Change struct {
	// Touched are the digests given to [Writer.Touch].
	Touched []Digest
	// Groups are the digests given to [Writer.TouchGroups].
	Groups []Digest
	// All says that anything may have changed, as when the store had to be
	// opened again.
	All bool
	// At is the newest write time in the store.
	At time.Time
	// Reset says that At counts even if it is earlier than before.
	Reset bool
}

// Reader reads records. Where there is none it returns [ErrNotFound]; where
// one can't be decoded, [ErrCorrupt].
//
// A list is read as it is walked, in order of creation from after the given
// Seq (0 is the beginning). An error ends it. What a list has given may be
// deleted while it is walked.
type Reader interface {
	User(id string) (User, error)
	// UserByEmail finds the user of an address, in whatever case it is
	// written.
	UserByEmail(email string) (User, error)
	Users(after uint64) iter.Seq2[User, error]
	// UserRetired says that a user of this id was deleted.
	UserRetired(id string) (bool, error)
	// RetiredUsers lists the ids of deleted users, in no order that means
	// anything.
	RetiredUsers() iter.Seq2[string, error]

	App(AppRef) (App, error)
	Apps(ownerID string, after uint64) iter.Seq2[App, error]

	Credential(Digest) (Credential, error)
	// CredentialByID finds a credential by its public id.
	CredentialByID(id string) (Credential, error)
	// Credentials lists those that a user holds, app keys included.
	Credentials(userID string, after uint64) iter.Seq2[Credential, error]
	// AppCredentials lists those tied to an app.
	AppCredentials(app AppRef, after uint64) iter.Seq2[Credential, error]
	// Sessions lists the sessions of a user.
	Sessions(userID string, after uint64) iter.Seq2[Credential, error]
	// CredentialsMade lists those of a user that were made with a credential,
	// which is named by its key ID; what the operator made is not listed.
	CredentialsMade(userID, by string, after uint64) iter.Seq2[Credential, error]
	// Totals counts what a user has, without a walk.
	Totals(userID string) (Totals, error)
	// LastUsed is when a credential was last used, as far as is written.
	LastUsed(Digest) (Usage, error)

	Collaborator(CollaboratorRef) (Collaborator, error)
	// Collaborators lists the invitations to an app.
	Collaborators(app AppRef, after uint64) iter.Seq2[Collaborator, error]
	// Collaborations lists the invitations of a user.
	Collaborations(userID string, after uint64) iter.Seq2[Collaborator, error]

	// CollaboratorsAdded lists those on an owner's apps that were added with a
	// credential, as CredentialsMade.
	CollaboratorsAdded(ownerID, by string, after uint64) iter.Seq2[Collaborator, error]

	// Deletion finds one that is not finished.
	Deletion(AppRef) (Deletion, error)
	// Deletions lists all of them, in no order that means anything.
	Deletions() iter.Seq2[Deletion, error]

	Tombstone(Digest) (Tombstone, error)
	// TombstoneByID finds one by the public id that the credential had.
	TombstoneByID(id string) (Tombstone, error)
	// TombstonesMade lists those of a user's credentials that were made with a
	// credential, as CredentialsMade, in no order that means anything.
	TombstonesMade(userID, by string) iter.Seq2[Tombstone, error]
	// Tombstones lists all, in no order that means anything.
	Tombstones() iter.Seq2[Tombstone, error]

	// AuditEntries lists the entries of the audit log about a user's things,
	// or where userID is empty all of them.
	AuditEntries(userID string, after uint64) iter.Seq2[AuditEntry, error]
	// AuditEntriesBack lists them backwards: from the newest, or where before
	// is not 0 from the one before that Seq.
	AuditEntriesBack(userID string, before uint64) iter.Seq2[AuditEntry, error]
	// AuditHead is the zero AuditHead where nothing was ever written.
	AuditHead() (AuditHead, error)

	// LastWrite is the newest time given to [Writer.Touch], or the last one
	// given to [Writer.ResetClock]; the clock never goes back behind it. It is zero where nothing was ever written.
	LastWrite() (time.Time, error)
	// StoreID is what tells a store from any other, for as long as it lives: it
	// is random, and known to the store alone.
	StoreID() (string, error)
}

// Writer writes records. A Put replaces the record of the same key, or adds
// one; a record with Seq 0 is a new one and is given the next Seq, so a
// replaced one keeps its place only if its Seq is put back. A delete of what
// is not there does nothing. A Put or Delete that failed fails the whole
// Update, whatever becomes of its error.
type Writer interface {
	Reader

	PutUser(User) error
	DeleteUser(id string) error
	// RetireUser keeps an id from being used again.
	RetireUser(id string) error

	PutApp(App) error
	DeleteApp(AppRef) error

	PutCredential(Credential) error
	// DeleteCredential deletes what is known of its last use too.
	DeleteCredential(Digest) error
	PutLastUsed(Digest, Usage) error

	PutCollaborator(Collaborator) error
	DeleteCollaborator(CollaboratorRef) error

	PutDeletion(Deletion) error
	DeleteDeletion(AppRef) error

	PutTombstone(Tombstone) error

	// PutAuditEntry adds an entry, which has its Seq already.
	PutAuditEntry(AuditEntry) error
	DeleteAuditEntry(seq uint64) error
	PutAuditHead(AuditHead) error

	// Touch names the digests whose cached entries this transaction makes
	// stale, and the time of the writing.
	Touch(at time.Time, digests ...Digest)
	// ResetClock makes a time the newest write, even an earlier one. The feed
	// is told that anything may have changed.
	ResetClock(at time.Time)
	// TouchGroups names the users and apps whose every cached entry this
	// transaction makes stale.
	TouchGroups(digests ...Digest)
}
