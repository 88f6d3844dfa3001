package records

import (
	"errors"
	"slices"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func (m *Merge) credentials() error {
	return ofBackup(m, &credentials, func(c keys.Credential) error {
		w, err := m.update()
		if err != nil {
			return err
		}
		if c.Kind == policy.Session {
			m.SessionsEnded++
			return w.DeleteCredential(c.Digest)
		}
		switch _, err := w.Tombstone(c.Digest); {
		case err == nil:
			m.KeysRevoked++
			return w.DeleteCredential(c.Digest)
		case !errors.Is(err, keys.ErrNotFound):
			return err
		}
		reason := ""
		switch {
		case m.deleted(c.UserID):
			reason = "user deleted"
		case c.AppID != "" && m.beingDeleted(keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}):
			reason = "app deleted"
		case m.kinship == descendant && !has(m.Now, credentials.bucket, c.Digest[:]):
			reason = "not in the store that was replaced"
		}
		if reason != "" {
			m.KeysRevoked++
			m.TombstonesAdded++
			t := keys.Tombstone{Digest: c.Digest, ID: c.ID, UserID: c.UserID, CreatedBy: c.CreatedBy, At: m.At, Reason: reason}
			return errors.Join(w.DeleteCredential(c.Digest), w.PutTombstone(t))
		}
		now, there, err := current(m, &credentials, c.Digest[:])
		if err != nil || !there {
			return err
		}
		if err := m.lastUse(w, c.Digest); err != nil {
			return err
		}
		if !m.later(now.ModifiedAt, c.ModifiedAt, now.Version, c.Version) {
			return nil
		}
		switch {
		case narrow(&c, now):
			m.KeysNarrowed++
		case now.Version == c.Version && now.ModifiedAt.Equal(c.ModifiedAt):
			return nil // it is the same
		}
		c.ModifiedAt, c.Version = m.At, max(now.Version, c.Version)+1
		return w.PutCredential(c)
	})
}

// narrow leaves a credential nothing that it doesn't have now.
func narrow(c *keys.Credential, now keys.Credential) bool {
	was := *c
	c.Scopes = sharedScopes(c.Scopes, now.Scopes)
	c.Endpoints = sharedEndpoints(c.Endpoints, now.Endpoints)
	// A list that is left empty grants none, but is shown as if there were no
	// list: a disabled key leaves no doubt.
	c.Disabled = c.Disabled || now.Disabled || c.Endpoints != nil && len(c.Endpoints) == 0
	if !now.ExpiresAt.IsZero() && (c.ExpiresAt.IsZero() || now.ExpiresAt.Before(c.ExpiresAt)) {
		c.ExpiresAt = now.ExpiresAt
	}
	return c.Disabled != was.Disabled || !c.ExpiresAt.Equal(was.ExpiresAt) ||
		!slices.Equal(c.Scopes, was.Scopes) || !sameEndpoints(c.Endpoints, was.Endpoints)
}

func sharedScopes(a, b []string) []string {
	switch {
	case slices.Contains(b, policy.ScopeAll):
		return a
	case slices.Contains(a, policy.ScopeAll):
		return b
	}
	return shared(a, b)
}

// sharedEndpoints is nil, which is all, only where both are: with nothing
// shared it is an empty list, which grants none.
func sharedEndpoints(a, b []string) []string {
	switch {
	case b == nil:
		return a
	case a == nil:
		return b
	}
	return shared(a, b)
}

func sameEndpoints(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// shared is never nil.
func shared(a, b []string) []string {
	both := []string{}
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}

// lastUse takes over when a credential was last used.
func (m *Merge) lastUse(w *update, d credential.Digest) error {
	now, there, err := current(m, &usages, d[:])
	if err != nil || !there {
		return err
	}
	was, err := w.LastUsed(d)
	if err == nil && !now.At.After(was.At) {
		return nil
	}
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	return w.PutLastUsed(d, now.Usage)
}

func (m *Merge) collaborators() error {
	return ofBackup(m, &collaborators, func(c keys.Collaborator) error {
		w, err := m.update()
		if err != nil {
			return err
		}
		now, there, err := currentOf(m, &collaborators, collaboratorKey(c.CollaboratorRef))
		switch {
		case err != nil:
			return err
		case m.deleted(c.OwnerID), m.deleted(c.UserID), m.beingDeleted(c.AppRef), m.kinship == descendant && !there:
			m.CollaboratorsRemoved++
			return w.DeleteCollaborator(c.CollaboratorRef)
		case !there, m.kinship != descendant && now.ModifiedAt.Before(c.ModifiedAt):
			return nil // the versions of an invitation that was removed begin again
		}
		scopes, endpoints := sharedScopes(c.Scopes, now.Scopes), sharedEndpoints(c.Endpoints, now.Endpoints)
		switch {
		case endpoints != nil && len(endpoints) == 0: // nothing is left of it
			m.CollaboratorsRemoved++
			return w.DeleteCollaborator(c.CollaboratorRef)
		case !slices.Equal(scopes, c.Scopes) || !sameEndpoints(endpoints, c.Endpoints):
			m.CollaboratorsNarrowed++
		case now.Version == c.Version && now.ModifiedAt.Equal(c.ModifiedAt):
			return nil // it is the same
		}
		c.Scopes, c.Endpoints = scopes, endpoints
		c.ModifiedAt, c.Version = m.At, max(now.Version, c.Version)+1
		return w.PutCollaborator(c)
	})
}
