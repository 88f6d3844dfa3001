package manage

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The most that an import takes: ten thousand keys, or a thousand with all that
// each may have.
const (
	importMaxKeys = 10_000
	importMaxBody = 16 << 20
)

// Values of [Imported.Outcome].
const (
	// BecameImported is a new key; in a dry run it would be one.
	BecameImported = "imported"
	// BecameExisting was imported before, for the same user and app. It stays
	// as it is, even if the request has other scopes.
	BecameExisting = "existing"
	// BecameRevoked was revoked here, and stays so.
	BecameRevoked = "revoked"
	// BecameRefused is a key that Refusal describes. Only a dry run continues
	// after it.
	BecameRefused = "refused"
)

// Imported is the outcome for one key of an import.
type Imported struct {
	Outcome string `json:"outcome"`
	// KeyID is the key ID; a new key has none in a dry run.
	KeyID string `json:"key_id,omitempty"`
	// Warning is set for a credential that works, but looks guessable.
	Warning string `json:"warning,omitempty"`
	// Refusal describes why the key is refused.
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Refusal is the error that an import would answer for a key.
type Refusal struct {
	Code    Code   `json:"code"`
	Field   string `json:"field"`
	Details string `json:"details"`
}

// imports is a request to import keys:
//
//	{"keys": [{"credential": "…", "user_id": "ada", "apps": [{"id": "photos"}], "scopes": ["Predict"]}],
//	 "file": {"sha256": "…", "first_line": 2, "last_line": 2},
//	 "existing": "skip", "revoked": "skip", "create_missing": true, "dry_run": true}
//
// A request imports all its keys or none, and writes one audit entry. file names
// the file that the keys were read from, for that entry; it is optional. user_id
// is the key's user; the other fields are those of a new key. Instead of
// credential, the whole text, a key may have sha256, the SHA-256 of that text in
// hexadecimal.
//
// A credential that exists already is refused. If existing is skip, one of the
// same user, app and type is skipped, so that an interrupted import can be
// repeated. A revoked credential is refused too. If revoked is skip, it is
// skipped, and stays revoked. create_missing creates users and apps that don't
// exist.
//
// A dry_run makes the same change and discards it. It continues after a refused
// key, so that it finds all of them.
type imports struct {
	keys                      []importedKey
	from                      keys.ImportSource
	skipExisting, skipRevoked bool
	createMissing, dryRun     bool
	// others imports the other keys if one is refused.
	others bool
}

// goesOn reports whether the keys after a refused one are looked at.
func (in *imports) goesOn() bool { return in.dryRun || in.others }

// importedKey is one key of a request.
type importedKey struct {
	newKey
	userID  string
	warning string
	// refused is an error in the key's fields. Only a dry run continues after it.
	refused error
	// malformed is true if the element is not a readable object. It ends
	// a dry run too.
	malformed bool
}

// errDryRun discards the change of a dry run.
var errDryRun = errors.New("this was a dry run")

// importKeys imports keys. A dry run makes the same change and discards it.
func (r *request) importKeys(in imports) (*Answer, error) {
	answer := &Answer{}
	err := r.update(func(tx *keys.Tx) (err error) {
		if answer.Imported, err = r.api.importAll(tx, in); err == nil && in.dryRun {
			err = errDryRun
		}
		return err
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, tellNothing(err)
	}
	return answer, nil
}

// importAll imports all keys. A dry run continues after a refused key.
func (a *API) importAll(tx *keys.Tx, in imports) ([]Imported, error) {
	done := make([]Imported, 0, len(in.keys))
	known := holders{users: map[string]bool{}, apps: map[keys.AppRef]bool{}, create: in.createMissing}
	for _, k := range in.keys {
		one, err := a.importKey(tx, &in, &known, k)
		var refused *Error
		switch {
		case err == nil:
		case in.goesOn() && errors.As(err, &refused):
			one = Imported{Outcome: BecameRefused, Refusal: refusalOf(k, refused)}
		default:
			return nil, err
		}
		done = append(done, one)
	}
	return done, nil
}

// refusalOf returns a dry run's answer for a key that would be refused.
func refusalOf(k importedKey, e *Error) *Refusal {
	e = tellNothing(e).(*Error)
	return &Refusal{
		Code:    e.Code,
		Field:   strings.TrimPrefix(strings.TrimPrefix(e.Field, k.path), "."),
		Details: withoutCredentials(e.Details),
	}
}

// importKey imports one key. It changes nothing before all checks have passed.
func (a *API) importKey(tx *keys.Tx, in *imports, known *holders, k importedKey) (Imported, error) {
	if k.refused != nil {
		return Imported{}, k.refused
	}
	c := k.credential
	c.Kind, c.UserID = k.kind, k.userID
	if c.Kind == policy.AppKey {
		c.AppID = k.apps[0].id
	}
	// Look for the credential first: a key that was deleted with its app must be
	// found revoked, and must not bring the app back.
	if one, done, err := in.passOver(tx, k, c); done || err != nil {
		return one, err
	}
	field := join(k.path, "scopes")
	if err := a.checkImportable(field, c.Scopes); err != nil {
		return Imported{}, err
	}
	if err := a.checkEndpoints(join(k.path, "endpoints"), c.Endpoints, nil); err != nil {
		return Imported{}, err
	}
	if err := a.changeBounds(&c, &k.bounds, overwrite); err != nil {
		return Imported{}, err
	}
	// The store checks this too, but users and apps are made before that.
	if c.ExpiredAt(tx.Now()) {
		return Imported{}, refuse(CodeInvalid, join(k.path, "expires_at"), "it is past: an expired key need not be imported")
	}
	if err := known.find(tx, k, c); err != nil {
		return Imported{}, err
	}
	c.ID = credential.NewID(a.Brand, c.Kind)
	c, err := tx.ImportCredential(in.from, c)
	if err != nil {
		return Imported{}, locate(k.path, err)
	}
	one := Imported{Outcome: BecameImported, KeyID: c.ID, Warning: k.warning}
	if in.dryRun {
		one.KeyID = "" // the import makes another
	}
	return one, nil
}

// passOver looks for an existing or revoked credential.
func (in *imports) passOver(tx *keys.Tx, k importedKey, c keys.Credential) (one Imported, done bool, err error) {
	switch stone, err := tx.Tombstone(c.Digest); {
	case err == nil && in.skipRevoked:
		return Imported{Outcome: BecameRevoked, KeyID: stone.ID}, true, nil
	case err == nil:
		return one, false, locate(k.path, keys.ErrRevoked)
	case !errors.Is(err, keys.ErrNotFound):
		return one, false, err
	}
	switch old, err := tx.Credential(c.Digest); {
	case errors.Is(err, keys.ErrNotFound):
		return one, false, nil
	case err != nil:
		return one, false, err
	case old.Kind != c.Kind || old.UserID != c.UserID || old.AppID != c.AppID:
		return one, false, refuse(CodeExists, k.path, "this credential is there already, as %s, of another user or app, or of another type", named(tx, old))
	case !in.skipExisting:
		return one, false, refuse(CodeExists, k.path, `this credential is there already, as %s; with "existing":"skip" such keys are passed over`, named(tx, old))
	default:
		one = Imported{Outcome: BecameExisting, KeyID: old.ID, Warning: k.warning}
		if in.dryRun && old.CreatedAt.Equal(tx.Now()) {
			one.KeyID = "" // of this dry run
		}
		return one, true, nil
	}
}

// EarlierKey is what an error calls an earlier key of the same request. Its key
// ID would be useless, because nothing of a refused request is kept.
const EarlierKey = "an earlier key of this request"

func named(tx *keys.Tx, c keys.Credential) string {
	if c.CreatedAt.Equal(tx.Now()) {
		return EarlierKey
	}
	return "the key " + c.ID
}

// checkImportable checks what [API.checkGrantable] and [API.checkComplete] do. It
// names an unknown scope only if that looks like one, because the columns of
// the file may have been mixed up.
func (a *API) checkImportable(field string, scopes []string) error {
	if a.Catalogue != nil {
		unknown := a.Catalogue.Unknown(scopes)
		if slices.ContainsFunc(unknown, func(s string) bool { return len(s) >= 16 && !strings.Contains(s, ":") }) {
			return refuse(CodeInvalid, field, "the catalogue lacks some of them; it has the scopes that the configuration declares, or that its routes need if it declares none")
		}
	}
	if err := a.checkGrantable(field, scopes, nil); err != nil {
		return err
	}
	return a.checkComplete(field, scopes)
}
