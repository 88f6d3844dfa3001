package keys

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Actor is who makes a change.
type Actor struct {
	// ID is the public id of the credential that is used, or [Operator].
	ID string
}

// Tx is a change under way: all of it is written, or nothing. It reads what it
// has written itself.
type Tx struct {
	Reader
	w     Writer
	now   time.Time
	actor Actor
	// touched are the digests whose entries the change makes stale.
	touched []Digest
}

// Update makes a change. It returns once the change is durable and in effect:
// no request that begins later is decided by what was before, and live
// requests that are refused now have been told to end. If fn returns an error,
// nothing is written.
func (d *Directory) Update(ctx context.Context, actor Actor, fn func(*Tx) error) error {
	// Whoever asks may go away meanwhile; what was begun is finished.
	ctx = context.WithoutCancel(ctx)
	return d.store.Update(ctx, func(w Writer) error {
		tx := &Tx{Reader: w, w: w, now: d.Now(), actor: actor}
		if err := fn(tx); err != nil {
			return err
		}
		w.Touch(tx.now, tx.touched...)
		return nil
	})
}

// Now is the time of the change.
func (tx *Tx) Now() time.Time { return tx.now }

func (tx *Tx) touch(digests ...Digest) { tx.touched = append(tx.touched, digests...) }

// CreateUser adds a user. Ids of deleted users are not used again.
func (tx *Tx) CreateUser(u User) (User, error) {
	if err := checkUser(u); err != nil {
		return User{}, err
	}
	if retired, err := tx.UserRetired(u.ID); err != nil {
		return User{}, err
	} else if retired {
		return User{}, fmt.Errorf("user %s: the id was a deleted user's and is never used again: %w", u.ID, ErrExists)
	}
	if err := absent(tx.User(u.ID)); err != nil {
		return User{}, fmt.Errorf("user %s: %w", u.ID, err)
	}
	u.CreatedAt, u.ModifiedAt, u.Seq = tx.now, tx.now, 0
	return u, tx.w.PutUser(u)
}

// ChangeUser changes a user. Suspending one takes effect on all its
// credentials.
func (tx *Tx) ChangeUser(id string, change func(*User) error) (User, error) {
	old, err := tx.User(id)
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", id, err)
	}
	u := old
	if err := change(&u); err != nil {
		return User{}, err
	}
	u.ID, u.CreatedAt, u.Seq, u.ModifiedAt = old.ID, old.CreatedAt, old.Seq, tx.now
	if err := checkUser(u); err != nil {
		return User{}, err
	}
	if u.Suspended != old.Suspended {
		for c, err := range tx.Credentials(id, 0) {
			if err != nil {
				return User{}, err
			}
			tx.touch(c.Digest)
		}
	}
	return u, tx.w.PutUser(u)
}

// DeleteUser deletes a user with its apps and collaborations, and revokes its
// credentials.
func (tx *Tx) DeleteUser(id string) error {
	if _, err := tx.User(id); err != nil {
		return fmt.Errorf("user %s: %w", id, err)
	}
	for a, err := range tx.Apps(id, 0) {
		if err != nil {
			return err
		}
		if err := tx.DeleteApp(a.AppRef); err != nil {
			return err
		}
	}
	if err := tx.revokeAll(tx.Credentials(id, 0), "user deleted"); err != nil {
		return err
	}
	if err := tx.uninviteAll(tx.Collaborations(id, 0)); err != nil {
		return err
	}
	if err := tx.w.DeleteUser(id); err != nil {
		return err
	}
	return tx.w.RetireUser(id)
}

// CreateApp adds an app to its owner's.
func (tx *Tx) CreateApp(a App) (App, error) {
	if err := errors.Join(CheckID("id", a.AppID), checkText("name", a.Name, maxName)); err != nil {
		return App{}, err
	}
	if _, err := tx.User(a.OwnerID); err != nil {
		return App{}, fmt.Errorf("user %s: %w", a.OwnerID, err)
	}
	if err := absent(tx.App(a.AppRef)); err != nil {
		return App{}, fmt.Errorf("app %s: %w", a.AppID, err)
	}
	a.CreatedAt, a.ModifiedAt, a.Seq = tx.now, tx.now, 0
	return a, tx.w.PutApp(a)
}

// ChangeApp changes an app.
func (tx *Tx) ChangeApp(ref AppRef, change func(*App) error) (App, error) {
	old, err := tx.App(ref)
	if err != nil {
		return App{}, fmt.Errorf("app %s: %w", ref.AppID, err)
	}
	a := old
	if err := change(&a); err != nil {
		return App{}, err
	}
	a.AppRef, a.CreatedAt, a.Seq, a.ModifiedAt = old.AppRef, old.CreatedAt, old.Seq, tx.now
	if err := checkText("name", a.Name, maxName); err != nil {
		return App{}, err
	}
	return a, tx.w.PutApp(a)
}

// DeleteApp deletes an app with its collaborators, and revokes its keys.
func (tx *Tx) DeleteApp(ref AppRef) error {
	if _, err := tx.App(ref); err != nil {
		return fmt.Errorf("app %s: %w", ref.AppID, err)
	}
	if err := tx.revokeAll(tx.AppCredentials(ref, 0), "app deleted"); err != nil {
		return err
	}
	if err := tx.uninviteAll(tx.Collaborators(ref, 0)); err != nil {
		return err
	}
	return tx.w.DeleteApp(ref)
}

