package manage

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// holders finds the users and apps of imported keys in one transaction, each
// once, and creates those that are missing if that is asked for.
type holders struct {
	users  map[string]bool
	apps   map[keys.AppRef]bool
	create bool
}

// find finds the user of a key, and its app.
func (h *holders) find(tx *keys.Tx, k importedKey, c keys.Credential) error {
	if !h.users[c.UserID] {
		_, err := tx.User(c.UserID)
		if errors.Is(err, keys.ErrNotFound) {
			err = h.makeUser(tx, join(k.path, "user_id"), c.UserID)
		}
		if err != nil {
			return err
		}
		h.users[c.UserID] = true
	}
	app := keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}
	if app.AppID == "" || h.apps[app] {
		return nil
	}
	_, err := tx.App(app)
	if errors.Is(err, keys.ErrNotFound) {
		if !h.create {
			return refuse(CodeNotFound, join(k.apps[0].path, "id"), "this user has no such app: create it first, or have it made with create_missing")
		}
		_, err = tx.CreateApp(keys.App{AppRef: app})
	}
	if err != nil {
		return err
	}
	h.apps[app] = true
	return nil
}

func (h *holders) makeUser(tx *keys.Tx, field, id string) error {
	if !h.create {
		return refuse(CodeNotFound, field, "there is no such user: create it first, or have it made with create_missing")
	}
	_, err := tx.CreateUser(keys.User{ID: id})
	if errors.Is(err, keys.ErrExists) {
		return refuse(CodeExists, field, "a user with this ID was deleted, and IDs are never used again: import the keys for another")
	}
	return err
}
