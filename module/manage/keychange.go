package manage

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// newKey is what a request says of a key to be made.
type newKey struct {
	path       string
	kind       policy.Kind
	credential keys.Credential
	apps       []appRef
}

// appRef names an app in a body. Without an owner it is the user's of the
// path.
type appRef struct {
	path, id string
	userID   *string
}

func readAppRef(o *object) (appRef, error) {
	a := appRef{path: o.path}
	o.text("id", &a.id)
	a.userID = given(o.text, "user_id")
	return a, o.end()
}

func readNewKey(o *object) (newKey, error) {
	k := newKey{path: o.path, kind: policy.AppKey}
	c := &k.credential
	var kind string
	o.text("description", &c.Description)
	o.text("type", &kind)
	null := isNull(o.fields["scopes"])
	if !o.texts("scopes", &c.Scopes) || null {
		o.fail(refuse(CodeInvalid, o.field("scopes"), "it is missing; name those that the key is to have, or [] for a key that only opens routes without scopes"))
	}
	o.texts("endpoints", &c.Endpoints)
	for _, in := range o.objects("apps") {
		a, err := readAppRef(in)
		if err != nil {
			o.fail(err)
		}
		k.apps = append(k.apps, a)
	}
	o.time("expires_at", &c.ExpiresAt)
	switch kind {
	case "", TypeAppKey:
		if len(k.apps) != 1 || k.apps[0].id == "" {
			o.fail(refuse(CodeInvalid, o.field("apps"), `name the one app that the key is for, as [{"id":"…"}], or make it a %s`, TypePAT))
		}
	case TypePAT:
		k.kind = policy.PAT
		if len(k.apps) != 0 {
			o.fail(refuse(CodeInvalid, o.field("apps"), "a %s is tied to no app; leave them out, or make it an %s", TypePAT, TypeAppKey))
		}
	default:
		o.fail(refuse(CodeInvalid, o.field("type"), "it has to be %s or %s", TypeAppKey, TypePAT))
	}
	return k, o.err
}

func (r *request) createKeys() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	list, err := elements(o, "keys", readNewKey)
	if err == nil {
		err = o.end()
	}
	if err != nil {
		return nil, err
	}
	answer := &Answer{}
	err = r.update(func(tx *keys.Tx) error {
		answer.Keys = nil
		var made []keys.Credential
		if _, err := r.findUser(tx); err != nil {
			return err
		}
		for _, k := range list {
			c, err := r.fillIn(tx, k)
			if err != nil {
				return err
			}
			key, c, err := r.mint(tx, c)
			if err != nil {
				return locate(k.path, err)
			}
			answer.Keys = append(answer.Keys, key)
			made = append(made, c)
		}
		answer.Status.Details, err = r.warnings(tx, made...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// fillIn makes the credential of a key to be made, and checks what depends on
// others: its app and its scopes.
func (r *request) fillIn(tx *keys.Tx, k newKey) (keys.Credential, error) {
	c := k.credential
	c.Kind, c.UserID = k.kind, r.user()
	if k.kind == policy.AppKey {
		app := k.apps[0]
		if err := r.ownedBy(app.userID, app.path); err != nil {
			return c, err
		}
		_, err := tx.App(keys.AppRef{OwnerID: r.user(), AppID: app.id})
		if errors.Is(err, keys.ErrNotFound) {
			return c, refuse(CodeNotFound, join(app.path, "id"), "this user has no such app")
		}
		if err != nil {
			return c, err
		}
		c.AppID = app.id
	}
	field := join(k.path, "scopes")
	if err := r.api.checkGrantable(field, c.Scopes, nil); err != nil {
		return c, err
	}
	if err := r.api.checkComplete(field, c.Scopes); err != nil {
		return c, err
	}
	if err := r.api.checkEndpoints(join(k.path, "endpoints"), c.Endpoints, nil); err != nil {
		return c, err
	}
	return c, r.delegable(k.path, &c)
}

// keyChange is what a PATCH says of a key. What is nil stays.
type keyChange struct {
	grantChange
	id          string
	description *string
	disabled    *bool
	expiresAt   *time.Time
	version     *uint64
}

func readKeyChange(o *object) (keyChange, error) {
	var k keyChange
	o.text("id", &k.id)
	k.description = given(o.text, "description")
	k.disabled = given(o.flag, "disabled")
	k.expiresAt = given(o.time, "expires_at")
	k.version = given(o.number, "version")
	k.grantChange = readGrantChange(o, "key")
	if k.id == "" {
		o.fail(refuse(CodeInvalid, o.field("id"), "it is missing; name the key that is to change"))
	}
	return k, o.err
}

// onlyDisables reports whether all that is asked is that the key is refused.
func (k *keyChange) onlyDisables() bool {
	return k.disabled != nil && *k.disabled && k.description == nil && k.expiresAt == nil && !k.givesScopes && !k.givesEndpoints
}

func (r *request) changeKeys() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	list, err := elements(o, "keys", readKeyChange)
	if err != nil {
		return nil, err
	}
	act, err := o.action()
	if err != nil {
		return nil, err
	}
	takesAway, err := r.narrowsKeys(list, act)
	if err != nil {
		return nil, err
	}
	var changed []keys.Credential
	err = r.changeBy(takesAway, func(tx *keys.Tx) error {
		changed = nil
		var once onceEach
		for _, k := range list {
			field := join(k.path, "id")
			c, err := r.findKeyInBody(tx, k.id, field)
			if err == nil {
				err = once.add(field, c.ID)
			}
			if err != nil {
				return err
			}
			c, err = tx.ChangeCredential(c.ID, func(c *keys.Credential) error {
				if err := sameVersion(k.path, k.version, c.Version); err != nil {
					return err
				}
				if err := r.api.change(c, k, act); err != nil {
					return err
				}
				if k.onlyDisables() {
					return nil // that grants nothing, whatever the key could do
				}
				return r.delegable(k.path, c)
			})
			if err != nil {
				return locate(k.path, err)
			}
			changed = append(changed, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Keys: show(changed, showKey)}, nil
}

// change applies a change to a key.
func (a *API) change(c *keys.Credential, k keyChange, act action) error {
	set(&c.Description, k.description)
	set(&c.Disabled, k.disabled)
	set(&c.ExpiresAt, k.expiresAt)
	return a.changeGrant(&c.Scopes, &c.Endpoints, k.grantChange, act)
}
