package keys

import (
	"errors"
	"fmt"
	"slices"
)

// CreateUser adds a user. The IDs of deleted users are never used again.
func (tx *Tx) CreateUser(u User) (User, error) {
	if err := checkUser(u); err != nil {
		return User{}, err
	}
	if retired, err := tx.UserRetired(u.ID); err != nil {
		return User{}, err
	} else if retired {
		return User{}, fmt.Errorf("user %s: the id was a deleted user's and is never used again: %w", u.ID, ErrExists)
	}
	if err := absent(tx.User(u.ID)); err != nil {
		return User{}, fmt.Errorf("user %s: %w", u.ID, err)
	}
	if err := tx.emailIsFree(u); err != nil {
		return User{}, err
	}
	u.CreatedAt, u.ModifiedAt, u.Version, u.Seq = tx.now, tx.now, 1, 0
	if err := tx.w.PutUser(u); err != nil {
		return User{}, err
	}
	return u, tx.record(ActionUserCreate, Subject{UserID: u.ID}, nil, factsOfUser(u))
}

// errEmailTaken is returned if another user has the e-mail address.
var errEmailTaken = invalid("email", "another user has this address; give each their own")

func (tx *Tx) emailIsFree(u User) error {
	if u.Email == "" {
		return nil
	}
	switch other, err := tx.UserByEmail(u.Email); {
	case errors.Is(err, ErrNotFound) || err == nil && other.ID == u.ID:
		return nil
	case err != nil:
		return err
	}
	return errEmailTaken
}

// ChangeUser changes a user. Suspending a user affects all their credentials. A
// new password or second factor ends their sessions, except the session that
// makes the change. A new password or a suspension also ends a [PasswordReset].
func (tx *Tx) ChangeUser(id string, change func(*User) error) (User, error) {
	return tx.changeUser(ActionUserChange, id, change)
}

func (tx *Tx) changeUser(action, id string, change func(*User) error) (User, error) {
	old, err := tx.User(id)
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", id, err)
	}
	u := old
	u.TwoFactor.RecoveryCodes = slices.Clone(old.TwoFactor.RecoveryCodes)
	if err := change(&u); err != nil {
		return User{}, err
	}
	u.ID, u.CreatedAt, u.Seq = old.ID, old.CreatedAt, old.Seq
	u.ModifiedAt, u.Version = tx.now, old.Version+1
	if u.PasswordHash != old.PasswordHash || u.Suspended {
		u.Reset = PasswordReset{}
	}
	if err := checkUser(u); err != nil {
		return User{}, err
	}
	if err := tx.emailIsFree(u); err != nil {
		return User{}, err
	}
	before, after := factsOfUser(old), factsOfUser(u)
	signsInOtherwise := false
	for name, changed := range map[string]bool{
		"password":       u.PasswordHash != old.PasswordHash,
		"secret":         u.TwoFactor.Secret != old.TwoFactor.Secret && old.TwoFactor.Enabled,
		"recovery_codes": !slices.Equal(u.TwoFactor.RecoveryCodes, old.TwoFactor.RecoveryCodes),
	} {
		if changed {
			after[name] = "changed" // the log holds neither the old value nor the new one
			signsInOtherwise = signsInOtherwise || name != "recovery_codes"
		}
	}
	if !u.Reset.Until.IsZero() && u.Reset.Digest != old.Reset.Digest {
		after["reset_link"] = "made"
	}
	if u.Suspended != old.Suspended || u.Plan != old.Plan {
		tx.groups = append(tx.groups, UserGroup(id))
	}
	if err := tx.w.PutUser(u); err != nil {
		return User{}, err
	}
	if err := tx.record(action, Subject{UserID: id}, before, after); err != nil {
		return User{}, err
	}
	if signsInOtherwise || u.TwoFactor.Enabled != old.TwoFactor.Enabled {
		_, err = tx.EndSessions(id, "signs in otherwise", func(c *Credential) bool { return c.ID != tx.actor.ID })
	}
	return u, err
}

// DeleteUser deletes a user with their apps and their records as a
// collaborator, and revokes their credentials. None of these is valid after the
// change. If there are many, their records are removed later.
func (tx *Tx) DeleteUser(id string) error {
	u, err := tx.User(id)
	if err != nil {
		return fmt.Errorf("user %s: %w", id, err)
	}
	if err := tx.w.DeleteUser(id); err != nil {
		return err
	}
	if err := tx.w.RetireUser(id); err != nil {
		return err
	}
	tx.groups = append(tx.groups, UserGroup(id))
	if err := tx.beginDeletion(AppRef{OwnerID: id}); err != nil {
		return err
	}
	return tx.record(ActionUserDelete, Subject{UserID: id}, factsOfUser(u), nil)
}

func checkUser(u User) error {
	return errors.Join(
		checkUserID("id", u.ID),
		checkText("name", u.Name, maxName),
		checkEmail("email", u.Email),
		checkPlan(u.Plan),
	)
}
