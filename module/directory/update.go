package directory

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Update makes a change. It returns once the change is durable and in effect:
// no request that begins later is decided by an older revision, and live
// requests that are now refused have been told to end. Nothing is written if fn
// returns an error or the clock is far ahead of the newest write.
//
// The changes of one user wait behind each other. If too many wait, Update
// returns [ErrCrowded].
func (d *Directory) Update(ctx context.Context, actor keys.Actor, fn func(*keys.Tx) error) error {
	return d.update(ctx, ordinary, actor, fn)
}

// UpdateFirst is like [Directory.Update] for a change that revokes, disables,
// narrows, suspends or deletes. It goes before every waiting ordinary change,
// and the operator's goes before all others.
func (d *Directory) UpdateFirst(ctx context.Context, actor keys.Actor, fn func(*keys.Tx) error) error {
	if actor.UserID == "" {
		return d.update(ctx, operatorRevocation, actor, fn)
	}
	return d.update(ctx, revocation, actor, fn)
}

// update makes a change in as many steps as its sessions take.
func (d *Directory) update(ctx context.Context, r rank, actor keys.Actor, fn func(*keys.Tx) error) error {
	var ended []keys.Credential
	for {
		err := d.updateOnce(ctx, r, keys.Terms{Actor: actor, Ended: ended}, fn)
		left, ok := errors.AsType[*keys.SessionsLeftError](err)
		if !ok {
			return err
		}
		var some []keys.Credential
		err = d.updateOnce(ctx, r, keys.Terms{Actor: actor}, func(tx *keys.Tx) (err error) {
			some, err = left.End(tx)
			return err
		})
		if err != nil {
			return err
		}
		ended = append(ended, some...)
	}
}

func (d *Directory) updateOnce(ctx context.Context, r rank, terms keys.Terms, fn func(*keys.Tx) error) error {
	deleting := false
	err := d.write(ctx, r, terms.Actor.UserID, func(w keys.Writer, clock time.Time) (err error) {
		terms.Now, terms.Clock, terms.Maximums = d.Now(), clock, *d.maximums.Load()
		deleting, err = keys.Apply(w, terms, fn)
		return err
	})
	if err == nil && deleting {
		d.finishSoon()
	}
	return err
}
