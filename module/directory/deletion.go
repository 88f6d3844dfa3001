package directory

import (
	"context"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// finishSoon wakes up the task that finishes deletions.
func (d *Directory) finishSoon() {
	select {
	case d.unfinished <- struct{}{}:
	default: // somebody is about to
	}
}

// Finish removes the remaining records of deleted users and apps, step by step,
// so that nobody waits for all of it. Each step is safe on its own.
func (d *Directory) Finish(ctx context.Context) error {
	d.finishing.Lock()
	defer d.finishing.Unlock()
	for {
		select {
		case <-d.closing:
			return nil
		default:
		}
		var next *keys.Deletion
		err := d.store.View(ctx, func(r keys.Reader) error {
			for deletion, err := range r.Deletions() {
				next = &deletion
				return err
			}
			return nil
		})
		if err != nil || next == nil {
			return err
		}
		err = d.update(ctx, ordinary, keys.Actor{}, func(tx *keys.Tx) error {
			_, err := tx.ContinueDeletion(*next)
			return err
		})
		if err != nil {
			return fmt.Errorf("finishing the deletion of %s %s: %w", next.OwnerID, next.AppID, err)
		}
	}
}
