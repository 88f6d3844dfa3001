package keys

import "github.com/caddy-api-keys/gateway/module/credential"

// Spending is how much of a quota has been used in its newest window.
type Spending struct {
	// Meter identifies the quota: it is [Credential.LimitsMeter],
	// [Credential.PlanMeter], [UserGroup] or [AppGroup].
	Meter credential.Digest
	// Begin is the first day of the window.
	Begin Date
	// Used is at least 0. It exceeds the quota if usage became known too late.
	Used int64
}

// LimitsMeter returns the meter of a key's own limits. A key that replaces another one
// has the same meter, so that a rotation gives nothing back.
func (c *Credential) LimitsMeter() credential.Digest { return c.first() }

// PlanMeter is like [Credential.LimitsMeter] for the key's plan. NUL can't occur in a
// credential.
func (c *Credential) PlanMeter() credential.Digest {
	first := c.first()
	return credential.DigestOf("\x00plan\x00" + string(first[:]))
}
