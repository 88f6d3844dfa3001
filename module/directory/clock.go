package directory

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// heartbeat is the age of the newest write at which one is made only to record
// the time.
const heartbeat = 24 * time.Hour

// CheckClock returns a [keys.ClockError] if the clock and the newest write are too
// far apart.
func (d *Directory) CheckClock() error {
	return errors.Join(d.Writable(), keys.ClockBehind(d.clock(), d.lastWrite()))
}

// Writable returns a [keys.ClockError] if the clock is too far ahead of the newest
// write for anything to be written.
func (d *Directory) Writable() error { return keys.ClockAhead(d.clock(), d.lastWrite()) }

// Ready returns nil if changes can be made now, and otherwise why not.
func (d *Directory) Ready(ctx context.Context) error {
	if err := d.Writable(); err != nil {
		return err
	}
	return d.store.Ready(ctx)
}

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
func (d *Directory) write(ctx context.Context, r rank, userID string, fn func(w keys.Writer, clock time.Time) error) error {
	return d.commit(ctx, r, userID, func(w keys.Writer) error {
		last, err := w.LastWrite()
		if err != nil {
			return err
		}
		clock := d.clock()
		if err := keys.ClockAhead(clock, last); err != nil {
			return err
		}
		return fn(w, clock)
	})
}

// commit runs fn in a transaction when it is the user's turn, and waits until the
// change is in effect everywhere.
func (d *Directory) commit(ctx context.Context, r rank, userID string, fn func(keys.Writer) error) error {
	done, err := d.writeInTurn(ctx, r, userID, fn)
	if err == nil {
		d.settle(ctx, done)
	}
	return err
}

func (d *Directory) writeInTurn(ctx context.Context, r rank, userID string, fn func(keys.Writer) error) (keys.Commit, error) {
	if err := d.lock.acquire(userID, r); err != nil {
		return keys.Commit{}, err
	}
	defer d.lock.release()
	// The caller may go away meanwhile, but a change that has begun is
	// finished.
	return d.store.Update(context.WithoutCancel(ctx), fn)
}

// beat keeps the newest write from growing old in a store that is in use.
func (d *Directory) beat(ctx context.Context) error {
	newest := d.newest.Load()
	if newest == 0 || d.clock().UnixNano()-newest <= int64(heartbeat) {
		return nil
	}
	return d.write(ctx, ordinary, "", func(w keys.Writer, clock time.Time) error {
		w.Touch(clock)
		return nil
	})
}

// AcceptClock makes the clock the time of the newest write, whichever of the
// two is ahead. It ends sessions that were issued ahead of the clock.
func (d *Directory) AcceptClock(ctx context.Context, actor keys.Actor) (keys.AcceptedClock, error) {
	ended := 0
	for {
		done, more, err := d.acceptClock(ctx, actor)
		if err != nil {
			return keys.AcceptedClock{}, err
		}
		ended += done.SessionsEnded
		if done.SessionsEnded = ended; !more {
			return done, nil
		}
	}
}

// acceptClock ends as many sessions as one update can, and accepts the clock
// when there is none left. It reports whether there is.
func (d *Directory) acceptClock(ctx context.Context, actor keys.Actor) (done keys.AcceptedClock, more bool, err error) {
	err = d.commit(ctx, operatorRevocation, "", func(w keys.Writer) (err error) {
		done, more, err = keys.AcceptClock(w, d.clock(), actor)
		return err
	})
	return done, more, err
}
