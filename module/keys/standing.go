package keys

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
