package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Actor identifies who makes a change.
type Actor struct {
	// ID is the key ID of the credential in use, or [Operator].
	ID string
	// UserID is the holder of the credential, empty for the operator.
	UserID string
	// Address is the client's address without the port, empty if there was no
	// request.
	Address string
}

// Tx is a change in progress. It is written as a whole or not at all, and it
// reads its own writes.
type Tx struct {
	Reader
	w     Writer
	now   time.Time
	actor Actor
	// touched are the digests whose entries the change makes stale. groups are
	// the digests of users and apps all of whose entries it makes stale.
	touched, groups []Digest
	// removed counts the records of deleted users and apps that the change
	// removed.
	removed int
	// ended are the sessions that earlier steps of the change ended.
	ended []Credential
	// deleting is true if the change began a deletion that isn't finished.
	deleting bool
	// clock is the time by the clock; now may be ahead of it. It is zero if the
	// change issues nothing.
	clock  time.Time
	limits Limits
}

// Update makes a change. It returns once the change is durable and in effect:
// no request that begins later is decided by an older revision, and live
// requests that are now refused have been told to end. Nothing is written if fn
// returns an error or the clock is far ahead of the newest write.
//
// The changes of one user wait behind each other. If too many wait, Update
// returns [ErrCrowded].
func (d *Directory) Update(ctx context.Context, actor Actor, fn func(*Tx) error) error {
	return d.update(ctx, ordinary, actor, fn)
}

// UpdateFirst is like [Directory.Update] for a change that revokes, disables,
// narrows, suspends or deletes. It goes before every waiting ordinary change,
// and the operator's goes before all others.
func (d *Directory) UpdateFirst(ctx context.Context, actor Actor, fn func(*Tx) error) error {
	if actor.UserID == "" {
		return d.update(ctx, operatorRevocation, actor, fn)
	}
	return d.update(ctx, revocation, actor, fn)
}

// update makes a change in as many steps as its sessions take.
func (d *Directory) update(ctx context.Context, r rank, actor Actor, fn func(*Tx) error) error {
	var ended []Credential
	for {
		err := d.updateOnce(ctx, r, actor, func(tx *Tx) error {
			tx.ended = ended
			return fn(tx)
		})
		left, ok := errors.AsType[*SessionsLeft](err)
		if !ok {
			return err
		}
		var some []Credential
		err = d.updateOnce(ctx, r, actor, func(tx *Tx) (err error) {
			some, err = left.End(tx)
			return err
		})
		if err != nil {
			return err
		}
		ended = append(ended, some...)
	}
}

func (d *Directory) updateOnce(ctx context.Context, r rank, actor Actor, fn func(*Tx) error) error {
	deleting := false
	err := d.write(ctx, r, actor.UserID, func(w Writer, clock time.Time) error {
		tx := &Tx{Reader: w, w: w, now: d.Now(), actor: actor, clock: clock, limits: *d.limits.Load()}
		if err := fn(tx); err != nil {
			return err
		}
		w.Touch(tx.now, tx.touched...)
		w.TouchGroups(tx.groups...)
		deleting = tx.deleting
		return nil
	})
	if err == nil && deleting {
		d.finishSoon()
	}
	return err
}

// Now returns the time of the change.
func (tx *Tx) Now() time.Time { return tx.now }

// issues returns an error if now is too far ahead of the clock to issue
// anything with a limited lifetime.
func (tx *Tx) issues() error {
	if tx.clock.IsZero() {
		return nil
	}
	return clockBehind(tx.clock, tx.now)
}

func (tx *Tx) touch(digests ...Digest) { tx.touched = append(tx.touched, digests...) }

// CreateUser adds a user. The IDs of deleted users are never used again.
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
	if err := tx.emailIsFree(u); err != nil {
		return User{}, err
	}
	u.CreatedAt, u.ModifiedAt, u.Version, u.Seq = tx.now, tx.now, 1, 0
	if err := tx.w.PutUser(u); err != nil {
		return User{}, err
	}
	return u, tx.record(ActionUserCreate, Subject{UserID: u.ID}, nil, factsOfUser(u))
}

// errEmailTaken is returned if another user has the e-mail address.
var errEmailTaken = invalid("email", "another user has this address; give each their own")

func (tx *Tx) emailIsFree(u User) error {
	if u.Email == "" {
		return nil
	}
	switch other, err := tx.UserByEmail(u.Email); {
	case errors.Is(err, ErrNotFound) || err == nil && other.ID == u.ID:
		return nil
	case err != nil:
		return err
	}
	return errEmailTaken
}

