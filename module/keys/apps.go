package keys

import (
	"errors"
	"fmt"
)

// CreateApp adds an app.
func (tx *Tx) CreateApp(a App) (App, error) {
	if err := errors.Join(CheckID("id", a.AppID), checkText("name", a.Name, maxName), checkPlan(a.Plan)); err != nil {
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
	if err := errors.Join(checkText("name", a.Name, maxName), checkPlan(a.Plan)); err != nil {
		return App{}, err
	}
	if a.Plan != old.Plan {
		tx.groups = append(tx.groups, AppGroup(ref))
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
	tx.groups = append(tx.groups, AppGroup(ref))
	if err := tx.beginDeletion(ref); err != nil {
		return err
	}
	return tx.record(ActionAppDelete, Subject{UserID: ref.OwnerID, AppID: ref.AppID}, factsOfApp(a), nil)
}
