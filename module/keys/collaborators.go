package keys

import (
	"errors"
	"fmt"
)

// AddCollaborator adds a collaborator to an app, or changes what a collaborator
// may do.
func (tx *Tx) AddCollaborator(c Collaborator) (Collaborator, error) {
	if err := checkGrant(c.Scopes, c.Endpoints); err != nil {
		return Collaborator{}, err
	}
	if _, err := tx.App(c.AppRef); err != nil {
		return Collaborator{}, fmt.Errorf("app %s: %w", c.AppID, err)
	}
	if c.UserID == c.OwnerID {
		return Collaborator{}, invalid("user_id", "the app is this user's own")
	}
	if c.UserID != Everyone {
		if err := checkUserID("user_id", c.UserID); err != nil {
			return Collaborator{}, err
		}
	}
	c.CreatedAt, c.ModifiedAt, c.CreatedBy, c.Version, c.Seq = tx.now, tx.now, tx.actor.ID, 1, 0
	action, before := ActionCollaboratorAdd, facts(nil)
	switch old, err := tx.Collaborator(c.CollaboratorRef); {
	case err == nil:
		c.CreatedAt, c.CreatedBy, c.Seq, c.Version = old.CreatedAt, old.CreatedBy, old.Seq, old.Version+1
		action, before = ActionCollaboratorChange, factsOfCollaborator(old)
	case !errors.Is(err, ErrNotFound):
		return Collaborator{}, err
	}
	tx.touch(c.CollaboratorRef.Digest())
	if err := tx.w.PutCollaborator(c); err != nil {
		return Collaborator{}, err
	}
	return c, tx.record(action, c.about(), before, factsOfCollaborator(c))
}

// RemoveCollaborator removes a collaborator.
func (tx *Tx) RemoveCollaborator(ref CollaboratorRef) error {
	c, err := tx.Collaborator(ref)
	if err != nil {
		return fmt.Errorf("collaborator %s: %w", ref.UserID, err)
	}
	return tx.removeCollaborator(c)
}

func (tx *Tx) removeCollaborator(c Collaborator) error {
	tx.touch(c.CollaboratorRef.Digest())
	if err := tx.w.DeleteCollaborator(c.CollaboratorRef); err != nil {
		return err
	}
	return tx.record(ActionCollaboratorRemove, c.about(), factsOfCollaborator(c), nil)
}
