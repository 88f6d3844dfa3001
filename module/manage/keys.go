package manage

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The types of key, in Clarifai's words. Sessions are only shown where a
// credential is verified.
const (
	TypeAppKey  = "app_specific_key"
	TypePAT     = "personal_access_token"
	TypeSession = "session_token"
)

var types = map[policy.Kind]string{policy.AppKey: TypeAppKey, policy.PAT: TypePAT, policy.Session: TypeSession}

// Key is a credential as the API shows one.
type Key struct {
	// ID is the public id; in the answer to a create or a rotate, and there
	// alone, it is the whole credential.
	ID          string   `json:"id"`
	KeyID       string   `json:"key_id"` // the public id
	Type        string   `json:"type"`
	UserID      string   `json:"user_id"`
	Description string   `json:"description"`
	Scopes      []string `json:"scopes"`
	// Endpoints empty is no list: all endpoints.
	Endpoints  []string   `json:"endpoints"`
	Apps       []KeyApp   `json:"apps"`
	Disabled   bool       `json:"disabled"`
	CreatedAt  time.Time  `json:"created_at"`
	ModifiedAt time.Time  `json:"modified_at"`
	CreatedBy  string     `json:"created_by"`
	ExpiresAt  *time.Time `json:"expires_at"`
	// LastUsedAt is when it was last used, to the minute, and LastUsedFrom the
	// address; lists and single keys show them where it ever was. What was not
	// yet written when the server is killed is lost, a minute's worth at most.
	LastUsedAt   *time.Time `json:"last_used_at,omitempty"`
	LastUsedFrom string     `json:"last_used_from,omitempty"`
	// Version counts the changes. A change that gives it is refused where the
	// key has another by then.
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
		Apps: []KeyApp{}, Disabled: c.Disabled, CreatedBy: c.CreatedBy, Version: c.Version,
		CreatedAt: c.CreatedAt.UTC(), ModifiedAt: c.ModifiedAt.UTC(),
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

// isKey says whether a credential is a key: sessions have calls of their own.
func isKey(c keys.Credential) bool { return c.Kind != policy.Session }

// mint makes a key. The Key shows the whole credential, this once.
func (r *request) mint(tx *keys.Tx, c keys.Credential) (Key, keys.Credential, error) {
	credential, id := keys.Mint(r.api.Brand, c.Kind)
	c.ID, c.Digest = id, keys.DigestOf(credential)
	c, err := tx.CreateCredential(c)
	if err != nil {
		return Key{}, c, err
	}
	k := showKey(c)
	k.ID = credential
	return k, c, nil
}

// findKey reads the key of a public id, if it is the user's whom the path
// names, or anyone's where it names none. field is where the id stands.
func (r *request) findKey(from keys.Reader, id, field string) (keys.Credential, error) {
	return r.ownKey(field)(from.CredentialByID(id))
}

// findKeyInBody is findKey for an id that stands in a body, where a whole
// credential is taken as well.
func (r *request) findKeyInBody(from keys.Reader, id, field string) (keys.Credential, error) {
	c, err := r.findKey(from, id, field)
	if !isNotFound(err) {
		return c, err
	}
	return r.ownKey(field)(from.Credential(keys.DigestOf(id)))
}

// findKeyInPath is findKey for the id in the path. A whole credential that was
// minted elsewhere can't be told by its form, so the store is asked.
func (r *request) findKeyInPath(from keys.Reader) (keys.Credential, error) {
	id := r.vars["key_id"]
	c, err := r.findKey(from, id, "key_id")
	if isNotFound(err) {
		if whole, absent := from.Credential(keys.DigestOf(id)); absent == nil && r.mayKnow(whole.UserID) {
			return c, credentialInPath("key_id")
		}
	}
	return c, err
}

// mayKnow says whether the caller may learn that a text is a credential of a
// user's, or was one.
func (r *request) mayKnow(userID string) bool { return r.caller.Operator || userID == r.user() }

// ownKey turns what a look-up found into a key of the user's. Whose key it is
// otherwise, or that it is a session, is nobody's business.
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

func (r *request) getKey() (*Answer, error) {
	if err := r.noBody(); err != nil {
		return nil, err
	}
	var shown Key
	err := r.view(func(from keys.Reader) error {
		c, err := r.findKeyInPath(from)
		if err != nil {
			return err
		}
		shown, err = r.showUsed(from, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Key: &shown}, nil
}

// showUsed is showKey with when the key was last used.
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

func (r *request) listKeys() (*Answer, error) {
	return r.listKeysOf(func(from keys.Reader, p page) ([]keys.Credential, string, error) {
		if _, err := r.findUser(from); err != nil {
			return nil, "", err
		}
		return take(from.Credentials(r.user(), p.after), p, seqOfKey, isKey)
	})
}

func (r *request) listAppKeys() (*Answer, error) {
	return r.listKeysOf(func(from keys.Reader, p page) ([]keys.Credential, string, error) {
		if _, err := r.findApp(from); err != nil {
			return nil, "", err
		}
		return take(from.AppCredentials(r.app(), p.after), p, seqOfKey, isKey)
	})
}

func seqOfKey(c keys.Credential) uint64 { return c.Seq }

func (r *request) listKeysOf(list func(keys.Reader, page) ([]keys.Credential, string, error)) (*Answer, error) {
	p, err := r.listing()
	if err != nil {
		return nil, err
	}
	answer := &Answer{Keys: []Key{}}
	err = r.view(func(from keys.Reader) error {
		found, next, err := list(from, p)
		if err != nil {
			return err
		}
		for _, c := range found {
			k, err := r.showUsed(from, c)
			if err != nil {
				return err
			}
			answer.Keys = append(answer.Keys, k)
		}
		answer.Next = next
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (r *request) revokeKey() (*Answer, error) {
	if err := r.noBody(); err != nil {
		return nil, err
	}
	var id string
	err := r.withdraw(func(tx *keys.Tx) error {
		c, err := r.findKeyInPath(tx)
		if err != nil {
			return err
		}
		id = c.ID
		return tx.Revoke(id, "revoked")
	})
	if err != nil {
		return nil, err
	}
	return &Answer{KeyIDs: []string{id}}, nil
}

// revokeKeys revokes keys by public id or whole credential, all in one
// transaction. A key that was revoked before is one that is revoked: whoever
// names it again wants no more than that.
func (r *request) revokeKeys() (*Answer, error) {
	ids, err := r.ids()
	if err != nil {
		return nil, err
	}
	var revoked, already []string
	err = r.withdraw(func(tx *keys.Tx) error {
		var once onceEach
		var revoke []string
		revoked, already = nil, nil
		for i, id := range ids {
			field := fmt.Sprintf("ids[%d]", i)
			c, err := r.findKeyInBody(tx, id, field)
			switch {
			case err == nil:
				revoke = append(revoke, c.ID)
				revoked = append(revoked, c.ID)
				err = once.add(field, c.ID)
			case isNotFound(err):
				stone, stoneErr := r.findRevoked(tx, id)
				if stoneErr == nil {
					revoked = append(revoked, stone.ID)
					already = append(already, stone.ID)
					err = once.add(field, stone.ID)
				} else if !errors.Is(stoneErr, keys.ErrNotFound) {
					err = stoneErr
				}
			}
			if err != nil {
				return nothingRevoked(err)
			}
		}
		// Only now, or the second of two names of one key would not be found.
		for _, id := range revoke {
			if err := tx.Revoke(id, "revoked"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Answer{KeyIDs: revoked, AlreadyRevoked: already}, nil
}

// findRevoked finds what is left of a revoked key of the user's, by key ID or
// whole credential.
func (r *request) findRevoked(from keys.Reader, named string) (keys.Tombstone, error) {
	stone, err := from.TombstoneByID(named)
	if errors.Is(err, keys.ErrNotFound) {
		stone, err = from.Tombstone(keys.DigestOf(named))
	}
	if err == nil && r.user() != "" && stone.UserID != r.user() {
		err = keys.ErrNotFound
	}
	return stone, err
}

// nothingRevoked adds to the refusal of one key of a list what that means for
// the others.
func nothingRevoked(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Details += "; nothing was revoked"
	}
	return err
}

// rotateKey puts a new key in the place of one.
func (r *request) rotateKey() (*Answer, error) {
	o, err := r.optionalBody()
	if err != nil {
		return nil, err
	}
	how, err := readRotation(o)
	if err != nil {
		return nil, err
	}
	answer := &Answer{}
	err = r.changeBy(how.grace == 0, func(tx *keys.Tx) error { // a leaked key ends now
		old, err := r.findKeyInPath(tx)
		if err != nil {
			return err
		}
		next := old
		if how.expiresAt != nil {
			next.ExpiresAt = *how.expiresAt
		}
		if !next.ExpiresAt.IsZero() && !next.ExpiresAt.After(tx.Now()) {
			return refuse(CodeInvalid, "expires_at", "the key has expired, and its successor would have too: give another expires_at, or create a new key")
		}
		if err := r.delegable("", &next); err != nil {
			return err
		}
		credential, id := keys.Mint(r.api.Brand, old.Kind)
		next, err = tx.Rotate(old.ID, keys.Rotation{Digest: keys.DigestOf(credential), ID: id, Grace: how.grace, ExpiresAt: how.expiresAt})
		if err != nil {
			return err
		}
		key := showKey(next)
		key.ID = credential
		answer.Key = &key
		answer.Status.Details, err = r.warnings(tx, next)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// maxGrace is longer than anyone takes to change a key.
const maxGrace = 365 * 24 * time.Hour

// rotation says how a key is replaced.
type rotation struct {
	grace     time.Duration // how long the old key still works
	expiresAt *time.Time    // of the new key; nil is that of the old one
}

func readRotation(o *object) (how rotation, err error) {
	how.expiresAt = given(o.time, "expires_at")
	var text string
	if !o.text("grace", &text) || text == "" {
		return how, o.end()
	}
	how.grace, err = time.ParseDuration(text)
	if err != nil || how.grace < 0 || how.grace > maxGrace {
		o.fail(refuse(CodeInvalid, "grace", "it has to be a time from 0s to %s, such as 24h", maxGrace))
	}
	return how, o.end()
}
