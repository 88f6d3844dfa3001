package manage

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// newKey is a key that a request creates.
type newKey struct {
	path       string
	kind       policy.Kind
	credential keys.Credential
	bounds     bounds
	apps       []appRef
}

// appRef names an app in a body. Without an owner, the app belongs to the user of
// the path.
type appRef struct {
	path, id string
	userID   *string
}

func readAppRef(o *object) appRef {
	a := appRef{path: o.path}
	o.text("id", &a.id)
	a.userID = given(o.text, "user_id")
	return a
}

func readNewKey(o *object) newKey {
	k := newKey{path: o.path}
	c := &k.credential
	var kind string
	o.text("description", &c.Description)
	o.text("type", &kind)
	null := isNull(o.fields["scopes"])
	if !o.texts("scopes", &c.Scopes) || null {
		o.fail(refuse(CodeInvalid, o.field("scopes"), "it is missing; list the key's scopes, or [] for routes without scopes only"))
	}
	o.texts("endpoints", &c.Endpoints)
	for _, in := range o.objects("apps") {
		k.apps = append(k.apps, readAppRef(in))
		o.endOf(in)
	}
	o.time("expires_at", &c.ExpiresAt)
	k.bounds = newBounds(o)
	k.readType(o, kind)
	return k
}

// readType reads the type of a key, whose apps were read.
func (k *newKey) readType(o *object, kind string) {
	switch kind {
	case "", TypeAppKey:
		k.kind = policy.AppKey
		if len(k.apps) != 1 || k.apps[0].id == "" {
			o.fail(refuse(CodeInvalid, o.field("apps"), `name the key's one app, such as [{"id":"…"}], or make the key a %s`, TypePAT))
		}
	case TypePAT:
		k.kind = policy.PAT
		if len(k.apps) != 0 {
			o.fail(refuse(CodeInvalid, o.field("apps"), "a %s has no app; leave the apps out, or make the key an %s", TypePAT, TypeAppKey))
		}
	default:
		o.fail(refuse(CodeInvalid, o.field("type"), "it has to be %s or %s", TypeAppKey, TypePAT))
	}
}

func (r *request) createKeys(tx *keys.Tx, list []newKey) (*Answer, error) {
	if _, err := r.findUser(tx); err != nil {
		return nil, err
	}
	answer := &Answer{}
	var made []keys.Credential
	for _, k := range list {
		c, err := r.fillIn(tx, k)
		if err != nil {
			return nil, err
		}
		key, c, err := r.mint(tx, c)
		if err != nil {
			return nil, locate(k.path, err)
		}
		answer.Keys = append(answer.Keys, key)
		made = append(made, c)
	}
	var err error
	answer.Status.Details, err = r.warnings(tx, made...)
	return answer, err
}

// fillIn completes the credential of a new key, and checks its app, scopes,
// endpoints and bounds.
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
	if err := r.api.changeBounds(&c, &k.bounds, overwrite); err != nil {
		return c, err
	}
	return c, r.delegable(k.path, &c)
}