// CreateCredential adds a credential that was minted, here or elsewhere. A
// digest that was revoked is refused with [ErrRevoked].
func (tx *Tx) CreateCredential(c Credential) (Credential, error) {
	if err := tx.checkCredential(c); err != nil {
		return Credential{}, err
	}
	if !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(tx.now) {
		return Credential{}, invalid("expires_at", "%s is not in the future", c.ExpiresAt.Format(time.RFC3339))
	}
	if _, err := tx.User(c.UserID); err != nil {
		return Credential{}, fmt.Errorf("user %s: %w", c.UserID, err)
	}
	if c.AppID != "" {
		if _, err := tx.App(AppRef{c.UserID, c.AppID}); err != nil {
			return Credential{}, fmt.Errorf("app %s: %w", c.AppID, err)
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
	c.CreatedAt, c.ModifiedAt, c.CreatedBy, c.Seq = tx.now, tx.now, tx.actor.ID, 0
	tx.touch(c.Digest)
	return c, tx.w.PutCredential(c)
}

// ChangeCredential changes what may be changed of a credential: its
// description, scopes, endpoints, expiry, and whether it is disabled.
func (tx *Tx) ChangeCredential(id string, change func(*Credential) error) (Credential, error) {
	old, err := tx.CredentialByID(id)
	if err != nil {
		return Credential{}, fmt.Errorf("key %s: %w", id, err)
	}
	c := old
	c.Scopes, c.Endpoints = slices.Clone(old.Scopes), slices.Clone(old.Endpoints)
	if err := change(&c); err != nil {
		return Credential{}, err
	}
	c.Digest, c.ID, c.Kind, c.UserID, c.AppID = old.Digest, old.ID, old.Kind, old.UserID, old.AppID
	c.CreatedAt, c.CreatedBy, c.Seq, c.ModifiedAt = old.CreatedAt, old.CreatedBy, old.Seq, tx.now
	if err := tx.checkCredential(c); err != nil {
		return Credential{}, err
	}
	tx.touch(c.Digest)
	return c, tx.w.PutCredential(c)
}

// Rotate puts a new credential in an old one's place: the same app, scopes,
// endpoints, description and expiry, and disabled if that was. The old one is
// revoked, or expires after grace if that is more than 0 (and not later than
// it would have).
func (tx *Tx) Rotate(id string, digest Digest, newID string, grace time.Duration) (Credential, error) {
	old, err := tx.CredentialByID(id)
	if err != nil {
		return Credential{}, fmt.Errorf("key %s: %w", id, err)
	}
	next := old
	next.Digest, next.ID = digest, newID
	if grace <= 0 {
		err = tx.revoke(old, "rotated")
	} else {
		_, err = tx.ChangeCredential(id, func(c *Credential) error {
			if end := tx.now.Add(grace); c.ExpiresAt.IsZero() || end.Before(c.ExpiresAt) {
				c.ExpiresAt = end
			}
			return nil
		})
	}
	if err != nil {
		return Credential{}, err
	}
	return tx.CreateCredential(next)
}

// Revoke ends a credential for good.
func (tx *Tx) Revoke(id, reason string) error {
	c, err := tx.CredentialByID(id)
	if err != nil {
		return fmt.Errorf("key %s: %w", id, err)
	}
	return tx.revoke(c, reason)
}

func (tx *Tx) revoke(c Credential, reason string) error {
	tx.touch(c.Digest)
	if err := tx.w.DeleteCredential(c.Digest); err != nil {
		return err
	}
	return tx.w.PutTombstone(Tombstone{Digest: c.Digest, ID: c.ID, At: tx.now, Reason: reason})
}

func (tx *Tx) revokeAll(list iter.Seq2[Credential, error], reason string) error {
	for c, err := range list {
		if err != nil {
			return err
		}
		if err := tx.revoke(c, reason); err != nil {
			return err
		}
	}
	return nil
}

// Invite makes a user a collaborator on an app, or changes what an invitation
// grants.
func (tx *Tx) Invite(c Collaborator) (Collaborator, error) {
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
		if _, err := tx.User(c.UserID); err != nil {
			return Collaborator{}, fmt.Errorf("user %s: %w", c.UserID, err)
		}
	}
	c.CreatedAt, c.ModifiedAt, c.Seq = tx.now, tx.now, 0
	switch old, err := tx.Collaborator(c.CollaboratorRef); {
	case err == nil:
		c.CreatedAt, c.Seq = old.CreatedAt, old.Seq
	case !errors.Is(err, ErrNotFound):
		return Collaborator{}, err
	}
	tx.touch(c.CollaboratorRef.Digest())
	return c, tx.w.PutCollaborator(c)
}

// Uninvite takes an invitation back.
func (tx *Tx) Uninvite(ref CollaboratorRef) error {
	c, err := tx.Collaborator(ref)
	if err != nil {
		return fmt.Errorf("collaborator %s: %w", ref.UserID, err)
	}
	return tx.uninvite(c)
}

func (tx *Tx) uninvite(c Collaborator) error {
	tx.touch(c.CollaboratorRef.Digest())
	return tx.w.DeleteCollaborator(c.CollaboratorRef)
}

func (tx *Tx) uninviteAll(list iter.Seq2[Collaborator, error]) error {
	for c, err := range list {
		if err != nil {
			return err
		}
		if err := tx.uninvite(c); err != nil {
			return err
		}
	}
	return nil
}

func checkUser(u User) error {
	return errors.Join(
		checkUserID("id", u.ID),
		checkText("name", u.Name, maxName),
		checkText("email", u.Email, maxEmail),
	)
}

func (tx *Tx) checkCredential(c Credential) error {
	if err := errors.Join(
		checkText("description", c.Description, maxDescription),
		checkGrant(c.Scopes, c.Endpoints),
	); err != nil {
		return err
	}
	if (c.Kind == policy.AppKey) != (c.AppID != "") {
		return invalid("apps", "an app key is tied to one app, every other credential to none")
	}
	return nil
}

// absent turns what a look-up found into an error.
func absent[T any](_ T, err error) error {
	switch {
	case err == nil:
		return ErrExists
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}
