package manage

import (
	"errors"
	"net/netip"
	"reflect"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// view reads the store, in one short transaction.
func (r *request) view(fn func(keys.Reader) error) error {
	return r.api.Directory.View(r.Context(), func(from keys.Reader) error {
		if err := r.mayOperate(from); err != nil {
			return err
		}
		return fn(from)
	})
}

// update makes a change completely or not at all. The change is in effect when
// update returns. It checks the caller's credential again. If that was revoked
// during the call, it can't make keys any more, because they would outlive the
// revocation of everything made with it. If it was narrowed, it may no longer grant
// the call.
func (r *request) update(fn func(*keys.Tx) error) error {
	return r.api.Directory.Update(r.Context(), r.caller.actor(), r.checked(fn))
}

// withdraw is update for a change that revokes or restricts. It runs before changes
// that don't.
func (r *request) withdraw(fn func(*keys.Tx) error) error {
	return r.api.Directory.UpdateFirst(r.Context(), r.caller.actor(), r.checked(fn))
}

// changeBy is withdraw or update.
func (r *request) changeBy(first bool, fn func(*keys.Tx) error) error {
	if first {
		return r.withdraw(fn)
	}
	return r.update(fn)
}

func (r *request) checked(fn func(*keys.Tx) error) func(*keys.Tx) error {
	return func(tx *keys.Tx) error {
		if err := r.stillGood(tx); err != nil {
			return err
		}
		return fn(tx)
	}
}

// stillThere refuses a call whose credential was revoked during the call.
func (r *request) stillThere(from keys.Reader) error {
	if r.caller.UserID == "" {
		return nil
	}
	_, err := from.Credential(r.caller.Digest)
	if errors.Is(err, keys.ErrNotFound) {
		return refuse(CodeKeyUnknown, "", "the credential of this call was revoked during the call; nothing was changed")
	}
	return err
}

// stillGood checks the caller's credential again, in the transaction of the change.
func (r *request) stillGood(tx *keys.Tx) error {
	if r.caller.UserID == "" {
		return nil
	}
	if err := r.mayOperate(tx); err != nil {
		return err
	}
	if err := r.stillThere(tx); err != nil {
		return err
	}
	own, err := tx.Credential(r.caller.Digest)
	if err != nil {
		return err
	}
	u, err := tx.User(own.UserID)
	if err != nil {
		return err
	}
	grant := policy.NewGrant(own.Scopes, own.Endpoints)
	if own.Kind != policy.Session && !reflect.DeepEqual(grant, r.caller.Grant) {
		return refuse(CodeConflict, "", "the scopes or endpoints of this call's credential changed during the call, so nothing was changed; send the request again")
	}
	if own.Addresses != nil {
		// A text that isn't an address gives the zero Addr, which is in no list.
		if from, _ := netip.ParseAddr(r.caller.Address); !own.Addresses.Contains(from) {
			return refuse(CodeKeyInvalid, "", "the credential of this call can't be used from its address any more; nothing was changed")
		}
	}
	if own.Standing(u.Suspended, tx.Now()) != keys.Active {
		return refuse(CodeKeyInvalid, "", "the credential of this call is no longer valid; nothing was changed")
	}
	if !r.caller.byRole() {
		r.own = &own
	}
	return nil
}
