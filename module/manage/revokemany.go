package manage

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxRevokedIDs bounds the ids in an answer. All are revoked, however many.
const maxRevokedIDs = 10_000

// revocation says which of a user's keys are to be revoked: those that all of
// it applies to.
type revocation struct {
	appID         string
	createdBefore time.Time
	mintedBy      string
	all           bool
}

// readRevocation refuses a request that says nothing. All of a user's keys are
// too much for what may be a mistake, so that has to be said.
func readRevocation(o *object) (revocation, error) {
	var v revocation
	o.text("app_id", &v.appID)
	o.time("created_before", &v.createdBefore)
	o.text("minted_by", &v.mintedBy)
	o.flag("all", &v.all)
	some := v.appID != "" || !v.createdBefore.IsZero() || v.mintedBy != ""
	switch {
	case o.err != nil:
	case !some && !v.all:
		o.fail(refuse(CodeInvalid, "", `say which keys: app_id, created_before, minted_by, or "all":true for every key of the user`))
	case some && v.all:
		o.fail(refuse(CodeInvalid, o.field("all"), "it stands alone: leave it out, or what would limit it"))
	}
	return v, o.end()
}

// revokeMany revokes those of a user's keys that a request describes, all in
// one transaction. The credential of the call is revoked with them where it is
// one of them. Sessions are no keys, and stay.
func (r *request) revokeMany() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	which, err := readRevocation(o)
	if err != nil {
		return nil, err
	}
	var revoked []string
	err = r.update(func(tx *keys.Tx) error {
		chosen, err := r.chosen(tx, which)
		if err != nil {
			return err
		}
		revoked, err = tx.RevokeWhere(r.user(), "revoked with others", chosen)
		return err
	})
	if err != nil {
		return nil, err
	}
	count := len(revoked)
	return &Answer{Count: &count, KeyIDs: revoked[:min(count, maxRevokedIDs)]}, nil
}

func (r *request) chosen(tx *keys.Tx, which revocation) (func(*keys.Credential) bool, error) {
	if _, err := r.findUser(tx); err != nil {
		return nil, err
	}
	if which.appID != "" {
		_, err := tx.App(keys.AppRef{OwnerID: r.user(), AppID: which.appID})
		if errors.Is(err, keys.ErrNotFound) {
			return nil, refuse(CodeNotFound, "app_id", "this user has no such app")
		}
		if err != nil {
			return nil, err
		}
	}
	minted := func(*keys.Credential) bool { return true }
	if which.mintedBy != "" {
		minter, err := r.publicID(tx, which.mintedBy)
		if err != nil {
			return nil, err
		}
		if minted, err = mintedBy(tx, r.user(), minter); err != nil {
			return nil, err
		}
	}
	return func(c *keys.Credential) bool {
		return isKey(*c) && (which.appID == "" || c.AppID == which.appID) &&
			(which.createdBefore.IsZero() || c.CreatedAt.Before(which.createdBefore)) && minted(c)
	}, nil
}

// publicID is the public id of a credential that a body names by that or by
// its whole text. It may be revoked, and a session; another user's is not
// known.
func (r *request) publicID(from keys.Reader, named string) (string, error) {
	digest := keys.DigestOf(named)
	c, err := from.Credential(digest)
	if err == nil && r.mayKnow(c.UserID) {
		return c.ID, nil
	}
	stone, err2 := from.Tombstone(digest)
	if err2 == nil && r.mayKnow(stone.UserID) {
		return stone.ID, nil
	}
	for _, err := range []error{err, err2} {
		if err != nil && !errors.Is(err, keys.ErrNotFound) {
			return "", err
		}
	}
	if !keys.IsPublicID(named) {
		return "", refuse(CodeInvalid, "minted_by", "it is neither the public id of a key, which looks like cap_0123456789AB, nor the whole text of one that is known here")
	}
	return named, nil
}

// mintedBy finds what a credential made, and what that made in turn: a leaked
// one would cover its traces by making another that makes a third, and by
// revoking the second. Tombstones tell of those too.
func mintedBy(from keys.Reader, user, minter string) (func(*keys.Credential) bool, error) {
	makers := map[string]string{}
	for c, err := range from.Credentials(user, 0) {
		if err != nil {
			return nil, err
		}
		makers[c.ID] = c.CreatedBy
	}
	descends := map[string]bool{minter: true}
	for id := range makers {
		var line []string
		found := false
		for at := id; ; {
			known, seen := descends[at]
			if seen {
				found = known
				break
			}
			// Before it is known: a line can't come back to where it was,
			// but a damaged store must not keep others waiting for good.
			descends[at] = false
			line = append(line, at)
			maker, living := makers[at]
			if !living {
				stone, err := from.TombstoneByID(at)
				if errors.Is(err, keys.ErrNotFound) {
					break // the operator, or a session that has ended
				}
				if err != nil {
					return nil, err
				}
				maker = stone.CreatedBy
			}
			at = maker
		}
		for _, at := range line {
			descends[at] = found
		}
	}
	return func(c *keys.Credential) bool { return c.ID != minter && descends[c.ID] }, nil
}