// ChangeUser changes a user. Suspending a user affects all their credentials. A
// new password or second factor ends their sessions, except the session that
// makes the change.
func (tx *Tx) ChangeUser(id string, change func(*User) error) (User, error) {
	old, err := tx.User(id)
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", id, err)
	}
	u := old
	u.TwoFactor.RecoveryCodes = slices.Clone(old.TwoFactor.RecoveryCodes)
	if err := change(&u); err != nil {
		return User{}, err
	}
	u.ID, u.CreatedAt, u.Seq = old.ID, old.CreatedAt, old.Seq
	u.ModifiedAt, u.Version = tx.now, old.Version+1
	if err := checkUser(u); err != nil {
		return User{}, err
	}
	if err := tx.emailIsFree(u); err != nil {
		return User{}, err
	}
	before, after := factsOfUser(old), factsOfUser(u)
	signsInOtherwise := false
	for name, changed := range map[string]bool{
		"password":       u.PasswordHash != old.PasswordHash,
		"secret":         u.TwoFactor.Secret != old.TwoFactor.Secret && old.TwoFactor.Enabled,
		"recovery_codes": !slices.Equal(u.TwoFactor.RecoveryCodes, old.TwoFactor.RecoveryCodes),
	} {
		if changed {
			after[name] = "changed" // the log holds neither the old value nor the new one
			signsInOtherwise = signsInOtherwise || name != "recovery_codes"
		}
	}
	if u.Suspended != old.Suspended {
		tx.groups = append(tx.groups, groupOfUser(id))
	}
	if err := tx.w.PutUser(u); err != nil {
		return User{}, err
	}
	if err := tx.record(ActionUserChange, Subject{UserID: id}, before, after); err != nil {
		return User{}, err
	}
	if signsInOtherwise || u.TwoFactor.Enabled != old.TwoFactor.Enabled {
		_, err = tx.EndSessions(id, "signs in otherwise", func(c *Credential) bool { return c.ID != tx.actor.ID })
	}
	return u, err
}

// DeleteUser deletes a user with their apps and their records as a
// collaborator, and revokes their credentials. None of these is valid after the
// change. If there are many, their records are removed later.
func (tx *Tx) DeleteUser(id string) error {
	u, err := tx.User(id)
	if err != nil {
		return fmt.Errorf("user %s: %w", id, err)
	}
	if err := tx.w.DeleteUser(id); err != nil {
		return err
	}
	if err := tx.w.RetireUser(id); err != nil {
		return err
	}
	tx.groups = append(tx.groups, groupOfUser(id))
	if err := tx.beginDeletion(AppRef{OwnerID: id}); err != nil {
		return err
	}
	return tx.record(ActionUserDelete, Subject{UserID: id}, factsOfUser(u), nil)
}

// CreateApp adds an app.
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
	switch _, err := tx.Deletion(a.AppRef); {
	case err == nil:
		return App{}, fmt.Errorf("app %s: %w", a.AppID, ErrDeleting)
	case !errors.Is(err, ErrNotFound):
		return App{}, err
	}
	if err := tx.roomForApp(a.OwnerID); err != nil {
		return App{}, err
	}
	a.CreatedAt, a.ModifiedAt, a.Version, a.Seq = tx.now, tx.now, 1, 0
	if err := tx.w.PutApp(a); err != nil {
		return App{}, err
	}
	return a, tx.record(ActionAppCreate, Subject{UserID: a.OwnerID, AppID: a.AppID}, nil, factsOfApp(a))
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
	a.AppRef, a.CreatedAt, a.Seq = old.AppRef, old.CreatedAt, old.Seq
	a.ModifiedAt, a.Version = tx.now, old.Version+1
	if err := checkText("name", a.Name, maxName); err != nil {
		return App{}, err
	}
	if err := tx.w.PutApp(a); err != nil {
		return App{}, err
	}
	return a, tx.record(ActionAppChange, Subject{UserID: ref.OwnerID, AppID: ref.AppID}, factsOfApp(old), factsOfApp(a))
}

// DeleteApp deletes an app with its collaborators, and revokes its keys. None
// of these is valid after the change. If there are many, their records are
// removed later.
func (tx *Tx) DeleteApp(ref AppRef) error {
	a, err := tx.App(ref)
	if err != nil {
		return fmt.Errorf("app %s: %w", ref.AppID, err)
	}
	if err := tx.w.DeleteApp(ref); err != nil {
		return err
	}
	tx.groups = append(tx.groups, groupOfApp(ref))
	if err := tx.beginDeletion(ref); err != nil {
		return err
	}
	return tx.record(ActionAppDelete, Subject{UserID: ref.OwnerID, AppID: ref.AppID}, factsOfApp(a), nil)
}

func checkUser(u User) error {
	return errors.Join(
		checkUserID("id", u.ID),
		checkText("name", u.Name, maxName),
		checkEmail("email", u.Email),
	)
}

// absent turns the result of a look-up into an error if a record was found.
func absent[T any](_ T, err error) error {
	switch {
	case err == nil:
		return ErrExists
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}
