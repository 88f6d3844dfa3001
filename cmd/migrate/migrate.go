// Package migrate reads keys from the dumps of other gateways, and from CSV and
// JSON Lines. It streams: it holds only one element of a file in memory. Its
// errors never repeat the content of a file, because in a malformed file any text
// may be a credential.
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
	// CSV has a header line that names its columns: credential, sha256, user,
	// app, type, description, scopes, endpoints, plan, rate, quota, concurrent,
	// addresses, resources, expires_at, disabled. Either credential or sha256 is
	// required. The elements of lists are separated by spaces or semicolons, and -
	// is an empty list; a resource is written as model=llama-3*; times are dates or
	// of RFC 3339; disabled is true or false.
	CSV = "csv"
	// JSONL is one JSON object a line, whose fields are the columns of CSV.
	// Scopes, endpoints, addresses and resources may be lists.
	JSONL = "jsonl"
	// Kong is the output of "deck gateway dump", in YAML or JSON, or of "kong
	// config db_export": keyauth_credentials in consumers or next to them.
	Kong = "kong"
	// Tyk is JSON: a list of keys from the Dashboard's API (key_id, key_hash,
	// data), the list of IDs from the Gateway's API (keys), or an object of
	// sessions by key as in Redis.
	Tyk = "tyk"
	// APISIX is apisix.yaml of the standalone mode, or the Admin API's list of
	// consumers or of a consumer's credentials, in JSON.
	APISIX = "apisix"
	// AWS is the output of "aws apigateway get-api-keys --include-values".
	AWS = "aws"
)

// Formats returns all formats, in the order of their documentation.
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
	// Line is the line on which the key begins, counted from 1.
	Line int
	// Credential is the whole text of the key. If the text is not known, SHA256
	// is its SHA-256 in hexadecimal.
	Credential, SHA256 string
	// Name is the key's name in the file. It is never the credential, and may be
	// empty.
	Name        string
	User, App   string
	Type        string
	Description string
	// Scopes is nil if the file doesn't mention scopes.
	Scopes, Endpoints []string
	// Plan, Rate, Quota, Concurrent, Addresses and Resources limit the key.
	Plan, Rate, Quota string              `json:",omitzero"`
	Concurrent        int                 `json:",omitzero"`
	Addresses         []string            `json:",omitzero"`
	Resources         map[string][]string `json:",omitzero"`
	ExpiresAt         time.Time
	Disabled          bool
}

// Problem is a mistake in one key of a file. The keys after it can be read.
type Problem struct {
	Line int
	// Field is the field with the mistake; it may be empty.
	Field, Reason string
	// Warning is true if the problem concerns the whole file, and all of its
	// keys can be read.
	Warning bool
}

// String returns the line, the field and the reason.
func (p *Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("line %d: %s", p.Line, p.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Field, p.Reason)
}

// Options supplement or override the file.
type Options struct {
	Format string
	// User and App, if set, override the user and the app of every key.
	User, App string
	// PAT makes every key a personal access token.
	PAT bool
	// Scopes are the scopes of keys without scopes in the file. With nil such
	// keys are refused.
	Scopes []string
	// UserFrom is the field of the file that names a key's user:
	//
	//	kong    consumer (username, else custom_id, else id), custom_id, id
	//	tyk     alias, org_id
	//	apisix  consumer
	//	aws     name, customer_id, id
	//
	// The first is the default. A name that can't be a user ID is changed into
	// one: other characters become -, and a hash of the name follows.
	UserFrom string
	// ClearText is true if the keys of a Tyk dump aren't hashes, even if they look
	// like hashes.
	ClearText bool
	// Now is the time from which a time to live counts.
	Now time.Time
	// Sources, if set, gathers where the gateway's clients send their keys.
	Sources *Sources
}

// sources are the values of [Options.UserFrom] by format.
var sources = map[string][]string{
	CSV: {""}, JSONL: {""},
	Kong: {"consumer", "custom_id", "id"}, Tyk: {"alias", "org_id"}, APISIX: {"consumer"}, AWS: {"name", "customer_id", "id"},
}

// Check refuses contradictory options.
func (o *Options) Check() error {
	from, known := sources[o.Format]
	switch {
	case !known:
		return fmt.Errorf("no such format; use one of %s", strings.Join(Formats(), ", "))
	case o.UserFrom != "" && from[0] == "":
		return fmt.Errorf("a file of this format names each key's user in the column user; leave out --user-from")
	case o.UserFrom != "" && !slices.Contains(from, o.UserFrom):
		return fmt.Errorf("its files name users by %s; correct --user-from", strings.Join(from, " or "))
	case o.UserFrom != "" && o.User != "":
		return fmt.Errorf("--user and --user-from exclude each other; leave out one")
	case o.PAT && o.App != "":
		return fmt.Errorf("a personal access token has no app; leave out --pat or --app")
	case o.ClearText && o.Format != Tyk:
		return fmt.Errorf("only Tyk's dumps may have hashes instead of keys; leave out --clear-text")
	}
	return nil
}

// Read calls emit with every key of a file in order, or with a problem of one. It
// returns the first error of emit, or an error if the rest of the file can't be
// read.
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
	in.Sources.addDefaults(o.Format)
	return in.morePages()
}

// reader reads one file.
type reader struct {
	Options
	emit func(Record, *Problem) error
	// users are the users of Kong's consumers, by the consumers' IDs and names.
	users map[string]string
	pages pages
}

// config hands on the configuration of an authentication plugin.
func (in *reader) config(name string, fields map[string]any) {
	in.Sources.config(in.Format, name, fields)
}

// begin skips a byte order mark.
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

// key completes a key with the options, checks it, and emits it.
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
		return in.wrong(k.Line, "credential", "this is a reference to a key (in a vault or an environment variable): write the keys themselves into the file, and import that")
	}
	switch {
	case k.User == "":
		return in.wrong(k.Line, "user", "the file names none here: give --user, or name one there")
	case k.Type == "":
		return in.wrong(k.Line, "app", "the file doesn't say what the key is for: give --app APP for keys of an app, or --pat for personal access tokens")
	case k.Type != PAT && k.Type != AppKey:
		return in.wrong(k.Line, "type", "it has to be %s or %s", AppKey, PAT)
	case k.Type == AppKey && k.App == "":
		return in.wrong(k.Line, "app", "it is missing; give --app APP, or make the key a %s", PAT)
	case k.Type == PAT && k.App != "":
		return in.wrong(k.Line, "app", "a %s has no app; leave it out", PAT)
	case k.Scopes == nil:
		return in.wrong(k.Line, "scopes", "the file names none: give --scopes")
	}
	for _, text := range append([]string{k.Credential, k.User, k.App, k.Description, k.Name}, slices.Concat(k.Scopes, k.Endpoints)...) {
		// A decoder puts the replacement character where bytes are not text.
		if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
			return in.wrong(k.Line, "", "it has, or once had, bytes that are not UTF-8 (Latin-1 or another encoding?): write the file as UTF-8")
		}
	}
	k.Description, k.Name = clean(k.Description), clean(k.Name)
	if k.Credential != "" && strings.Contains(k.Name, k.Credential) {
		k.Name = ""
	}
	return in.emit(k, nil)
}

// isReference reports whether a text refers to a key that is kept elsewhere, in
// the notation of Kong ({vault://…}), APISIX ($env://…, $secret://…), decK
// (${{ env "…" }}), or shells.
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

// clean makes a text usable as a description.
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
