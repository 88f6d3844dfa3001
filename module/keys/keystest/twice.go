package keystest

import (
	"context"
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Twice returns a store whose Update runs its function twice, as any store may.
// Nothing of the first run stays, and other updates may come between the two.
func Twice(s keys.Store) keys.Store { return twice{s} }

type twice struct{ keys.Store }

// errAgain ends the first run.
var errAgain = errors.New("the function is run again")

// Update implements [keys.Store].
func (s twice) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	commit, err := s.Store.Update(ctx, func(w keys.Writer) error {
		if err := fn(w); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return commit, err
	}
	return s.Store.Update(ctx, fn)
}
