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

// revokeKeys revokes keys by key ID or whole credential, all in one
// transaction. A key that was revoked before counts as revoked, because a
// client that names it again wants no more than that.
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
	// Only now, or the second of two names of one key would not be found.
	for _, id := range revoke {
		if err := tx.Revoke(id, "revoked"); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// findRevocable returns the key ID of a key of the user's, and whether it was
// revoked before. field is where the key is named in the body.
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

// findRevoked finds what is left of a revoked key of the user's, by key ID or
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

// nothingRevoked adds to the refusal of one key of a list what that means for
// the others.
func nothingRevoked(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Details += "; nothing was revoked"
	}
	return err
}
