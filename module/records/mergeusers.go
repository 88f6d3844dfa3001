package records

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

func (m *Merge) revocations() error {
	return ofCurrent(m, &tombstones, func(t keys.Tombstone) error {
		if has(m.from, tombstones.bucket, t.Digest[:]) {
			return nil
		}
		w, err := m.update()
		if err != nil {
			return err
		}
		m.TombstonesAdded++
		return w.PutTombstone(t)
	})
}

func (m *Merge) retirements() error {
	if m.Now == nil || m.kinship == stranger {
		return nil
	}
	for id, err := range NewView(m.Now).RetiredUsers() {
		if err != nil {
			return err
		}
		w, err := m.update()
		if err != nil {
			return err
		}
		if err := w.RetireUser(id); err != nil {
			return err
		}
	}
	return nil
}

// deleted reports whether a user was deleted, by either store.
func (m *Merge) deleted(user string) bool {
	return has(m.from, retiredBucket, []byte(user)) || m.Now != nil && m.kinship != stranger && has(m.Now, retiredBucket, []byte(user))
}

// beingDeleted reports whether the replaced file had not finished deleting an app,
// so that its keys may still be in either file.
func (m *Merge) beingDeleted(app keys.AppRef) bool {
	return m.Now != nil && m.kinship != stranger && has(m.Now, deletions.bucket, appKey(app))
}

func (m *Merge) users() error {
	return ofBackup(m, &users, func(u keys.User) error {
		w, err := m.update()
		if err != nil {
			return err
		}
		if m.deleted(u.ID) {
			m.UsersDeleted++
			return w.DeleteUser(u.ID)
		}
		now, there, err := currentOf(m, &users, []byte(u.ID))
		if err == nil && !there && u.Reset != (keys.PasswordReset{}) {
			// It may have been used since the backup.
			u.Reset = keys.PasswordReset{}
			return w.PutUser(u)
		}
		if err != nil || !there || !m.later(now.ModifiedAt, u.ModifiedAt, now.Version, u.Version) {
			return err
		}
		was := u
		// Keep the user's latest password and second factor, because the old ones may
		// have been changed after a leak. A link to reset the password may be used.
		u.Suspended, u.Operator = u.Suspended || now.Suspended, u.Operator && now.Operator
		u.PasswordHash, u.TwoFactor, u.Reset, u.Plan = now.PasswordHash, now.TwoFactor, now.Reset, now.Plan
		if u.Email, err = m.freeEmail(w, now); err != nil {
			return err
		}
		switch {
		case u.Email != was.Email || u.Suspended != was.Suspended || u.Operator != was.Operator || u.Plan != was.Plan || u.PasswordHash != was.PasswordHash || u.Reset != was.Reset || !sameFactor(u.TwoFactor, was.TwoFactor):
			m.UsersChanged++
		case now.Version == u.Version && now.ModifiedAt.Equal(u.ModifiedAt):
			return nil // unchanged
		}
		u.ModifiedAt, u.Version = m.At, max(now.Version, u.Version)+1
		return w.PutUser(u)
	})
}

func sameFactor(a, b signin.TwoFactor) bool {
	return a.Secret == b.Secret && a.Enabled == b.Enabled && a.LastStep == b.LastStep && slices.Equal(a.RecoveryCodes, b.RecoveryCodes)
}

func (m *Merge) apps() error {
	return ofBackup(m, &apps, func(a keys.App) error {
		if m.deleted(a.OwnerID) {
			w, err := m.update()
			if err != nil {
				return err
			}
			m.AppsDeleted++
			return w.DeleteApp(a.AppRef)
		}
		if m.beingDeleted(a.AppRef) {
			w, err := m.update()
			if err != nil {
				return err
			}
			m.AppsDeleted++
			return w.DeleteApp(a.AppRef)
		}
		if m.kinship == descendant && !has(m.Now, apps.bucket, appKey(a.AppRef)) {
			m.AppsReturned++
		}
		now, there, err := currentOf(m, &apps, appKey(a.AppRef))
		if err != nil || !there || now.Plan == a.Plan || !m.later(now.ModifiedAt, a.ModifiedAt, now.Version, a.Version) {
			return err
		}
		w, err := m.update()
		if err != nil {
			return err
		}
		a.Plan, a.ModifiedAt, a.Version = now.Plan, m.At, max(now.Version, a.Version)+1 // the plan may be a lower one now
		return w.PutApp(a)
	})
}

// emails removes every address of the backup that its user no longer has, before
// any user gets another, because two users may have swapped addresses.
func (m *Merge) emails() error {
	return ofBackup(m, &users, func(u keys.User) error {
		now, there, err := currentOf(m, &users, []byte(u.ID))
		if err != nil || !there || m.deleted(u.ID) ||
			!m.later(now.ModifiedAt, u.ModifiedAt, now.Version, u.Version) || keys.EmailKey(now.Email) == keys.EmailKey(u.Email) {
			return err
		}
		w, err := m.update()
		if err != nil {
			return err
		}
		u.Email = ""
		return w.PutUser(u)
	})
}

// freeEmail returns the current address of a user, or none if another user has the
// address in the backup. With a descendant that can't happen.
func (m *Merge) freeEmail(w *update, now keys.User) (string, error) {
	if now.Email == "" {
		return "", nil
	}
	switch other, err := w.UserByEmail(now.Email); {
	case errors.Is(err, keys.ErrNotFound) || err == nil && other.ID == now.ID:
		return now.Email, nil
	case err != nil:
		return "", err
	}
	m.Notices = append(m.Notices, fmt.Sprintf("the user %s lost the e-mail address, because another user has it in the backup", now.ID))
	return "", nil
}
