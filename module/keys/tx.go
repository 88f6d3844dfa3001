package keys

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// Actor identifies who makes a change.
type Actor struct {
	// ID is the key ID of the credential in use, or [Operator].
	ID string
	// UserID is the holder of the credential, empty for the operator.
	UserID string
	// Address is the client's address without the port, empty if there was no
	// request.
	Address string
}

// Terms are the circumstances of a change.
type Terms struct {
	Actor Actor
	// Now is the time of the change.
	Now time.Time
	// Clock is the time by the clock; Now may be ahead of it.
	Clock    time.Time
	Maximums Maximums
	// Ended are the sessions that earlier steps of the change ended.
	Ended []Credential
}

// Tx is a change in progress. It is written as a whole or not at all, and it
// reads its own writes.
type Tx struct {
	Reader
	w     Writer
	now   time.Time
	actor Actor
	// touched are the digests whose entries the change makes stale. groups are
	// the digests of users and apps all of whose entries it makes stale.
	touched, groups []credential.Digest
	// removed counts the records of deleted users and apps that the change
	// removed.
	removed int
	// ended are the sessions that earlier steps of the change ended.
	ended []Credential
	// deleting is true if the change began a deletion that isn't finished.
	deleting bool
	// imported is what the change has imported so far, or nil.
	imported *batch
	// clock is the time by the clock; now may be ahead of it. It is zero if the
	// change issues nothing.
	clock    time.Time
	maximums Maximums
}

// Apply runs fn as one change of the records that w writes, and tells w which
// cached entries it made stale. It reports whether the change began a deletion
// that [Tx.ContinueDeletion] has to finish.
func Apply(w Writer, terms Terms, fn func(*Tx) error) (deleting bool, err error) {
	tx := &Tx{Reader: w, w: w, now: terms.Now, actor: terms.Actor, clock: terms.Clock, maximums: terms.Maximums, ended: terms.Ended}
	if err := fn(tx); err != nil {
		return false, err
	}
	if err := tx.recordImport(); err != nil {
		return false, err
	}
	w.Touch(tx.now, tx.touched...)
	w.TouchGroups(tx.groups...)
	return tx.deleting, nil
}

// Now returns the time of the change.
func (tx *Tx) Now() time.Time { return tx.now }

// issues returns an error if now is too far ahead of the clock to issue
// anything with a limited lifetime.
func (tx *Tx) issues() error {
	if tx.clock.IsZero() {
		return nil
	}
	return ClockBehind(tx.clock, tx.now)
}

func (tx *Tx) touch(digests ...credential.Digest) { tx.touched = append(tx.touched, digests...) }
