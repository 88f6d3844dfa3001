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
	// maxAhead is how far ahead of the newest write the clock may be for a
	// write to be taken. While a directory is open the newest write is no older
	// than a day (see heartbeat), so a clock that is further ahead is wrong, or
	// the store was not open for that long.
	maxAhead = 30 * 24 * time.Hour
	// maxBehind is how far behind the newest write the clock may be for
	// anything that ends after a while to begin: it would last longer by that.
	maxBehind = 24 * time.Hour
	// heartbeat is how old the newest write gets before one is made for its
	// time alone.
	heartbeat = 24 * time.Hour
)

// acceptClock is the way out, as the operator types it.
const acceptClock = `set the server's clock right, or if it is right, run "caddy api-keys store clock --accept"`

// ClockError is returned where the clock and the newest write in the store are
// too far apart: one of them is wrong, and only the operator knows which.
type ClockError struct {
	Clock, LastWrite time.Time
}

// Error says which is ahead, and what to do about it.
func (e *ClockError) Error() string {
	clock, last := e.Clock.UTC().Format(time.RFC3339), e.LastWrite.UTC().Format(time.RFC3339)
	if e.Clock.After(e.LastWrite) {
		return fmt.Sprintf("the server's clock (%s) is more than %d days ahead of the newest write in the key store (%s), so nothing is written; %s",
			clock, maxAhead/(24*time.Hour), last, acceptClock)
	}
	return fmt.Sprintf("the newest write in the key store (%s) is more than %d hours ahead of the server's clock (%s), so nobody can sign in and no key can be rotated with grace; %s",
		last, maxBehind/time.Hour, clock, acceptClock)
}

// Unwrap is [ErrUnavailable]: the store can't answer until the clock is right
// or accepted.
func (e *ClockError) Unwrap() error { return ErrUnavailable }

// ClockAhead returns a [ClockError] where the clock is too far ahead of the
// newest write for anything to be written.
func ClockAhead(clock, lastWrite time.Time) error {
	if lastWrite.IsZero() || clock.Sub(lastWrite) <= maxAhead {
		return nil
	}
	return &ClockError{clock, lastWrite}
}

// clockBehind returns a [ClockError] where the clock is so far behind the
// newest write that nothing can be issued that ends after a while.
func clockBehind(clock, lastWrite time.Time) error {
	if lastWrite.IsZero() || lastWrite.Sub(clock) <= maxBehind {
		return nil
	}
	return &ClockError{clock, lastWrite}
}

// CheckClock returns a [ClockError] where the clock and the newest write are
// too far apart.
func (d *Directory) CheckClock() error {
	return errors.Join(d.Writable(), clockBehind(d.clock(), d.lastWrite()))
}

// Writable returns a [ClockError] where the clock is too far ahead of the
// newest write for anything to be written.
func (d *Directory) Writable() error { return ClockAhead(d.clock(), d.lastWrite()) }

// lastWrite is zero where nothing was ever written.
func (d *Directory) lastWrite() time.Time {
	if newest := d.newest.Load(); newest != 0 {
		return time.Unix(0, newest)
	}
	return time.Time{}
}

// write runs fn in a transaction, when it is the turn of the user, with the
// time by the clock, unless the clock is too far ahead.
func (d *Directory) write(ctx context.Context, r rank, userID string, fn func(w Writer, clock time.Time) error) error {
	// Whoever asks may go away meanwhile; what was begun is finished.
	ctx = context.WithoutCancel(ctx)
	if err := d.lock.take(userID, r); err != nil {
		return err
	}
	defer d.lock.give()
	return d.store.Update(ctx, func(w Writer) error {
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

// AcceptedClock says what accepting the clock did.
type AcceptedClock struct {
	// Was is the newest write before, and Now the clock.
	Was time.Time `json:"was"`
	Now time.Time `json:"now"`
	// SessionsEnded is how many were issued at a time that is yet to come.
	SessionsEnded int `json:"sessions_ended"`
	// KeyIDs are of the keys that were changed at such a time: whoever set
	// their expiry may have counted from it.
	KeyIDs []string `json:"key_ids"`
}

// AcceptClock makes the clock the time of the newest write, whichever of the
// two is ahead. Sessions that were issued ahead of the clock end.
func (d *Directory) AcceptClock(ctx context.Context, actor Actor) (AcceptedClock, error) {
	done := AcceptedClock{KeyIDs: []string{}}
	if err := d.lock.take("", operatorRevocation); err != nil {
		return AcceptedClock{}, err
	}
	defer d.lock.give()
	err := d.store.Update(context.WithoutCancel(ctx), func(w Writer) (err error) {
		done = AcceptedClock{Now: d.clock(), KeyIDs: []string{}}
		if done.Was, err = w.LastWrite(); err != nil {
			return err
		}
		tx := &Tx{Reader: w, w: w, now: done.Now, actor: actor}
		for u, err := range tx.Users(0) {
			if err != nil {
				return err
			}
			if err := tx.acceptCredentials(u.ID, &done); err != nil {
				return err
			}
		}
		before, after := facts{"last_write": done.Was.UTC()}, facts{"last_write": done.Now.UTC()}
		if err := tx.record(ActionStoreClock, Subject{}, before, after); err != nil {
			return err
		}
		w.ResetClock(done.Now)
		return nil
	})
	if err != nil {
		return AcceptedClock{}, err
	}
	return done, nil
}

// acceptCredentials goes through what a user has that is dated ahead of now.
func (tx *Tx) acceptCredentials(userID string, done *AcceptedClock) error {
	for c, err := range tx.Credentials(userID, 0) {
		if err != nil {
			return err
		}
		if c.Kind == policy.Session {
			if !c.CreatedAt.After(tx.now) {
				continue
			}
			if err := tx.revoke(c, "the clock was wrong"); err != nil {
				return err
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
			return err
		}
		used.At = tx.now.Truncate(time.Minute).UTC()
		if err := tx.w.PutLastUsed(c.Digest, used); err != nil {
			return err
		}
	}
	return nil
}
