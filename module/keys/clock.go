package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// How far the clock may be from the newest write.
const (
	// maxAhead is how far the clock may be ahead of the newest write for a
	// write to be accepted. While a directory is open the newest write is no
	// older than a day (see heartbeat), so a clock that is further ahead is
	// wrong, or the store was not open for that long.
	maxAhead = 30 * 24 * time.Hour
	// maxBehind is how far the clock may be behind the newest write for
	// anything with a limited lifetime to be issued: it would last longer by
	// the difference.
	maxBehind = 24 * time.Hour
	// heartbeat is the age of the newest write at which one is made only to
	// record the time.
	heartbeat = 24 * time.Hour
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
		last, maxBehind/time.Hour, clock, acceptClock)
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

// clockBehind returns a [ClockError] if the clock is so far behind the newest
// write that nothing with a limited lifetime can be issued.
func clockBehind(clock, lastWrite time.Time) error {
	if lastWrite.IsZero() || lastWrite.Sub(clock) <= maxBehind {
		return nil
	}
	return &ClockError{clock, lastWrite}
}

// CheckClock returns a [ClockError] if the clock and the newest write are too
// far apart.
func (d *Directory) CheckClock() error {
	return errors.Join(d.Writable(), clockBehind(d.clock(), d.lastWrite()))
}

// Writable returns a [ClockError] if the clock is too far ahead of the newest
// write for anything to be written.
func (d *Directory) Writable() error { return ClockAhead(d.clock(), d.lastWrite()) }

// lastWrite returns the time of the newest write, or zero if nothing was ever
// written.
func (d *Directory) lastWrite() time.Time {
	if newest := d.newest.Load(); newest != 0 {
		return time.Unix(0, newest)
	}
	return time.Time{}
}

// write runs fn in a transaction when it is the user's turn, with the time by
// the clock. It returns an error if the clock is too far ahead.
func (d *Directory) write(ctx context.Context, r rank, userID string, fn func(w Writer, clock time.Time) error) error {
	// The caller may go away meanwhile, but a change that has begun is
	// finished.
	ctx = context.WithoutCancel(ctx)
	if err := d.lock.take(userID, r); err != nil {
		return err
	}
	defer d.lock.give()
	_, err := d.store.Update(ctx, func(w Writer) error {
		last, err := w.LastWrite()
		if err != nil {
			return err
		}
		clock := d.clock()
		if err := ClockAhead(clock, last); err != nil {
			return err
		}
		return fn(w, clock)
	})
	return err
}

// beat keeps the newest write from growing old in a store that is in use.
func (d *Directory) beat(ctx context.Context) error {
	newest := d.newest.Load()
	if newest == 0 || d.clock().UnixNano()-newest <= int64(heartbeat) {
		return nil
	}
	return d.write(ctx, ordinary, "", func(w Writer, clock time.Time) error {
		w.Touch(clock)
		return nil
	})
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
// two is ahead. It ends sessions that were issued ahead of the clock.
func (d *Directory) AcceptClock(ctx context.Context, actor Actor) (AcceptedClock, error) {
	ended := 0
	for {
		done, more, err := d.acceptClock(ctx, actor)
		if err != nil {
			return AcceptedClock{}, err
		}
		ended += done.SessionsEnded
		if done.SessionsEnded = ended; !more {
			return done, nil
		}
	}
}

// acceptClock ends as many sessions as one update can, and accepts the clock
// when there is none left. It reports whether there is.
func (d *Directory) acceptClock(ctx context.Context, actor Actor) (done AcceptedClock, more bool, err error) {
	if err := d.lock.take("", operatorRevocation); err != nil {
		return AcceptedClock{}, false, err
	}
	defer d.lock.give()
	_, err = d.store.Update(context.WithoutCancel(ctx), func(w Writer) (err error) {
		done, more = AcceptedClock{Now: d.clock(), KeyIDs: []string{}}, false
		if done.Was, err = w.LastWrite(); err != nil {
			return err
		}
		tx := &Tx{Reader: w, w: w, now: done.Now, actor: actor}
		for u, err := range tx.Users(0) {
			if err != nil {
				return err
			}
			if more, err = tx.acceptCredentials(u.ID, &done); err != nil {
				return err
			}
			if more {
				w.Touch(done.Was, tx.touched...)
				return nil
			}
		}
		before, after := facts{"last_write": done.Was.UTC()}, facts{"last_write": done.Now.UTC()}
		if err := tx.record(ActionStoreClock, Subject{}, before, after); err != nil {
			return err
		}
		w.ResetClock(done.Now)
		return nil
	})
	return done, more, err
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
