package keys

import (
	"crypto/subtle"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// PasswordReset is a one-time link by which a user who forgot the password sets
// another one. The zero PasswordReset is none.
type PasswordReset struct {
	// Digest is the digest of the link's code, which is not stored.
	Digest credential.Digest
	// Until is when the link stops working.
	Until time.Time
}

// Permits reports whether a user may set another password by a code.
func (u *User) Permits(code string, now time.Time) bool {
	digest := credential.DigestOf(code)
	same := subtle.ConstantTimeCompare(digest[:], u.Reset.Digest[:]) == 1
	return same && !u.Suspended && now.Before(u.Reset.Until)
}

// AllowReset gives a user a link to reset the password, which replaces an earlier
// link.
func (tx *Tx) AllowReset(id string, reset PasswordReset) error {
	_, err := tx.changeUser(ActionUserResetLink, id, func(u *User) error {
		u.Reset = reset
		return nil
	})
	return err
}

// ResetPassword sets another password of a user by a code, which is used up then.
// It returns false if the code is wrong, has expired or was used. All sessions of
// the user end.
func (tx *Tx) ResetPassword(id, code, passwordHash string) (bool, error) {
	u, err := tx.User(id)
	if err != nil || !u.Permits(code, tx.now) {
		return false, err
	}
	_, err = tx.changeUser(ActionUserResetPassword, id, func(u *User) error {
		u.PasswordHash = passwordHash
		return nil
	})
	return err == nil, err
}
