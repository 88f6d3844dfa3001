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
		if err := errors.Join(m.lastUse(w, c.Digest), m.activity(w, c.Digest)); err != nil {
			return err
		}
		if !m.later(now.ModifiedAt, c.ModifiedAt, now.Version, c.Version) {
			return nil
		}
		switch {
		case c.Narrow(&now):
			m.KeysNarrowed++
		case now.Version == c.Version && now.ModifiedAt.Equal(c.ModifiedAt):
			return nil // unchanged
		}
		c.ModifiedAt, c.Version = m.At, max(now.Version, c.Version)+1
		return w.PutCredential(c)
	})
}

func sameEndpoints(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// lastUse keeps the newer last use of a credential.
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

// activity raises the counts of a credential to the current ones.
func (m *Merge) activity(w *update, d credential.Digest) error {
	now, there, err := current(m, &activities, d[:])
	if err != nil || !there {
		return err
	}
	was, err := w.Activity(d)
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	was.Raise(now.Activity)
	return activities.put(w.w, keys.KeyActivity{Digest: d, Activity: was})
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
			return nil // versions begin again if a removed collaborator is added again
		}
		scopes, endpoints := keys.SharedScopes(c.Scopes, now.Scopes), keys.SharedEndpoints(c.Endpoints, now.Endpoints)
		switch {
		case endpoints != nil && len(endpoints) == 0: // no endpoint is left
			m.CollaboratorsRemoved++
			return w.DeleteCollaborator(c.CollaboratorRef)
		case !slices.Equal(scopes, c.Scopes) || !sameEndpoints(endpoints, c.Endpoints):
			m.CollaboratorsNarrowed++
		case now.Version == c.Version && now.ModifiedAt.Equal(c.ModifiedAt):
			return nil // unchanged
		}
		c.Scopes, c.Endpoints = scopes, endpoints
		c.ModifiedAt, c.Version = m.At, max(now.Version, c.Version)+1
		return w.PutCollaborator(c)
	})
}
