package keys

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// How far the clock may be from the newest write.
const (
	// maxAhead is how far the clock may be ahead of the newest write for a
	// write to be accepted. While a directory is open the newest write is no
	// older than a day (the heartbeat), so a clock that is further ahead is
	// wrong, or the store was not open for that long.
	maxAhead = 30 * 24 * time.Hour
	// MaxBehind is how far the clock may be behind the newest write for
	// anything with a limited lifetime to be issued: it would last longer by
	// the difference.
	MaxBehind = 24 * time.Hour
)

// acceptClock is the remedy, with the command to type.
const acceptClock = `set the server's clock right, or if it is right, run "caddy api-keys store clock --accept"`

// ClockError is returned if the clock and the newest write in the store are too
// far apart. One of them is wrong, and only the operator knows which.
type ClockError struct {
	Clock, LastWrite time.Time
}

// Error returns which of the two is ahead, and the remedy.
func (e *ClockError) Error() string {
	clock, last := e.Clock.UTC().Format(time.RFC3339), e.LastWrite.UTC().Format(time.RFC3339)
	if e.Clock.After(e.LastWrite) {
		return fmt.Sprintf("the server's clock (%s) is more than %d days ahead of the newest write in the key store (%s), so nothing is written; %s",
			clock, maxAhead/(24*time.Hour), last, acceptClock)
	}
	return fmt.Sprintf("the newest write in the key store (%s) is more than %d hours ahead of the server's clock (%s), so nobody can sign in and no key can be rotated with grace; %s",
		last, MaxBehind/time.Hour, clock, acceptClock)
}

// Unwrap returns [ErrUnavailable], because the store can't answer until the
// clock is right or accepted.
func (e *ClockError) Unwrap() error { return ErrUnavailable }

// ClockAhead returns a [ClockError] if the clock is too far ahead of the newest
// write for anything to be written.
func ClockAhead(clock, lastWrite time.Time) error {
	if lastWrite.IsZero() || clock.Sub(lastWrite) <= maxAhead {
		return nil
	}
	return &ClockError{clock, lastWrite}
}

// ClockBehind returns a [ClockError] if the clock is so far behind the newest
// write that nothing with a limited lifetime can be issued.
func ClockBehind(clock, lastWrite time.Time) error {
	if lastWrite.IsZero() || lastWrite.Sub(clock) <= MaxBehind {
		return nil
	}
	return &ClockError{clock, lastWrite}
}

// AcceptedClock is the result of accepting the clock.
type AcceptedClock struct {
	// Was is the previous newest write. Now is the clock.
	Was time.Time `json:"was"`
	Now time.Time `json:"now"`
	// SessionsEnded is the number of sessions that were issued at a future
	// time.
	SessionsEnded int `json:"sessions_ended"`
	// KeyIDs are the key IDs of the keys that were changed at a future time.
	// Their expiry may have been counted from it.
	KeyIDs []string `json:"key_ids"`
}

// AcceptClock makes the clock the time of the newest write, whichever of the
// two is ahead. It first ends the sessions that were issued ahead of the clock,
// as many as one update can, and reports whether some are left. Then the clock
// isn't accepted yet.
func AcceptClock(w Writer, clock time.Time, actor Actor) (done AcceptedClock, more bool, err error) {
	done = AcceptedClock{Now: clock, KeyIDs: []string{}}
	if done.Was, err = w.LastWrite(); err != nil {
		return AcceptedClock{}, false, err
	}
	tx := &Tx{Reader: w, w: w, now: done.Now, actor: actor}
	for u, err := range tx.Users(0) {
		if err != nil {
			return AcceptedClock{}, false, err
		}
		if more, err = tx.acceptCredentials(u.ID, &done); err != nil {
			return AcceptedClock{}, false, err
		}
		if more {
			w.Touch(done.Was, tx.touched...)
			return done, true, nil
		}
	}
	before, after := facts{"last_write": done.Was.UTC()}, facts{"last_write": done.Now.UTC()}
	if err := tx.record(ActionStoreClock, Subject{}, before, after); err != nil {
		return AcceptedClock{}, false, err
	}
	w.ResetClock(done.Now)
	return done, false, nil
}

// acceptCredentials handles the credentials of a user that are dated ahead of
// now, as long as there is room. It reports whether some are left.
func (tx *Tx) acceptCredentials(userID string, done *AcceptedClock) (more bool, err error) {
	for c, err := range tx.Credentials(userID, 0) {
		if err != nil {
			return false, err
		}
		if !tx.roomToRemove() {
			return true, nil
		}
		if c.Kind == policy.Session {
			if !c.CreatedAt.After(tx.now) {
				continue
			}
			if err := tx.revoke(c, "the clock was wrong"); err != nil {
				return false, err
			}
			done.SessionsEnded++
			continue
		}
		if c.ModifiedAt.After(tx.now) {
			done.KeyIDs = append(done.KeyIDs, c.ID)
		}
		used, err := tx.LastUsed(c.Digest)
		if errors.Is(err, ErrNotFound) || err == nil && !used.At.After(tx.now) {
			continue
		}
		if err != nil {
			return false, err
		}
		used.At = tx.now.Truncate(time.Minute).UTC()
		if err := tx.w.PutLastUsed(c.Digest, used); err != nil {
			return false, err
		}
	}
	return false, nil
}
