package keys

import "fmt"

// A store bounds the records of one update ([Store.MaxWrites]). A change that
// may need more is made in steps, and takes away first: what a step has ended
// stays ended if no other follows.

// WritesToRemove is the most records that it takes to revoke a credential or to
// remove an app or a collaborator, with the audit entry.
const WritesToRemove = 4

// writesAfter is kept for what a change writes after it has removed records.
const writesAfter = 8

// roomToRemove reports whether the change can remove one more record.
func (tx *Tx) roomToRemove() bool { return tx.w.Left() >= WritesToRemove+writesAfter }

// SessionsLeftError is returned by a change that has to end more sessions than one
// update can. End ends some of them. Then the change is made again.
type SessionsLeftError struct {
	userID, reason string
	chosen         func(*Credential) bool
}

// Error returns whose sessions they are.
func (e *SessionsLeftError) Error() string {
	return fmt.Sprintf("user %s has more sessions than one change of the key store can end", e.userID)
}

// End ends as many of the sessions as one update can. It returns them.
func (e *SessionsLeftError) End(tx *Tx) (ended []Credential, err error) {
	ended, _, err = tx.endSessions(e.userID, e.reason, e.chosen)
	return ended, err
}
