package manage

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// UnknownCredential is a listed credential that never belonged to the user.
type UnknownCredential struct {
	// Index is the place in the list, from 0.
	Index int `json:"index"`
	// Credential is the redacted credential.
	Credential string `json:"credential"`
}

// revokeListed revokes the user's credentials in a list of leaked ones, or those of
// all users if the path names none, and answers which elements are unknown.
// Credentials that were revoked before count as revoked. Elements may be key IDs.
// A session is revoked only by its whole text. A dry run only answers what would be
// revoked.
func (r *request) revokeListed(list []string, dryRun bool) (*Answer, error) {
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
		var err error
		if living, err = r.sortListed(from, list, answer); err != nil {
			return err
		}
		if dryRun {
			return r.describeFound(from, answer, living)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	*answer.Count = len(living.keys)
	if dryRun {
		return answer, nil
	}
	return answer, r.revokeFound(living, "revoked as leaked")
}

// sortListed finds the living credentials of a list, and adds the others to the
// answer.
func (r *request) sortListed(from keys.Reader, list []string, answer *Answer) (living found, err error) {
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
			return living, err
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
			return living, err
		}
	}
	return living, nil
}

// shownOf returns the part of an unknown text that may be shown.
func shownOf(text string) string {
	if credential.IsKeyID(text) {
		return text
	}
	return credential.Redact(text)
}

// findLeaked finds one of the user's keys by key ID, or one of the user's
// credentials by its whole text.
func (r *request) findLeaked(from keys.Reader, text string) (keys.Credential, error) {
	c, err := from.CredentialByID(text)
	if err == nil && !isKey(c) {
		err = keys.ErrNotFound // other calls end sessions by ID
	}
	if errors.Is(err, keys.ErrNotFound) {
		c, err = from.Credential(credential.DigestOf(text))
	}
	if err == nil && r.user() != "" && c.UserID != r.user() {
		err = keys.ErrNotFound
	}
	return c, err
}
