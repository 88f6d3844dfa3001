package keys

import (
	"fmt"
)

// AcceptCode accepts a one-time password or a recovery code of a user's second
// factor. The code is used up when the change is written. AcceptCode returns
// false if the code is wrong or was used before, or if no second factor is
// enabled.
func (tx *Tx) AcceptCode(userID, code string) (bool, error) {
	u, err := tx.User(userID)
	if err != nil {
		return false, fmt.Errorf("user %s: %w", userID, err)
	}
	left := len(u.TwoFactor.RecoveryCodes)
	switch t := &u.TwoFactor; {
	case !t.Enabled:
		return false, nil
	case t.AcceptPassword(code, tx.now):
		// The step isn't edited by anyone, so it neither raises the version nor
		// is a change for the audit log.
		return true, tx.w.PutUser(u)
	case t.AcceptRecovery(code):
		u.ModifiedAt, u.Version = tx.now, u.Version+1
		if err := tx.w.PutUser(u); err != nil {
			return false, err
		}
		const fact = "recovery_codes_left"
		return true, tx.record(ActionUserChange, Subject{UserID: userID}, facts{fact: left}, facts{fact: left - 1})
	}
	return false, nil
}
