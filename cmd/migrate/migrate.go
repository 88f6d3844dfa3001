// Package migrate reads the keys in what other gateways dump, and in CSV and
// JSON Lines. It reads as it goes: of a file of any length no more is held than
// one element of its list. What it says of a mistake never repeats what stands
// in the file, because in a file of another form that may be a credential.
package migrate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The formats that are read.
const (
	// CSV has a header line that names its columns, of which credential or
	// sha256 has to be one: credential, sha256, user, app, type, description,
	// scopes, endpoints, expires_at, disabled. Scopes and endpoints are
	// separated by spaces or semicolons; scopes - is none at all; times are of
	// RFC 3339 or dates; disabled is true or false.
	CSV = "csv"
	// JSONL is one JSON object a line, with the fields that CSV has as
	// columns. Scopes and endpoints may be lists.
	JSONL = "jsonl"
	// Kong is what "deck gateway dump" writes, in YAML or JSON, and Kong's own
	// "kong config db_export": the keyauth_credentials of consumers, and those
	// beside them.
	Kong = "kong"
	// Tyk is JSON: a list of keys as the Dashboard's API details them
	// (key_id, key_hash, data), the list of ids that the Gateway's API gives
	// (keys), or an object of sessions by key, as Redis has them.
	Tyk = "tyk"
	// APISIX is apisix.yaml of the standalone mode, or the list of consumers or
	// of a consumer's credentials that the Admin API gives, in JSON.
	APISIX = "apisix"
	// AWS is what "aws apigateway get-api-keys --include-values" writes.
	AWS = "aws"
)

// Formats are all formats, in the order that they are documented.
func Formats() []string { return []string{CSV, JSONL, Kong, Tyk, APISIX, AWS} }

// MaxElement is the largest element of a file that is read, in bytes: a line,
// or a consumer with all its keys.
const MaxElement = 1 << 20

// Types of a key, in the API's words.
const (
	AppKey = "app_specific_key"
	PAT    = "personal_access_token"
)

// Record is one key of a file.
type Record struct {
	// Line is where it begins, from 1.
	Line int
	// Credential is its whole text. If the text is not known, SHA256 is that
	// text's, in hexadecimal.
	Credential, SHA256 string
	// Name is what the file calls it, which is never the credential; it may be
	// empty.
	Name        string
	User, App   string
	Type        string
	Description string
	// Scopes nil says nothing of scopes.
	Scopes, Endpoints []string
	ExpiresAt         time.Time
	Disabled          bool
}

// Problem is what is wrong with one key of a file. Those behind it can be read.
type Problem struct {
	Line int
	// Field is what is wrong of it; it may be empty.
	Field, Reason string
	// Warning is true if this is not about one key but about the whole file,
	// all keys of which can be read.
	Warning bool
}

// String is the line, the field and the reason.
func (p *Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("line %d: %s", p.Line, p.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Field, p.Reason)
}

// Options say what the file doesn't.
type Options struct {
	Format string
	// User is whose every key is, and App what app's, whatever the file says.
	User, App string
	// PAT makes every key a personal access token.
	PAT bool
	// Scopes are those of keys of which the file says none; nil are none that
	// could be had.
	Scopes []string
	// UserFrom is the field of the file that names a key's user:
	//
	//	kong    consumer (username, else custom_id, else id), custom_id, id
	//	tyk     alias, org_id
	//	apisix  consumer
	//	aws     name, customer_id, id
	//
	// The first is the default. A name that can't be a user's id is made one:
	// other characters become -, and a hash of the name follows.
	UserFrom string
	// ClearText is true if the keys of a Tyk dump aren't hashes, whatever they
	// look like.
	ClearText bool
	// Now is what a time to live counts from.
	Now time.Time
	// Sources, where set, gathers where the gateway's clients send their keys.
	Sources *Sources
}

// sources are the values of [Options.UserFrom] by format.
var sources = map[string][]string{
	CSV: {""}, JSONL: {""},
	Kong: {"consumer", "custom_id", "id"}, Tyk: {"alias", "org_id"}, APISIX: {"consumer"}, AWS: {"name", "customer_id", "id"},
}

// Check refuses options that make no sense.
func (o *Options) Check() error {
	from, known := sources[o.Format]
	switch {
	case !known:
		return fmt.Errorf("there is no such format; known are %s", strings.Join(Formats(), ", "))
	case o.UserFrom != "" && from[0] == "":
		return fmt.Errorf("a file of this format names each key's user in the column user")
	case o.UserFrom != "" && !slices.Contains(from, o.UserFrom):
		return fmt.Errorf("users are named there by %s", strings.Join(from, " or "))
	case o.UserFrom != "" && o.User != "":
		return fmt.Errorf("either every key is one user's, or the file says whose each is")
	case o.PAT && o.App != "":
		return fmt.Errorf("a key is either an app's or a personal access token")
	case o.ClearText && o.Format != Tyk:
		return fmt.Errorf("only Tyk's dumps may have hashes in the place of keys")
	}
	return nil
}

