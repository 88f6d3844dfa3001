package manage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func readImports(o *object) (in imports) {
	o.flag("dry_run", &in.dryRun)
	o.flag("create_missing", &in.createMissing)
	in.skipExisting = o.skip("existing")
	in.skipRevoked = o.skip("revoked")
	file := o.inner("file")
	list, _ := listUpTo[json.RawMessage](o, "keys", "a list of objects", importMaxKeys)
	if len(list) == 0 {
		o.fail(refuse(CodeInvalid, o.field("keys"), "name at least one"))
	}
	o.err = o.end()
	in.keys = readImportedKeys(o, list, in.dryRun)
	in.from = readImportSource(o, file, in.keys)
	o.err = tellNothing(o.err)
	return in
}

// readImportedKeys reads keys on all processors: to parse and to hash them takes
// longer than to store them. A dry run goes on after a key that is refused.
func readImportedKeys(o *object, list []json.RawMessage, dryRun bool) []importedKey {
	found := onAllProcessors(len(list), func(i int) importedKey {
		return readElement(fmt.Sprintf("%s[%d]", o.field("keys"), i), list[i])
	})
	for i := range found {
		if err := found[i].refused; err != nil && (!dryRun || found[i].malformed) {
			o.fail(err)
			break
		}
	}
	return found
}

// readElement reads one key of the list.
func readElement(path string, text json.RawMessage) importedKey {
	element, err := parseObject(path, text)
	if err != nil {
		return importedKey{refused: err, malformed: true}
	}
	k := readImportedKey(element)
	k.refused = element.end()
	return k
}

// readImportSource reads which file the keys come from. Without one, the digest
// is that of the keys' digests.
func readImportSource(o, file *object, list []importedKey) (from keys.ImportSource) {
	if file == nil {
		return sourceOf(list)
	}
	var digest string
	var first, last uint64
	file.text("sha256", &digest)
	file.number("first_line", &first)
	file.number("last_line", &last)
	if sum, err := hex.DecodeString(digest); err != nil || copy(from.Digest[:], sum) != len(sum) || len(sum) != len(from.Digest) {
		file.fail(refuse(CodeInvalid, file.field("sha256"), "it has to be the 64 hexadecimal digits of a SHA-256"))
	}
	if first == 0 || last < first || last > math.MaxInt32 {
		file.fail(refuse(CodeInvalid, file.field("first_line"), "lines are counted from 1, and last_line is not before first_line"))
	}
	from.FirstLine, from.LastLine = int(first), int(last)
	o.endOf(file)
	return from
}

// sourceOf returns the source of keys that come from no file.
func sourceOf(list []importedKey) (from keys.ImportSource) {
	sum := sha256.New()
	for i := range list {
		sum.Write(list[i].credential.Digest[:])
	}
	sum.Sum(from.Digest[:0])
	return from
}

// skip reads what to do with keys that can't be imported: skip, or absent.
func (o *object) skip(name string) bool {
	var text string
	if o.text(name, &text) && text != "skip" {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be skip; left out, such a key is refused"))
	}
	return text == "skip"
}

func readImportedKey(o *object) importedKey {
	var k importedKey
	var text, digest string
	var disabled bool
	o.text("credential", &text)
	o.text("sha256", &digest)
	o.text("user_id", &k.userID)
	o.flag("disabled", &disabled)
	k.newKey = readNewKey(o)
	if o.err != nil {
		return k
	}
	k.credential.Disabled = disabled
	k.check(o, text, digest)
	return k
}

// check checks a key whose fields were read.
func (k *importedKey) check(o *object, text, digest string) {
	k.readDigest(o, text, digest)
	// Check this before anything whose error repeats a field: a file with mixed
	// up columns has a credential in the place of an ID or a scope.
	if o.err == nil {
		k.checkTells(o, text)
	}
	k.checkHolder(o)
	k.checkGrant(o)
}

