package directory

import (
	"context"
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Backup copies the store, as a [keys.Backuper] does, including the last uses that
// were not yet written.
func (d *Directory) Backup(ctx context.Context, path string) (keys.Backup, error) {
	b, ok := d.store.(keys.Backuper)
	if !ok {
		return keys.Backup{}, keys.ErrUnsupported
	}
	// If nothing can be written, a copy without the newest last uses is better
	// than none.
	if err := d.Flush(ctx); err != nil && !errors.Is(err, keys.ErrUnavailable) {
		return keys.Backup{}, err
	}
	return b.Backup(ctx, path)
}

// Examine checks the store, as an [keys.Examiner] does.
func (d *Directory) Examine(ctx context.Context) (keys.Examination, error) {
	e, ok := d.store.(keys.Examiner)
	if !ok {
		return keys.Examination{}, keys.ErrUnsupported
	}
	return e.Examine(ctx)
}

// Count counts the records of the store, as an [keys.Examiner] does.
func (d *Directory) Count(ctx context.Context) (keys.Stats, error) {
	e, ok := d.store.(keys.Examiner)
	if !ok {
		return keys.Stats{}, keys.ErrUnsupported
	}
	return e.Count(ctx, d.Now())
}
