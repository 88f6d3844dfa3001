package keys

import "github.com/caddy-api-keys/gateway/module/credential"

// Spending is how much of a quota has been used in its newest window.
type Spending struct {
	// Meter identifies the quota: it is the digest of a key, [PlanMeter], [UserGroup]
	// or [AppGroup].
	Meter credential.Digest
	// Begin is the first day of the window.
	Begin Date
	// Used is at least 0. It exceeds the quota if usage became known too late.
	Used int64
}

// PlanMeter returns the meter of a key's plan. The meter of the key's own limits is
// the key's digest. The two differ, because NUL can't occur in a credential.
func PlanMeter(key credential.Digest) credential.Digest {
	return credential.DigestOf("\x00plan\x00" + string(key[:]))
}
