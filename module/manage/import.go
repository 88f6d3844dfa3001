package manage

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// importMaxBody is the largest body of an import: a thousand keys with all
// that each may have.
const importMaxBody = 16 << 20

// What became of a key that was to be imported, as [Imported.Outcome] says.
const (
	// BecameImported is a new key; in a dry run it would be one.
	BecameImported = "imported"
	// BecameExisting was imported before, for the same user and app. It stays
	// as it is, whatever the request says of its scopes.
	BecameExisting = "existing"
	// BecameRevoked was revoked here, and stays so.
	BecameRevoked = "revoked"
	// BecameRefused is wrong, as Status says; only a dry run goes on after
	// one.
	BecameRefused = "refused"
)

// Imported says what became of one key of an import.
type Imported struct {
	Outcome string `json:"outcome"`
	// KeyID is the public id; a new key has none in a dry run.
	KeyID string `json:"key_id,omitempty"`
	// Warning says what is wrong with a credential that works all the same:
	// that it looks as if it could be guessed.
	Warning string `json:"warning,omitempty"`
	// Refusal says what is wrong with one that is refused.
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Refusal is what a dry run says of a key that would be refused.
type Refusal struct {
	Code    Code   `json:"code"`
	Field   string `json:"field"`
	Details string `json:"details"`
}

// imports is a request to import keys:
//
//	{"keys": [{"credential": "…", "user_id": "ada", "apps": [{"id": "photos"}], "scopes": ["Predict"]}],
//	 "existing": "skip", "revoked": "skip", "create_missing": true, "dry_run": true}
//
// All of it is done or nothing. What a key says beside its credential is what
// it says on create; user_id is whose it is. Instead of credential, the whole
// text, it may give sha256, that text's SHA-256 in hexadecimal.
//
// A credential that is there already is refused, unless existing is skip: then
// one of the same user, app and type is passed over, so that an import that was
// broken off can be repeated. One that was revoked is refused, unless revoked
// is skip: then it is passed over, and stays revoked. create_missing makes
// users and apps that aren't there.
//
// A dry_run does the same and then takes it back. It goes on after a key that
// is refused, so that it finds all that are.
type imports struct {
	keys                      []importedKey
	skipExisting, skipRevoked bool
	createMissing, dryRun     bool
	usersKnown                map[string]bool
	appsKnown                 map[keys.AppRef]bool
}

// importedKey is what a request says of one key.
type importedKey struct {
	newKey
	userID  string
	warning string
	// refused is what is wrong with it as it stands; only a dry run keeps it.
	refused error
}

// errDryRun takes back what a dry run has done.
var errDryRun = errors.New("this was a dry run")

func (r *request) importKeys() (*Answer, error) {
	// A copy, with another limit: others share it.
	api := *r.api
	api.MaxBody = max(api.maxBody(), importMaxBody)
	r.api = &api
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	in, err := readImports(o)
	if err != nil {
		return nil, tellNothing(err)
	}
	var done []Imported
	err = r.update(func(tx *keys.Tx) error {
		done = make([]Imported, 0, len(in.keys))
		in.usersKnown, in.appsKnown = map[string]bool{}, map[keys.AppRef]bool{}
		for _, k := range in.keys {
			one, err := r.importKey(tx, &in, k)
			var refused *Error
			switch {
			case err == nil:
			case in.dryRun && errors.As(err, &refused):
				refused = tellNothing(refused).(*Error)
				one = Imported{Outcome: BecameRefused, Refusal: &Refusal{
					Code:    refused.Code,
					Field:   strings.TrimPrefix(strings.TrimPrefix(refused.Field, k.path), "."),
					Details: withoutCredentials(refused.Details),
				}}
			default:
				return err
			}
			done = append(done, one)
		}
		if in.dryRun {
			return errDryRun
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, tellNothing(err)
	}
	return &Answer{Imported: done}, nil
}

func readImports(o *object) (in imports, err error) {
	o.flag("dry_run", &in.dryRun)
	o.flag("create_missing", &in.createMissing)
	in.skipExisting = o.skip("existing")
	in.skipRevoked = o.skip("revoked")
	list := o.objects("keys")
	if o.err == nil && len(list) == 0 {
		o.fail(refuse(CodeInvalid, o.field("keys"), "name at least one"))
	}
	if err := o.end(); err != nil {
		return in, err
	}
	in.keys = make([]importedKey, 0, len(list))
	for _, element := range list {
		k, err := readImportedKey(element)
		if err == nil {
			err = element.end()
		}
		if err != nil && !in.dryRun {
			return in, err
		}
		k.path, k.refused = element.path, err
		in.keys = append(in.keys, k)
	}
	return in, nil
}

// skip reads what becomes of keys that can't be imported, which is skip or
// absent.
func (o *object) skip(name string) bool {
	var text string
	if o.text(name, &text) && text != "skip" {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be skip; left out, such a key is refused"))
	}
	return text == "skip"
}

func readImportedKey(o *object) (importedKey, error) {
	var k importedKey
	var text, digest string
	o.text("credential", &text)
	o.text("sha256", &digest)
	o.text("user_id", &k.userID)
	var disabled bool
	o.flag("disabled", &disabled)
	var err error
	if k.newKey, err = readNewKey(o); err != nil {
		return k, err
	}
	c := &k.credential
	c.Disabled = disabled
	switch sum, err := hex.DecodeString(digest); {
	case (text == "") == (digest == ""):
		return k, refuse(CodeInvalid, o.field("credential"), "give either credential, the whole text, or sha256, that text's SHA-256 in hexadecimal")
	case text != "":
		if err := keys.CheckImported(text); err != nil {
			return k, locate(o.path, err)
		}
		c.Digest = keys.DigestOf(text)
		if bits := keys.Bits(text); bits < keys.MinBits {
			k.warning = fmt.Sprintf("it looks as if it could be guessed (about %d bits, less than %d): have its holder rotate it", int(bits), keys.MinBits)
		}
	case err != nil || copy(c.Digest[:], sum) != len(sum) || len(sum) != len(c.Digest):
		return k, refuse(CodeInvalid, o.field("sha256"), "it has to be the 64 hexadecimal digits of a SHA-256")
	}
	if err := k.tells(o, text); err != nil {
		return k, err
	}
	// Before anything that would repeat it: whoever mixes up two columns gives
	// a credential for an id or a scope.
	if k.userID == policy.Me || keys.CheckID("user_id", k.userID) != nil {
		return k, refuse(CodeInvalid, o.field("user_id"), "it is not the id of a user: use 1 to 48 letters, digits, - and _, and not %q", policy.Me)
	}
	for _, a := range k.apps {
		if keys.CheckID("id", a.id) != nil {
			return k, refuse(CodeInvalid, join(a.path, "id"), "it is not the id of an app: use 1 to 48 letters, digits, - and _")
		}
		if a.userID != nil && *a.userID != k.userID {
			return k, refuse(CodeInvalid, join(a.path, "user_id"), "it is not the user_id of the key, who has to own the app")
		}
	}
	for _, s := range c.Scopes {
		if policy.CheckScopeName(s) != nil {
			return k, refuse(CodeInvalid, o.field("scopes"), "one of them is no name of a scope: use letters and digits, with _ - . : between them, as in Inputs:Get")
		}
	}
	for _, e := range c.Endpoints {
		if policy.CheckEndpoint(e) != nil {
			return k, refuse(CodeInvalid, o.field("endpoints"), "one of them is no endpoint, which has the form /package.Service/Method")
		}
	}
	return k, nil
}

// tells refuses a key of which another field repeats the credential: that would
// be stored, and shown in lists, in the audit log and to the upstream. text is
// the credential, empty where its digest was given.
func (k *importedKey) tells(o *object, text string) error {
	repeats := func(value string) bool {
		return text != "" && strings.Contains(value, text) || keys.DigestOf(value) == k.credential.Digest
	}
	c := &k.credential
	var field string
	switch {
	case repeats(k.userID):
		field = "user_id"
	case repeats(c.Description):
		field = "description"
	case slices.ContainsFunc(k.apps, func(a appRef) bool { return repeats(a.id) }):
		field = "apps"
	case slices.ContainsFunc(c.Scopes, repeats):
		field = "scopes"
	case slices.ContainsFunc(c.Endpoints, repeats):
		field = "endpoints"
	default:
		return nil
	}
	return refuse(CodeInvalid, o.field(field), "the credential stands here too, where it would be kept and shown as it is: write something else")
}

// importKey imports one key. What it refuses it has not begun.
func (r *request) importKey(tx *keys.Tx, in *imports, k importedKey) (Imported, error) {
	if k.refused != nil {
		return Imported{}, k.refused
	}
	c := k.credential
	c.Kind, c.UserID = k.kind, k.userID
	if c.Kind == policy.AppKey {
		c.AppID = k.apps[0].id
	}
	// First what is there: a key that was deleted with its app is to be found
	// revoked, and not to bring the app back.
	if one, done, err := in.passOver(tx, k, c); done || err != nil {
		return one, err
	}
	field := join(k.path, "scopes")
	if err := r.api.checkImportable(field, c.Scopes); err != nil {
		return Imported{}, err
	}
	if err := r.api.checkEndpoints(join(k.path, "endpoints"), c.Endpoints, nil); err != nil {
		return Imported{}, err
	}
	// Again as the store checks it, before users and apps are made for it.
	if !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(tx.Now()) {
		return Imported{}, refuse(CodeInvalid, join(k.path, "expires_at"), "it is past: an expired key need not be imported")
	}
	if err := in.holder(tx, k, c); err != nil {
		return Imported{}, err
	}
	c.ID = keys.NewPublicID(r.api.Brand, c.Kind)
	c, err := tx.ImportCredential(c)
	if err != nil {
		return Imported{}, locate(k.path, err)
	}
	one := Imported{Outcome: BecameImported, KeyID: c.ID, Warning: k.warning}
	if in.dryRun {
		one.KeyID = "" // it is made up anew
	}
	return one, nil
}

// passOver finds what is there of a credential already.
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

// EarlierKey is what an error calls a key that stands before in the same
// request. Its public id would lead nowhere: nothing of the request is kept.
const EarlierKey = "an earlier key of this request"

func named(tx *keys.Tx, c keys.Credential) string {
	if c.CreatedAt.Equal(tx.Now()) {
		return EarlierKey
	}
	return "the key " + c.ID
}

// holder finds the user of a key, and its app, or makes them where that is
// asked for.
func (in *imports) holder(tx *keys.Tx, k importedKey, c keys.Credential) error {
	if !in.usersKnown[c.UserID] {
		_, err := tx.User(c.UserID)
		if errors.Is(err, keys.ErrNotFound) {
			err = in.makeUser(tx, join(k.path, "user_id"), c.UserID)
		}
		if err != nil {
			return err
		}
		in.usersKnown[c.UserID] = true
	}
	app := keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}
	if app.AppID == "" || in.appsKnown[app] {
		return nil
	}
	_, err := tx.App(app)
	if errors.Is(err, keys.ErrNotFound) {
		if !in.createMissing {
			return refuse(CodeNotFound, join(k.apps[0].path, "id"), "this user has no such app: create it first, or have it made with create_missing")
		}
		_, err = tx.CreateApp(keys.App{AppRef: app})
	}
	if err != nil {
		return err
	}
	in.appsKnown[app] = true
	return nil
}

func (in *imports) makeUser(tx *keys.Tx, field, id string) error {
	if !in.createMissing {
		return refuse(CodeNotFound, field, "there is no such user: create it first, or have it made with create_missing")
	}
	_, err := tx.CreateUser(keys.User{ID: id})
	if errors.Is(err, keys.ErrExists) {
		return refuse(CodeExists, field, "a user of this id was deleted, and the id is never used again: import the keys for another")
	}
	return err
}

// checkImportable is what [API.checkGrantable] and [API.checkComplete] check.
// A scope that isn't known is named only where it looks like one: the columns
// of the file may have been mixed up.
func (a *API) checkImportable(field string, scopes []string) error {
	if a.Catalogue != nil {
		unknown := a.Catalogue.Unknown(scopes)
		if slices.ContainsFunc(unknown, func(s string) bool { return len(s) >= 16 && !strings.Contains(s, ":") }) {
			return refuse(CodeInvalid, field, "the catalogue has not all of them; it has the scopes that the configuration declares, or where it declares none, those that its routes need")
		}
	}
	if err := a.checkGrantable(field, scopes, nil); err != nil {
		return err
	}
	return a.checkComplete(field, scopes)
}

// importFields are what may stand at the end of a field's place in an error.
var importFields = []string{
	"", "dry_run", "create_missing", "existing", "revoked", "keys", "id",
	"credential", "sha256", "user_id", "apps", "type", "description", "scopes", "endpoints", "expires_at", "disabled",
}

// tellNothing takes out of an error the name of a field that there isn't: in a
// mixed-up file it may be a credential.
func tellNothing(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	quiet := *e
	for at := 0; ; {
		dot := strings.IndexByte(e.Field[at:], '.')
		end := len(e.Field)
		if dot >= 0 {
			end = at + dot
		}
		name, _, _ := strings.Cut(e.Field[at:end], "[")
		if !slices.Contains(importFields, name) {
			quiet.Field = strings.TrimSuffix(e.Field[:at], ".")
			quiet.Details = "it has a field that isn't known here; known are " + strings.Join(importFields[7:], ", ")
			if quiet.Field == "" {
				quiet.Details = "the request has a field that isn't known here; known are " + strings.Join(importFields[1:6], ", ")
			}
			return &quiet
		}
		if dot < 0 {
			return &quiet
		}
		at = end + 1
	}
}