// readDigest reads the credential, given as its whole text or its SHA-256.
func (k *importedKey) readDigest(o *object, text, digest string) {
	c := &k.credential
	switch sum, err := hex.DecodeString(digest); {
	case (text == "") == (digest == ""):
		o.fail(refuse(CodeInvalid, o.field("credential"), "give either credential, the whole text, or sha256, that text's SHA-256 in hexadecimal"))
	case text != "":
		if err := keys.CheckImported(text); err != nil {
			o.fail(locate(o.path, err))
		}
		c.Digest = credential.DigestOf(text)
		if bits := credential.Bits(text); bits < credential.MinBits {
			k.warning = fmt.Sprintf("it looks as if it could be guessed (about %d bits, less than %d): have its holder rotate it", int(bits), credential.MinBits)
		}
	case err != nil || copy(c.Digest[:], sum) != len(sum) || len(sum) != len(c.Digest):
		o.fail(refuse(CodeInvalid, o.field("sha256"), "it has to be the 64 hexadecimal digits of a SHA-256"))
	}
}

// checkHolder refuses texts that can't be the ID of a user or an app.
func (k *importedKey) checkHolder(o *object) {
	if k.userID == policy.Me || keys.CheckID("user_id", k.userID) != nil {
		o.fail(refuse(CodeInvalid, o.field("user_id"), "it is not the ID of a user: use 1 to 48 letters, digits, - and _, and not %q", policy.Me))
	}
	for _, a := range k.apps {
		if keys.CheckID("id", a.id) != nil {
			o.fail(refuse(CodeInvalid, join(a.path, "id"), "it is not the ID of an app: use 1 to 48 letters, digits, - and _"))
		}
		if a.userID != nil && *a.userID != k.userID {
			o.fail(refuse(CodeInvalid, join(a.path, "user_id"), "it is not the user_id of the key, who has to own the app"))
		}
	}
}

// checkGrant refuses texts that can't be a scope or an endpoint, without
// repeating them.
func (k *importedKey) checkGrant(o *object) {
	for _, s := range k.credential.Scopes {
		if policy.CheckScopeName(s) != nil {
			o.fail(refuse(CodeInvalid, o.field("scopes"), "one of them is not the name of a scope: use letters and digits, with _ - . : between them, for example Inputs:Get"))
		}
	}
	for _, e := range k.credential.Endpoints {
		if policy.CheckEndpoint(e) != nil {
			o.fail(refuse(CodeInvalid, o.field("endpoints"), "one of them is not an endpoint, which has the form /package.Service/Method"))
		}
	}
}

// checkTells refuses a key whose other fields repeat the credential. They would
// be stored, and shown in lists, in the audit log and to the upstream. text is
// the credential, empty if its digest was given.
func (k *importedKey) checkTells(o *object, text string) {
	repeats := func(value string) bool {
		return text != "" && strings.Contains(value, text) || credential.DigestOf(value) == k.credential.Digest
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
	case k.bounds.tells(repeats):
		field = "resources"
	default:
		return
	}
	o.fail(refuse(CodeInvalid, o.field(field), "the credential stands here too, where it would be kept and shown as it is: write something else"))
}

// The fields that an error may name: of a request, of its file, and of a key.
var (
	importFields      = []string{"dry_run", "create_missing", "existing", "revoked", "file", "keys"}
	importFileFields  = []string{"sha256", "first_line", "last_line"}
	importedKeyFields = []string{"credential", "sha256", "user_id", "apps", "type", "description", "scopes", "endpoints", "plan", "limits", "addresses", "resources", "expires_at", "disabled"}
	limitFields       = []string{"rate", "quota", "concurrent"}
	importNames       = slices.Concat([]string{"", "id"}, importFields, importFileFields, importedKeyFields, limitFields)
)

// tellNothing removes the name of an unknown field from an error: in a mixed-up
// file it may be a credential.
func tellNothing(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	quiet := *e
	if e.untold != "" {
		quiet.Details = e.untold
	}
	for at := 0; ; {
		dot := strings.IndexByte(e.Field[at:], '.')
		end := len(e.Field)
		if dot >= 0 {
			end = at + dot
		}
		name, _, _ := strings.Cut(e.Field[at:end], "[")
		if !slices.Contains(importNames, name) {
			quiet.Field = strings.TrimSuffix(e.Field[:at], ".")
			what, known := "it", importedKeyFields
			if strings.HasSuffix(quiet.Field, ".limits") {
				known = limitFields
			}
			switch quiet.Field {
			case "":
				what, known = "the request", importFields
			case "file":
				known = importFileFields
			}
			quiet.Details = what + " has a field that isn't known here; known are " + strings.Join(known, ", ")
			return &quiet
		}
		if name == "resources" {
			quiet.Field = e.Field[:end]
			return &quiet
		}
		if dot < 0 {
			return &quiet
		}
		at = end + 1
	}
}
