package manage

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func (r *request) revokeKey(tx *keys.Tx) (*Answer, error) {
	c, err := r.findKeyInPath(tx)
	if err != nil {
		return nil, err
	}
	return &Answer{KeyIDs: []string{c.ID}}, tx.Revoke(c.ID, "revoked")
}

// revokeKeys revokes keys by key ID or whole credential, all in one transaction. A
// key that was revoked before counts as revoked, so that clients can repeat a
// request.
func (r *request) revokeKeys(tx *keys.Tx, ids []string) (*Answer, error) {
	answer := &Answer{}
	var once onceEach
	var revoke []string
	for i, id := range ids {
		found, revoked, err := r.findRevocable(tx, id, idField(i))
		if err == nil {
			err = once.add(idField(i), found)
		}
		if err != nil {
			return nil, nothingRevoked(err)
		}
		answer.KeyIDs = append(answer.KeyIDs, found)
		if revoked {
			answer.AlreadyRevoked = append(answer.AlreadyRevoked, found)
		} else {
			revoke = append(revoke, found)
		}
	}
	// Revoke only now; otherwise the second of two names of one key would not be
	// found.
	for _, id := range revoke {
		if err := tx.Revoke(id, "revoked"); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// findRevocable returns the key ID of one of the user's keys, and whether the key
// was revoked before. field is the field that names the key.
func (r *request) findRevocable(from keys.Reader, named, field string) (id string, revoked bool, err error) {
	c, err := r.findKeyInBody(from, named, field)
	if !isNotFound(err) {
		return c.ID, false, err
	}
	stone, absent := r.findRevoked(from, named)
	switch {
	case absent == nil:
		return stone.ID, true, nil
	case errors.Is(absent, keys.ErrNotFound):
		return "", false, err
	default:
		return "", false, absent
	}
}

// findRevoked finds the tombstone of one of the user's revoked keys, by key ID or
// whole credential.
func (r *request) findRevoked(from keys.Reader, named string) (keys.Tombstone, error) {
	stone, err := from.TombstoneByID(named)
	if errors.Is(err, keys.ErrNotFound) {
		stone, err = from.Tombstone(credential.DigestOf(named))
	}
	if err == nil && r.user() != "" && stone.UserID != r.user() {
		err = keys.ErrNotFound
	}
	return stone, err
}

// nothingRevoked adds to the refusal of one key of a list that the others weren't
// revoked either.
func nothingRevoked(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Details += "; nothing was revoked"
	}
	return err
}
