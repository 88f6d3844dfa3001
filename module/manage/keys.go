package manage

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The types of key, in Clarifai's words. Only the verification of a credential
// shows sessions.
const (
	TypeAppKey  = "app_specific_key"
	TypePAT     = "personal_access_token"
	TypeSession = "session_token"
)

var types = map[policy.Kind]string{policy.AppKey: TypeAppKey, policy.PAT: TypePAT, policy.Session: TypeSession}

// Key is a credential in the API's form.
type Key struct {
	// ID is the key ID, or the whole credential in the answer to a create or a
	// rotate.
	ID          string   `json:"id"`
	KeyID       string   `json:"key_id"`
	Type        string   `json:"type"`
	UserID      string   `json:"user_id"`
	Description string   `json:"description"`
	Scopes      []string `json:"scopes"`
	// Endpoints is empty for all endpoints.
	Endpoints []string `json:"endpoints"`
	// Plan and Limits limit the key, in addition to the plans of its app and its
	// user.
	Plan   string        `json:"plan,omitempty"`
	Limits policy.Limits `json:"limits,omitzero"`
	// Addresses are the networks that the key may be used from. Nil is any address.
	Addresses []string `json:"addresses,omitzero"`
	// Resources are the values of resources that the key may address.
	Resources policy.Values `json:"resources,omitzero"`
	Apps      []KeyApp      `json:"apps"`
	Disabled  bool          `json:"disabled"`
	// CreatedAt is absent for a key that was revoked before it was recorded.
	CreatedAt  time.Time  `json:"created_at,omitzero"`
	ModifiedAt time.Time  `json:"modified_at"`
	CreatedBy  string     `json:"created_by"`
	ExpiresAt  *time.Time `json:"expires_at"`
	// LastUsedAt is the minute of the last use, and LastUsedFrom its address. Lists
	// and single keys show them for used keys. A server that is killed loses the
	// uses of at most a minute.
	LastUsedAt   *time.Time `json:"last_used_at,omitempty"`
	LastUsedFrom string     `json:"last_used_from,omitempty"`
	// RotatedFrom is the key ID of the key that this one replaces, and RotatedTo that
	// of the key that replaces this one.
	RotatedFrom string `json:"rotated_from,omitempty"`
	RotatedTo   string `json:"rotated_to,omitempty"`
	// RevokedAt, RevokedBy and RevokedReason are set only in a list of revoked keys.
	// RevokedBy is like CreatedBy.
	RevokedAt     *time.Time `json:"revoked_at,omitempty"`
	RevokedBy     string     `json:"revoked_by,omitempty"`
	RevokedReason string     `json:"revoked_reason,omitempty"`
	// OwnerSuspended is set if the owner is suspended, so that the key is refused.
	// Only the list of the keys of all users has it.
	OwnerSuspended bool `json:"owner_suspended,omitempty"`
	// Version counts the changes. A change that gives a version is refused if the
	// key has another version by then.
	Version uint64 `json:"version"`
}

// KeyApp names the app that a key is tied to.
type KeyApp struct {
	ID     string `json:"id"`
	UserID string `json:"user_id"`
}

func showKey(c keys.Credential) Key {
	k := Key{
		ID: c.ID, KeyID: c.ID, Type: types[c.Kind], UserID: c.UserID, Description: c.Description,
		Scopes: append([]string{}, c.Scopes...), Endpoints: append([]string{}, c.Endpoints...),
		Plan: c.Plan, Limits: c.Limits, Addresses: c.Addresses.Texts(), Resources: c.Resources,
		Apps: []KeyApp{}, Disabled: c.Disabled, CreatedBy: c.CreatedBy, Version: c.Version,
		CreatedAt: c.CreatedAt.UTC(), ModifiedAt: c.ModifiedAt.UTC(), RotatedFrom: c.RotatedFrom, RotatedTo: c.RotatedTo,
	}
	if c.AppID != "" {
		k.Apps = append(k.Apps, KeyApp{ID: c.AppID, UserID: c.UserID})
	}
	if !c.ExpiresAt.IsZero() {
		at := c.ExpiresAt.UTC()
		k.ExpiresAt = &at
	}
	return k
}

// isKey reports whether a credential is a key: sessions have their own calls.
func isKey(c keys.Credential) bool { return c.Kind != policy.Session }

// mint makes a key. Only the returned Key shows the whole credential.
func (r *request) mint(tx *keys.Tx, c keys.Credential) (Key, keys.Credential, error) {
	text, id := credential.Mint(r.api.Brand, c.Kind)
	c.ID, c.Digest = id, credential.DigestOf(text)
	c, err := tx.CreateCredential(c)
	if err != nil {
		return Key{}, c, err
	}
	k := showKey(c)
	k.ID = text
	return k, c, nil
}

// findKey reads the key with a key ID. It has to be a key of the user of the path,
// or of any user if the path names none. field is the field with the ID.
func (r *request) findKey(from keys.Reader, id, field string) (keys.Credential, error) {
	return r.ownKey(field)(from.CredentialByID(id))
}

// findKeyInBody is findKey for an ID in a body, which may also be a whole
// credential.
func (r *request) findKeyInBody(from keys.Reader, id, field string) (keys.Credential, error) {
	c, err := r.findKey(from, id, field)
	if !isNotFound(err) {
		return c, err
	}
	return r.ownKey(field)(from.Credential(credential.DigestOf(id)))
}

// findKeyInPath is findKey for the ID in the path. It looks the text up as a
// credential too, because the form of one that was minted elsewhere doesn't reveal
// it.
func (r *request) findKeyInPath(from keys.Reader) (keys.Credential, error) {
	id := r.vars["key_id"]
	c, err := r.findKey(from, id, "key_id")
	if isNotFound(err) {
		if whole, absent := from.Credential(credential.DigestOf(id)); absent == nil && r.mayKnow(whole.UserID) {
			return c, credentialInPath("key_id")
		}
	}
	return c, err
}

// mayKnow reports whether the caller may learn that a text is or was a
// credential of a user.
func (r *request) mayKnow(userID string) bool { return r.caller.Operator || userID == r.user() }

// ownKey checks that a lookup found a key of the user. Its refusal reveals neither
// that a session exists nor that another user's key does.
func (r *request) ownKey(field string) func(keys.Credential, error) (keys.Credential, error) {
	return func(c keys.Credential, err error) (keys.Credential, error) {
		switch {
		case errors.Is(err, keys.ErrNotFound),
			err == nil && (!isKey(c) || r.user() != "" && c.UserID != r.user()):
			return keys.Credential{}, refuse(CodeNotFound, field, "there is no such key, or it was revoked")
		}
		return c, err
	}
}

func isNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeNotFound
}

func (r *request) getKey(from keys.Reader) (*Answer, error) {
	c, err := r.findKeyInPath(from)
	if err != nil {
		return nil, err
	}
	k, err := r.showUsed(from, c)
	return &Answer{Key: &k}, err
}

// showUsed is showKey with the key's last use.
func (r *request) showUsed(from keys.Reader, c keys.Credential) (Key, error) {
	k := showKey(c)
	last, err := r.api.Directory.LastUsed(from, c.Digest)
	switch {
	case err == nil:
		k.LastUsedAt, k.LastUsedFrom = &last.At, last.Address
	case !errors.Is(err, keys.ErrNotFound):
		return k, err
	}
	return k, nil
}
