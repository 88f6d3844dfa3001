package keystest

import (
	"context"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Small returns a store that writes at most [keys.MinWrites] records in one
// update, as the least store may.
func Small(s keys.Store) keys.Store { return small{s} }

type small struct{ keys.Store }

// MaxWrites implements [keys.Store].
func (small) MaxWrites() int { return keys.MinWrites }

// Update implements [keys.Store].
func (s small) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	return s.Store.Update(ctx, func(w keys.Writer) error {
		less := smallWriter{w, w.Left() - keys.MinWrites}
		if err := fn(less); err != nil {
			return err
		}
		if less.Left() < 0 {
			return keys.ErrTooManyWrites
		}
		return nil
	})
}

// smallWriter is a writer that has less writes left than the store would take.
type smallWriter struct {
	keys.Writer
	less int
}

// Left implements [keys.Writer].
func (w smallWriter) Left() int { return w.Writer.Left() - w.less }
