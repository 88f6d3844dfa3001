package keys

import "time"

// Standing is whether a credential is valid, and if not, why.
type Standing uint8

// The standings of a credential.
const (
	// Unknown: there is no such credential, or it was revoked.
	Unknown Standing = iota
	// Active: it is valid.
	Active
	// Disabled: it was disabled, and may be enabled again.
	Disabled
	// Suspended: its user is suspended.
	Suspended
	// Expired: its expiry is in the past.
	Expired
)

// Standing returns whether the credential of a user is valid at a time. What it
// can't know is whether a session has been idle too long, or the credential was
// revoked. At the zero time nothing has expired.
func (c *Credential) Standing(suspended bool, now time.Time) Standing {
	switch {
	case suspended:
		return Suspended
	case c.Disabled:
		return Disabled
	case c.ExpiredAt(now):
		return Expired
	}
	return Active
}

// ExpiredAt reports whether the credential has expired at a time.
func (c *Credential) ExpiredAt(now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt)
}
