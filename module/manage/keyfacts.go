package manage

import (
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Standing returns the state of a key at a time. suspended is true if the key's
// user is suspended.
func (k *Key) Standing(suspended bool, now time.Time) string {
	if k.RevokedAt != nil {
		return StandingRevoked
	}
	c := keys.Credential{Disabled: k.Disabled}
	if k.ExpiresAt != nil {
		c.ExpiresAt = *k.ExpiresAt
	}
	return standings[c.Standing(suspended, now)]
}

// FullAccess reports whether a key grants everything.
func (k *Key) FullAccess() bool {
	return slices.Contains(k.Scopes, policy.ScopeAll) && len(k.Endpoints) == 0
}

// ExpiresWithin reports whether a key expires within a time from now on.
func (k *Key) ExpiresWithin(d time.Duration, now time.Time) bool {
	return k.ExpiresAt != nil && now.Before(*k.ExpiresAt) && k.ExpiresAt.Sub(now) <= d
}

// UnusedFor reports whether a key wasn't used for a time, up to now. A key that was
// never used counts from its creation.
func (k *Key) UnusedFor(d time.Duration, now time.Time) bool {
	since := k.CreatedAt
	if k.LastUsedAt != nil && k.LastUsedAt.After(since) {
		since = *k.LastUsedAt
	}
	return now.Sub(since) >= d
}
