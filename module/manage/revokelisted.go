package manage

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// UnknownCredential is one of a list that is none of the user's, and never was.
type UnknownCredential struct {
	// Index is its place in the list, from 0.
	Index int `json:"index"`
	// Credential is as much of it as may be shown.
	Credential string `json:"credential"`
}

// revokeListed revokes those of a list of leaked credentials that are the
// user's, or where no user is named anybody's, and says which are not. One that
// was revoked before counts as revoked. Key IDs are taken too, and a session
// that is named by its whole text ends.
func (r *request) revokeListed(list []string) (*Answer, error) {
	answer := &Answer{Count: new(int)}
	var living found
	err := r.view(func(from keys.Reader) error {
		if r.user() != "" {
			if _, err := r.findUser(from); err != nil {
				return err
			}
		}
		if err := r.stillThere(from); err != nil {
			return err
		}
		seen := map[string]bool{}
		for i, text := range list {
			c, err := r.findLeaked(from, text)
			if err == nil {
				if !seen[c.ID] {
					living.keys = append(living.keys, c)
					answer.KeyIDs = append(answer.KeyIDs, c.ID)
				}
				seen[c.ID] = true
				continue
			}
			if !errors.Is(err, keys.ErrNotFound) {
				return err
			}
			stone, err := r.findRevoked(from, text)
			switch {
			case err == nil && !seen[stone.ID]:
				answer.KeyIDs = append(answer.KeyIDs, stone.ID)
				answer.AlreadyRevoked = append(answer.AlreadyRevoked, stone.ID)
				seen[stone.ID] = true
			case errors.Is(err, keys.ErrNotFound):
				answer.Unknown = append(answer.Unknown, UnknownCredential{i, shownOf(text)})
			case err != nil:
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.revokeFound(living, "revoked as leaked"); err != nil {
		return nil, err
	}
	*answer.Count = len(living.keys)
	return answer, nil
}

// shownOf is what may be shown of a text that names no key here.
func shownOf(text string) string {
	if credential.IsKeyID(text) {
		return text
	}
	return credential.Redact(text)
}

// findLeaked finds a key of the user's by key ID, or a credential of theirs by
// its whole text.
func (r *request) findLeaked(from keys.Reader, text string) (keys.Credential, error) {
	c, err := from.CredentialByID(text)
	if err == nil && !isKey(c) {
		err = keys.ErrNotFound // a session's ID is no secret, and ends by other calls
	}
	if errors.Is(err, keys.ErrNotFound) {
		c, err = from.Credential(credential.DigestOf(text))
	}
	if err == nil && r.user() != "" && c.UserID != r.user() {
		err = keys.ErrNotFound
	}
	return c, err
}
