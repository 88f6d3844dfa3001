package keys

import (
	"errors"
	"fmt"
)

// ErrLimit is returned if a user has as many keys or apps as allowed.
var ErrLimit = errors.New("limit reached")

// Maximums are the most keys and apps that one user may have. 0 means no limit. They
// apply to what users make themselves, not to what the operator makes or imports for
// them.
type Maximums struct {
	// Keys limits app keys and personal access tokens that are not revoked,
	// including disabled and expired ones.
	Keys int
	Apps int
}

// The default maximums.
const (
	DefaultMaxKeys = 10_000
	DefaultMaxApps = 1_000
)

// checkLimit returns an error if a user already has most of them, unless the
// operator makes the change.
func (tx *Tx) checkLimit(most int, has func(Totals) uint64, userID, what string) error {
	if most <= 0 || tx.actor.UserID == "" {
		return nil
	}
	totals, err := tx.Totals(userID)
	if err != nil || has(totals) < uint64(most) {
		return err
	}
	return fmt.Errorf("%w: user %s has %d %s, which is the most", ErrLimit, userID, has(totals), what)
}

func (tx *Tx) roomForKey(userID string) error {
	return tx.checkLimit(tx.maximums.Keys, func(t Totals) uint64 { return t.Keys }, userID, "keys")
}

func (tx *Tx) roomForApp(ownerID string) error {
	return tx.checkLimit(tx.maximums.Apps, func(t Totals) uint64 { return t.Apps }, ownerID, "apps")
}
