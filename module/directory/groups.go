package directory

import (
	"context"
	"errors"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// A group is a user or an app: suspending or deleting it affects each of its
// credentials. An entry therefore counts only while the generations of its
// groups are also those from before its load, so that no change has to look for
// the credentials.
type group struct {
	slot       uint16
	generation uint64
}

// maxGroups is the number of groups of an app key or a collaborator: the user
// and the app.
const maxGroups = 2

// groups reads the generations of a user and an app. It comes before the
// transaction that reads what belongs to them.
func (d *Directory) groups(user, app credential.Digest) [maxGroups]group {
	of := func(digest credential.Digest) group { return group{slot(digest), d.generation(digest).Load()} }
	return [maxGroups]group{of(user), of(app)}
}

func (e *Entry) in(slot uint16) bool {
	for _, g := range e.groups {
		if g.slot == slot {
			return true
		}
	}
	return false
}

// read reads an entry of groups, in one transaction.
func (d *Directory) read(ctx context.Context, groups [maxGroups]group, read func(keys.Reader) (*Entry, error)) (e *Entry, err error) {
	err = d.store.View(ctx, func(r keys.Reader) error {
		e, err = read(r)
		return err
	})
	if err == nil {
		e.groups = groups
	}
	return e, err
}

// readCredential reads the entry of a credential. Its owner must be known
// before the transaction that reads the entry, and never changes.
func (d *Directory) readCredential(ctx context.Context, digest credential.Digest) (*Entry, error) {
	var owner keys.AppRef
	err := d.store.View(ctx, func(r keys.Reader) error {
		c, err := r.Credential(digest)
		owner = keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}
		if errors.Is(err, keys.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for {
		groups := d.groups(keys.UserGroup(owner.OwnerID), keys.AppGroup(owner))
		e, err := d.read(ctx, groups, func(r keys.Reader) (*Entry, error) { return d.loadCredential(r, digest) })
		if err != nil || !e.Exists() || e.caller.UserID == owner.OwnerID && e.caller.AppID == owner.AppID {
			return e, err
		}
		owner = keys.AppRef{OwnerID: e.caller.UserID, AppID: e.caller.AppID} // it was made meanwhile
	}
}
