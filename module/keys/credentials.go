package keys

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// CreateCredential adds a credential that was minted here. It returns
// [ErrRevoked] for the digest of a revoked one.
func (tx *Tx) CreateCredential(c Credential) (Credential, error) {
	action := ActionKeyCreate
	if c.Kind == policy.Session {
		action = ActionSessionCreate
	}
	return tx.addCredential(action, c)
}

func (tx *Tx) addCredential(action string, c Credential) (Credential, error) {
	c, err := tx.putNew(c, tx.actor.ID, false)
	if err != nil {
		return Credential{}, err
	}
	return c, tx.record(action, c.about(), nil, factsOfCredential(c))
}

// putNew writes a new credential, without an audit entry. held is true if its
// user and app are known to exist.
func (tx *Tx) putNew(c Credential, createdBy string, held bool) (Credential, error) {
	if err := tx.checkCredential(c); err != nil {
		return Credential{}, err
	}
	if c.ExpiredAt(tx.now) {
		return Credential{}, invalid("expires_at", "%s is not in the future", c.ExpiresAt.Format(time.RFC3339))
	}
	if !held {
		if err := tx.findHolder(c.holder()); err != nil {
			return Credential{}, err
		}
	}
	switch _, err := tx.Tombstone(c.Digest); {
	case err == nil:
		return Credential{}, ErrRevoked
	case !errors.Is(err, ErrNotFound):
		return Credential{}, err
	}
	if err := absent(tx.Credential(c.Digest)); err != nil {
		return Credential{}, fmt.Errorf("this credential: %w", err)
	}
	if err := absent(tx.CredentialByID(c.ID)); err != nil {
		return Credential{}, fmt.Errorf("key %s: %w", c.ID, err)
	}
	if c.Kind == policy.Session {
		if err := tx.issues(); err != nil {
			return Credential{}, err
		}
	} else if err := tx.roomForKey(c.UserID); err != nil {
		return Credential{}, err
	}
	c.CreatedAt, c.ModifiedAt, c.CreatedBy = tx.now, tx.now, createdBy
	c.Version, c.Seq = 1, 0
	tx.touch(c.Digest)
	return c, tx.w.PutCredential(c)
}

// holder returns the user and the app of a credential. AppID is empty if it has
// no app.
func (c *Credential) holder() AppRef { return AppRef{OwnerID: c.UserID, AppID: c.AppID} }

// findHolder returns an error if the user or the app doesn't exist.
func (tx *Tx) findHolder(app AppRef) error {
	if _, err := tx.User(app.OwnerID); err != nil {
		return fmt.Errorf("user %s: %w", app.OwnerID, err)
	}
	if app.AppID == "" {
		return nil
	}
	if _, err := tx.App(app); err != nil {
		return fmt.Errorf("app %s: %w", app.AppID, err)
	}
	return nil
}

// ChangeCredential changes the description, scopes, endpoints, plan, limits,
// addresses, resources and expiry of a credential, whether it is disabled, and what it
// was rotated to. Nothing else may change.
func (tx *Tx) ChangeCredential(id string, change func(*Credential) error) (Credential, error) {
	old, err := tx.CredentialByID(id)
	if err != nil {
		return Credential{}, fmt.Errorf("key %s: %w", id, err)
	}
	c := old
	c.Scopes, c.Endpoints = slices.Clone(old.Scopes), slices.Clone(old.Endpoints)
	c.Addresses, c.Resources = slices.Clone(old.Addresses), old.Resources.Clone()
	if err := change(&c); err != nil {
		return Credential{}, err
	}
	c.Digest, c.ID, c.Kind, c.UserID, c.AppID = old.Digest, old.ID, old.Kind, old.UserID, old.AppID
	c.CreatedAt, c.CreatedBy, c.Seq, c.Idle, c.Address, c.UserAgent = old.CreatedAt, old.CreatedBy, old.Seq, old.Idle, old.Address, old.UserAgent
	c.RotatedFrom, c.Origin = old.RotatedFrom, old.Origin
	c.ModifiedAt, c.Version = tx.now, old.Version+1
	if err := tx.checkCredential(c); err != nil {
		return Credential{}, err
	}
	tx.touch(c.Digest)
	if err := tx.w.PutCredential(c); err != nil {
		return Credential{}, err
	}
	return c, tx.record(ActionKeyChange, c.about(), factsOfCredential(old), factsOfCredential(c))
}

