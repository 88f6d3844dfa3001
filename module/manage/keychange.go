package manage

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// keyChange is the change of one key in a PATCH. A nil field stays unchanged.
type keyChange struct {
	grantChange
	bounds      bounds
	id          string
	description *string
	disabled    *bool
	expiresAt   *time.Time
	version     *uint64
}

func readKeyChange(o *object) keyChange {
	var k keyChange
	o.text("id", &k.id)
	k.description = given(o.text, "description")
	k.disabled = given(o.flag, "disabled")
	k.expiresAt = given(o.time, "expires_at")
	k.version = given(o.number, "version")
	k.grantChange = readGrantChange(o, "key")
	k.bounds = changedBounds(o)
	if k.id == "" {
		o.fail(refuse(CodeInvalid, o.field("id"), "it is missing; name the key to change"))
	}
	return k
}

// onlyDisables reports whether the change disables the key and nothing else.
func (k *keyChange) onlyDisables() bool {
	return k.disabled != nil && *k.disabled && k.description == nil && k.expiresAt == nil && !k.givesScopes && !k.givesEndpoints && !k.bounds.given()
}

// keyChanges are the changes of one PATCH.
type keyChanges struct {
	list   []keyChange
	action action
}

func readKeyChanges(o *object) keyChanges {
	return keyChanges{elements(o, "keys", readKeyChange), o.action()}
}

func (r *request) changeKeys(tx *keys.Tx, in keyChanges) (*Answer, error) {
	answer := &Answer{}
	var once onceEach
	for _, k := range in.list {
		field := join(k.path, "id")
		c, err := r.findKeyInBody(tx, k.id, field)
		if err == nil {
			err = once.add(field, c.ID)
		}
		if err != nil {
			return nil, err
		}
		c, err = tx.ChangeCredential(c.ID, func(c *keys.Credential) error {
			if err := sameVersion(k.path, k.version, c.Version); err != nil {
				return err
			}
			if err := r.api.change(c, k, in.action); err != nil {
				return err
			}
			if k.onlyDisables() {
				return nil // disabling grants nothing
			}
			return r.delegable(k.path, c)
		})
		if err != nil {
			return nil, locate(k.path, err)
		}
		answer.Keys = append(answer.Keys, showKey(c))
	}
	return answer, nil
}

// change applies a change to a key.
func (a *API) change(c *keys.Credential, k keyChange, act action) error {
	set(&c.Description, k.description)
	set(&c.Disabled, k.disabled)
	set(&c.ExpiresAt, k.expiresAt)
	if err := a.changeBounds(c, &k.bounds, act); err != nil {
		return err
	}
	return a.changeGrant(&c.Scopes, &c.Endpoints, k.grantChange, act)
}
