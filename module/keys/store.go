package keys

import (
	"context"
	"iter"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// MinWrites is the least that a store must be able to write in one update: what
// the largest change of a single record takes, with room to spare.
const MinWrites = 32

// Store keeps records durably. Implementations pass the suite of keystest.
//
// A store is safe for concurrent use. It doesn't check IDs or permissions. If a
// context is done before a call begins, the call returns its error; afterwards
// the context has no effect.
type Store interface {
	// View runs fn over one revision of the store: everything that fn reads is
	// from the same commit, and from no earlier one than the last that any
	// Update returned before View was called. The Reader must not be used after
	// fn returns, and no record shares memory with the store.
	//
	// View doesn't promise that the revision is still the newest when fn runs.
	View(ctx context.Context, fn func(Reader) error) error

	// Update runs fn in the one write transaction at a time, and commits what it
	// wrote. It returns no error only once everything fn wrote is durable; if fn
	// fails or panics, nothing was written.
	//
	// Update may run fn again, after discarding what the previous run wrote.
	// Other updates may come between the two runs. Each run sets again whatever
	// fn sets outside of the transaction.
	//
	// Update doesn't promise that fn's writes are gone if the commit returned
	// an error: an engine may make such a commit visible. The feed is therefore
	// called before Update returns, whether the commit succeeded or not. It is
	// not called if fn failed.
	Update(ctx context.Context, fn func(Writer) error) (Commit, error)

	// MaxWrites returns how many records one Update can write: how often fn may
	// call a Put, a Delete or RetireUser of the Writer. It is [MinWrites] or
	// more, and the same as long as the store is open. An Update that writes
	// more returns [ErrTooManyWrites] and writes nothing.
	//
	// A change that may need more is made in several updates, each of which
	// leaves the store in a state that is safe if no other follows.
	MaxWrites() int

	// Used writes when credentials were last used, and what became of their
	// requests. It takes at most MaxWrites records at once; a use with an
	// Activity is two. The newest use of a credential stays, in whatever order
	// they are written; of two at the same time, the one that is written later.
	// Activity is added. Uses of credentials that don't exist are left out.
	//
	// A use is not a change: it has no revision, the feed isn't called, and the
	// time of the newest write stays. Used doesn't promise that all uses of a
	// call are written together, and may write some before it returns an error.
	Used(ctx context.Context, uses []Use) error

	// Spent writes the usage of quotas, at most MaxWrites of them. Of each quota, only
	// the newest window is kept. A spending of 0 removes the record. Like Used, Spent
	// makes no change. A [Shared] store has no spendings, because it allots quotas.
	Spent(ctx context.Context, spendings []Spending) error

	// Ready returns nil if the store could answer View and Update now, and
	// otherwise an error that wraps [ErrUnavailable] and says why not. It reads
	// and writes nothing, so the next call may fail all the same.
	Ready(ctx context.Context) error

	// Feed sets the function that is called for every change. Feed is called
	// once, before the first Update. The function gets the changes of one
	// commit, in the order of commits and never concurrently.
	Feed(func(Change))

	// Close waits for what is running and releases the store. Afterwards
	// every call returns [ErrClosed].
	Close() error
}

// Opener opens a store. The configuration of a store provides one.
type Opener interface {
	// Key is the store's identity in this process: two openers of the same
	// store have the same key, however their paths are written.
	Key() (string, error)
	// Open opens the store and creates it if it doesn't exist.
	Open() (Store, error)
}

// Commit is the result of an update.
type Commit struct {
	// Revision counts the commits of the store, from 1 and without a gap, also
	// after the store was closed and opened again. It is 0 if nothing was
	// committed.
	Revision uint64
	// Waiting is the number of processes that had not applied the commit when
	// Update returned. They refuse every request until they have applied it. It
	// is 0 for a store that only one process uses.
	Waiting int
	// Unbounded is true if those processes are configured to decide by what they
	// know until they have applied the commit.
	Unbounded bool
}

// Use is a use of the credential of a digest.
type Use struct {
	Digest credential.Digest
	// Usage is the last use. If At is zero, there is none to write.
	Usage
	// Activity is what became of requests that are not counted yet.
	Activity Activity
	// Today is the current day. If it isn't 0, older activity than that of
	// [ActivityDays] is removed.
	Today Date
}

// Change describes one commit to a store's feed.
type Change struct {
	// Touched are the digests given to [Writer.Touch].
	Touched []credential.Digest
	// Groups are the digests given to [Writer.TouchGroups].
	Groups []credential.Digest
	// All is true if anything may have changed, for example because the store
	// had to be opened again.
	All bool
	// At is the newest write time in the store.
	At time.Time
	// Reset is true if At counts even if it is earlier than before.
	Reset bool
}

// Reader reads records. It returns [ErrNotFound] if there is no such record,
// and [ErrCorrupt] if a record can't be decoded.
//
// A list is read as it is walked, in order of creation from after the given Seq
// (0 is the beginning). An error ends it. Records that a list has yielded may
// be deleted while it is walked.
type Reader interface {
	User(id string) (User, error)
	// UserByEmail finds the user of an address, regardless of case.
	UserByEmail(email string) (User, error)
	Users(after uint64) iter.Seq2[User, error]
	// UserRetired reports whether a user of this ID was deleted.
	UserRetired(id string) (bool, error)
	// RetiredUsers lists the IDs of deleted users in no particular order.
	RetiredUsers() iter.Seq2[string, error]

	App(AppRef) (App, error)
	Apps(ownerID string, after uint64) iter.Seq2[App, error]

	Credential(credential.Digest) (Credential, error)
	// CredentialByID finds a credential by its key ID.
	CredentialByID(id string) (Credential, error)
	// Credentials lists the credentials of a user, including app keys.
	Credentials(userID string, after uint64) iter.Seq2[Credential, error]
	// AppCredentials lists the app keys of an app.
	AppCredentials(app AppRef, after uint64) iter.Seq2[Credential, error]
	// Sessions lists the sessions of a user.
	Sessions(userID string, after uint64) iter.Seq2[Credential, error]
	// CredentialsMade lists a user's credentials that were made with the
	// credential of key ID by. Those that the operator made are not listed.
	CredentialsMade(userID, by string, after uint64) iter.Seq2[Credential, error]
	// Totals returns the totals of a user without walking a list.
	Totals(userID string) (Totals, error)
	// LastUsed returns the last written use of a credential.
	LastUsed(credential.Digest) (Usage, error)
	// Activity returns what became of the requests of a credential. Days that
	// are too old may be among it.
	Activity(credential.Digest) (Activity, error)
	// Activities lists the activity of all credentials by digest, from after the
	// given one.
	Activities(after credential.Digest) iter.Seq2[KeyActivity, error]

	// Spending returns the usage of a quota as it was last written.
	Spending(meter credential.Digest) (Spending, error)
	// Spendings lists the usage of all quotas by meter, after the given meter.
	Spendings(after credential.Digest) iter.Seq2[Spending, error]

	Collaborator(CollaboratorRef) (Collaborator, error)
	// Collaborators lists the collaborators on an app.
	Collaborators(app AppRef, after uint64) iter.Seq2[Collaborator, error]
	// Collaborations lists a user's records as a collaborator.
	Collaborations(userID string, after uint64) iter.Seq2[Collaborator, error]

	// CollaboratorsAdded lists the collaborators on an owner's apps that were
	// added with a credential, like CredentialsMade.
	CollaboratorsAdded(ownerID, by string, after uint64) iter.Seq2[Collaborator, error]

	// Deletion finds an unfinished deletion.
	Deletion(AppRef) (Deletion, error)
	// Deletions lists all unfinished deletions in no particular order.
	Deletions() iter.Seq2[Deletion, error]

	Tombstone(credential.Digest) (Tombstone, error)
	// TombstoneByID finds a tombstone by the key ID of its credential.
	TombstoneByID(id string) (Tombstone, error)
	// TombstonesMade is like CredentialsMade for tombstones. The order has no
	// meaning.
	TombstonesMade(userID, by string) iter.Seq2[Tombstone, error]
	// Tombstones lists all tombstones in no particular order.
	Tombstones() iter.Seq2[Tombstone, error]

	// AuditEntries lists the audit entries about a user's records, or all
	// entries if userID is empty.
	AuditEntries(userID string, after uint64) iter.Seq2[AuditEntry, error]
	// AuditEntriesBack lists them backwards from the newest or, if before is
	// not 0, from the entry before that Seq.
	AuditEntriesBack(userID string, before uint64) iter.Seq2[AuditEntry, error]
	// AuditHead returns the zero AuditHead if nothing was ever written.
	AuditHead() (AuditHead, error)

	// LastWrite returns the newest time given to [Writer.Touch], or the last
	// one given to [Writer.ResetClock]. The clock never goes back behind it. It
	// is zero if nothing was ever written.
	LastWrite() (time.Time, error)
	// StoreID returns a random secret that identifies the store as long as it
	// exists.
	StoreID() (string, error)
}

// Writer writes records. A Put replaces the record of the same key, or adds
// one; a record with Seq 0 is a new one and is given the next Seq, so a
// replaced one keeps its place only if its Seq is put back. Deleting a missing
// record does nothing. If a Put or Delete fails, the whole Update fails, even
// if fn ignores the error.
type Writer interface {
	Reader

	// Left returns how many more records this update can write. It begins with
	// [Store.MaxWrites], and each Put, Delete and RetireUser takes one.
	Left() int

	PutUser(User) error
	DeleteUser(id string) error
	// RetireUser keeps a user ID from being used again.
	RetireUser(id string) error

	PutApp(App) error
	DeleteApp(AppRef) error

	PutCredential(Credential) error
	// DeleteCredential also deletes the credential's last use and activity.
	DeleteCredential(credential.Digest) error
	// PutLastUsed replaces the last use of a credential, even by an older one,
	// because a clock was wrong. What is used is written by [Store.Used].
	PutLastUsed(credential.Digest, Usage) error

	PutCollaborator(Collaborator) error
	DeleteCollaborator(CollaboratorRef) error

	PutDeletion(Deletion) error
	DeleteDeletion(AppRef) error

	PutTombstone(Tombstone) error

	// PutAuditEntry adds an entry, which already has its Seq.
	PutAuditEntry(AuditEntry) error
	DeleteAuditEntry(seq uint64) error
	PutAuditHead(AuditHead) error

	// Touch names the digests whose cached entries this transaction makes
	// stale, and the time of the write.
	Touch(at time.Time, digests ...credential.Digest)
	// ResetClock makes a time the newest write, even an earlier one. The feed
	// gets a Change with All set.
	ResetClock(at time.Time)
	// TouchGroups names the users and apps whose every cached entry this
	// transaction makes stale.
	TouchGroups(digests ...credential.Digest)
}