// Rotation describes the credential that replaces an old one.
type Rotation struct {
	// Digest and ID are those of the new credential.
	Digest credential.Digest
	ID     string
	// Grace is how long the old credential still works, at most until its
	// expiry. 0 or less revokes it.
	Grace time.Duration
	// ExpiresAt is the new credential's expiry. The zero time means never, and
	// nil keeps the expiry of the old one.
	ExpiresAt *time.Time
}

// Rotate replaces a credential with a new one for the same app, with the same
// scopes, endpoints, limits and description. The new one is disabled if the old one
// was. Both name each other.
func (tx *Tx) Rotate(id string, to Rotation) (Credential, error) {
	old, err := tx.CredentialByID(id)
	if err != nil {
		return Credential{}, fmt.Errorf("key %s: %w", id, err)
	}
	next := old
	next.Digest, next.ID = to.Digest, to.ID
	next.RotatedFrom, next.RotatedTo = old.ID, ""
	next.Origin = old.first()
	if to.ExpiresAt != nil {
		next.ExpiresAt = *to.ExpiresAt
	}
	if to.Grace <= 0 {
		old.RotatedTo = to.ID
		err = tx.revoke(old, "rotated")
	} else if err = tx.issues(); err == nil {
		_, err = tx.ChangeCredential(id, func(c *Credential) error {
			c.RotatedTo = to.ID
			if end := tx.now.Add(to.Grace); c.ExpiresAt.IsZero() || end.Before(c.ExpiresAt) {
				c.ExpiresAt = end
			}
			return nil
		})
	}
	if err != nil {
		return Credential{}, err
	}
	return tx.addCredential(ActionKeyRotate, next)
}

// first returns the digest of the first key of a series of rotations.
func (c *Credential) first() credential.Digest {
	if c.Origin != (credential.Digest{}) {
		return c.Origin
	}
	return c.Digest
}

// Revoke ends a credential for good.
func (tx *Tx) Revoke(id, reason string) error {
	c, err := tx.CredentialByID(id)
	if err != nil {
		return fmt.Errorf("key %s: %w", id, err)
	}
	return tx.revoke(c, reason)
}

// EndSessions ends the sessions of a user for which chosen returns true. It
// returns their key IDs. If they are too many for one update, it returns
// [SessionsLeftError], which the change has to return.
func (tx *Tx) EndSessions(userID, reason string, chosen func(*Credential) bool) (ids []string, err error) {
	ended, all, err := tx.endSessions(userID, reason, chosen)
	if err != nil {
		return nil, err
	}
	if !all {
		return nil, &SessionsLeftError{userID, reason, chosen}
	}
	for _, c := range append(slices.Clip(tx.ended), ended...) {
		if c.UserID == userID {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

// endSessions ends sessions as long as there is room, and reports whether it
// has ended all of them.
func (tx *Tx) endSessions(userID, reason string, chosen func(*Credential) bool) (ended []Credential, all bool, err error) {
	for c, err := range tx.Sessions(userID, 0) {
		if err != nil {
			return nil, false, err
		}
		if !chosen(&c) {
			continue
		}
		if !tx.roomToRemove() {
			return ended, false, nil
		}
		if err := tx.revoke(c, reason); err != nil {
			return nil, false, err
		}
		ended = append(ended, c)
	}
	return ended, true, nil
}

func (tx *Tx) revoke(c Credential, reason string) error {
	tx.touch(c.Digest)
	if err := tx.w.DeleteCredential(c.Digest); err != nil {
		return err
	}
	after := facts{"reason": reason}
	if c.Kind == policy.Session {
		// Sessions leave no tombstone: there would be one for every login, and
		// nobody imports sessions.
		return tx.record(ActionSessionEnd, c.about(), factsOfCredential(c), after)
	}
	if err := tx.w.PutTombstone(Tombstone{Digest: c.Digest, ID: c.ID, UserID: c.UserID, CreatedBy: c.CreatedBy, At: tx.now, Reason: reason}); err != nil {
		return err
	}
	return tx.record(ActionKeyRevoke, c.about(), factsOfRevoked(c), after)
}

func (tx *Tx) checkCredential(c Credential) error {
	if err := errors.Join(
		checkText("description", c.Description, maxDescription),
		checkGrant(c.Scopes, c.Endpoints),
		checkUse(&c),
	); err != nil {
		return err
	}
	if (c.Kind == policy.AppKey) != (c.AppID != "") {
		return invalid("apps", "an app key is tied to one app, every other credential to none")
	}
	if year := c.ExpiresAt.UTC().Year(); !c.ExpiresAt.IsZero() && (year < FirstYear || year > LastYear) {
		return invalid("expires_at", "its year has to be one from %d to %d", FirstYear, LastYear)
	}
	return nil
}
