package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Actor is who makes a change.
type Actor struct {
	// ID is the public id of the credential that is used, or [Operator].
	ID string
	// UserID is who holds it; empty for the operator.
	UserID string
	// Address is where the request came from, without the port; empty where
	// there was none.
	Address string
}

// Tx is a change under way: all of it is written, or nothing. It reads what it
// has written itself.
type Tx struct {
	Reader
	w     Writer
	now   time.Time
	actor Actor
	// touched are the digests whose entries the change makes stale, and groups
	// those of the users and apps whose every entry it does.
	touched, groups []Digest
	// deleting says that the change began a deletion that isn't finished.
	deleting bool
	// clock is what the clock says, which now may be ahead of. It is zero
	// where nothing is issued.
	clock  time.Time
	limits Limits
}

// Update makes a change. It returns once the change is durable and in effect:
// no request that begins later is decided by what was before, and live
// requests that are refused now have been told to end. If fn returns an error,
// nothing is written, nor where the clock is far ahead of the newest write.
//
// A user has one change in line, and others behind it; where those are too
// many it returns [ErrCrowded].
func (d *Directory) Update(ctx context.Context, actor Actor, fn func(*Tx) error) error {
	return d.update(ctx, ordinary, actor, fn)
}

// UpdateFirst is [Directory.Update] for a change that takes something away: it
// revokes, disables, narrows, suspends or deletes. It goes before every
// ordinary change that waits, and the operator's goes before all others.
func (d *Directory) UpdateFirst(ctx context.Context, actor Actor, fn func(*Tx) error) error {
	if actor.UserID == "" {
		return d.update(ctx, operatorRevocation, actor, fn)
	}
	return d.update(ctx, revocation, actor, fn)
}

func (d *Directory) update(ctx context.Context, r rank, actor Actor, fn func(*Tx) error) error {
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

// Now is the time of the change.
func (tx *Tx) Now() time.Time { return tx.now }

// issues returns an error where now is too far ahead of the clock for anything
// to begin that ends after a while.
func (tx *Tx) issues() error {
	if tx.clock.IsZero() {
		return nil
	}
	return clockBehind(tx.clock, tx.now)
}

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
	if err := tx.emailIsFree(u); err != nil {
		return User{}, err
	}
	u.CreatedAt, u.ModifiedAt, u.Version, u.Seq = tx.now, tx.now, 1, 0
	if err := tx.w.PutUser(u); err != nil {
		return User{}, err
	}
	return u, tx.record(ActionUserCreate, Subject{UserID: u.ID}, nil, factsOfUser(u))
}

// errEmailTaken is returned where another user has the e-mail address.
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

// ChangeUser changes a user. Suspending one takes effect on all its
// credentials; another password or second factor ends its sessions, but for
// the one that the change is made with.
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
			after[name] = "changed" // what it was and is stays out of the log
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

// DeleteUser deletes a user with its apps and collaborations, and revokes its
// credentials. None of them is good once the change is made; where they are
// many, their records are taken away afterwards.
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
// of them is good once the change is made; where they are many, their records
// are taken away afterwards.
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
