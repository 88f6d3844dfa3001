package boltstore

import (
	"errors"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// emails takes away every address of the backup that its user has given up
// since, before any user gets another: two may have swapped theirs.
func (r *restoring) emails(into *batches) error {
	return ofBackup(r, &users, func(u keys.User) error {
		now, there, err := currentOf(r, &users, []byte(u.ID))
		if err != nil || !there || r.deleted(u.ID) ||
			!r.later(now.ModifiedAt, u.ModifiedAt, now.Version, u.Version) || keys.EmailKey(now.Email) == keys.EmailKey(u.Email) {
			return err
		}
		w, err := into.next()
		if err != nil {
			return err
		}
		u.Email = ""
		return w.PutUser(u)
	})
}

// freeEmail returns the address that a user has now, or none where another
// user has it in the backup. That can't be with what became of the backup.
func (r *restoring) freeEmail(w *writer, now keys.User) (string, error) {
	if now.Email == "" {
		return "", nil
	}
	switch other, err := w.UserByEmail(now.Email); {
	case errors.Is(err, keys.ErrNotFound) || err == nil && other.ID == now.ID:
		return now.Email, nil
	case err != nil:
		return "", err
	}
	r.Notices = append(r.Notices, fmt.Sprintf("the user %s has no e-mail address any more, since another user has it in the backup", now.ID))
	return "", nil
}
