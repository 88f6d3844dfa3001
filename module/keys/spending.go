package keys

import "github.com/caddy-api-keys/gateway/module/credential"

// Spending is how much of a quota has been used in its newest window.
type Spending struct {
	// Meter is what the quota bounds: the digest of a key, [PlanMeter], [UserGroup]
	// or [AppGroup].
	Meter credential.Digest
	// Begin is the first day of the window.
	Begin Date
	// Used is at least 0, and more than the quota if usage became known too late.
	Used int64
}

// PlanMeter returns the meter of the plan of a key, whose own limits are measured
// by the key's digest. NUL can't occur in a credential.
func PlanMeter(key credential.Digest) credential.Digest {
	return credential.DigestOf("\x00plan\x00" + string(key[:]))
}