// Read calls emit with every key of a file, or with what is wrong with one, in
// order, and returns the first error that emit returns. Where the file can't
// be read on, it returns what is wrong.
func Read(r io.Reader, o Options, emit func(Record, *Problem) error) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.UserFrom == "" {
		o.UserFrom = sources[o.Format][0]
	}
	if o.Sources == nil {
		o.Sources = new(Sources)
	}
	in := &reader{Options: o, emit: emit}
	source, err := begin(r)
	if err != nil {
		return err
	}
	switch o.Format {
	case CSV:
		err = in.csv(source)
	case JSONL:
		err = in.jsonl(source)
	case Kong:
		err = in.kong(source)
	case Tyk:
		err = in.tyk(source)
	case APISIX:
		err = in.apisix(source)
	default:
		err = in.aws(source)
	}
	if err != nil {
		return err
	}
	in.Sources.settle(o.Format)
	return in.morePages()
}

// reader reads one file.
type reader struct {
	Options
	emit func(Record, *Problem) error
	// users are the names of Kong's consumers, by their ids and names.
	users map[string]string
	pages pages
}

// config hands on the configuration of an authentication plugin.
func (in *reader) config(name string, fields map[string]any) {
	in.Sources.config(in.Format, name, fields)
}

// begin passes over a byte order mark.
func begin(r io.Reader) (*bufio.Reader, error) {
	source := bufio.NewReaderSize(r, 64<<10)
	first, err := source.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.Equal(first, []byte("\ufeff")) {
		_, err = source.Discard(3)
		return source, err
	}
	if len(first) >= 2 && (first[0] == 0xff && first[1] == 0xfe || first[0] == 0xfe && first[1] == 0xff) {
		return nil, errors.New("the file is UTF-16: write it as UTF-8")
	}
	return source, nil
}

// isJSON reports whether the input begins with a JSON object or list.
func isJSON(source *bufio.Reader) bool {
	for n := 1; n <= source.Size(); n++ {
		ahead, err := source.Peek(n)
		if err != nil {
			return false
		}
		switch c := ahead[n-1]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{' || c == '['
		}
	}
	return false
}

func problem(line int, field, format string, args ...any) *Problem {
	return &Problem{Line: line, Field: field, Reason: fmt.Sprintf(format, args...)}
}

func (in *reader) wrong(line int, field, format string, args ...any) error {
	return in.emit(Record{}, problem(line, field, format, args...))
}

// key fills in what the file doesn't say of a key, and hands it on.
func (in *reader) key(k Record) error {
	if in.User != "" {
		k.User = in.User
	}
	switch {
	case in.PAT:
		k.Type, k.App = PAT, ""
	case in.App != "":
		k.Type, k.App = AppKey, in.App
	case k.Type == "" && k.App != "":
		k.Type = AppKey
	}
	if k.Scopes == nil {
		k.Scopes = in.Scopes
	}
	if k.Credential == "" && k.SHA256 == "" {
		return in.wrong(k.Line, "credential", "there is none")
	}
	if isReference(k.Credential) {
		return in.wrong(k.Line, "credential", "this is not a key but a reference to one (a vault, an environment variable): put the keys themselves into the file, and import that")
	}
	switch {
	case k.User == "":
		return in.wrong(k.Line, "user", "the file names none here: give --user, or name one")
	case k.Type == "":
		return in.wrong(k.Line, "app", "the file doesn't say what the key is for: give --app APP for keys of an app, or --pat for personal access tokens")
	case k.Type != PAT && k.Type != AppKey:
		return in.wrong(k.Line, "type", "it has to be %s or %s", AppKey, PAT)
	case k.Type == AppKey && k.App == "":
		return in.wrong(k.Line, "app", "it is missing: a key of an app names the app; give --app APP, or make it a %s", PAT)
	case k.Type == PAT && k.App != "":
		return in.wrong(k.Line, "app", "a %s is tied to no app", PAT)
	case k.Scopes == nil:
		return in.wrong(k.Line, "scopes", "the file says nothing of them: give --scopes")
	}
	for _, text := range append([]string{k.Credential, k.User, k.App, k.Description, k.Name}, slices.Concat(k.Scopes, k.Endpoints)...) {
		// A decoder puts the replacement character where bytes are not text.
		if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
			return in.wrong(k.Line, "", "it has bytes that are not UTF-8 (Latin-1 or another encoding?), or lost some before: write the file as UTF-8")
		}
	}
	k.Description, k.Name = clean(k.Description), clean(k.Name)
	if k.Credential != "" && strings.Contains(k.Name, k.Credential) {
		k.Name = ""
	}
	return in.emit(k, nil)
}

// isReference finds what stands for a key that is kept elsewhere: of Kong
// ({vault://…}), of APISIX ($env://…, $secret://…), of decK (${{ env "…" }}),
// and of shells.
func isReference(text string) bool {
	lower := strings.ToLower(text)
	for _, beginning := range []string{"{vault://", "$env://", "$secret://", "${", "{{"} {
		if strings.HasPrefix(lower, beginning) {
			return true
		}
	}
	return false
}

// maxDescription is the longest description that a key may have, in bytes.
const maxDescription = 1024

// clean makes a text one that can be a description.
func clean(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	text = strings.TrimSpace(text)
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") // without half a character at its end
	}
	return text
}
