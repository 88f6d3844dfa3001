package manage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxElements bounds a list in a request, and so how long one change keeps
// others waiting.
const maxElements = 1000

// maxFields bounds an object: no call knows nearly as many.
const maxFields = 100

// maxPublicBody is the largest body that nobody in particular has read, in
// bytes: an address, a password and a code are no longer, however they are
// escaped.
const maxPublicBody = 16 << 10

// object is a JSON object of a request, read field by field. It is as strict
// as a credential's scopes deserve: a field that is unknown, or there twice,
// is refused, for two readers of one body could take it for two things. Names
// are exact, and values are never repeated in an error.
//
// The first error stays, and end returns it.
type object struct {
	path   string
	fields map[string]json.RawMessage
	known  []string
	err    error
}

// bodyKind says which body a call takes.
type bodyKind int

const (
	// noBody takes no field. A body that has one was meant for another call.
	noBody bodyKind = iota
	optionalBody
	requiredBody
)

// object reads the body of a request as one JSON object, whatever its
// Content-Type says: existing scripts send none. The body may have maxBody
// bytes if that is more than other calls allow.
func (r *request) object(kind bodyKind, maxBody int64) (*object, error) {
	data, err := r.read(max(r.api.maxBody(), maxBody))
	switch {
	case err != nil:
		return nil, err
	case len(data) > 0:
		return parseObject("", data)
	case kind == requiredBody:
		return nil, refuse(CodeBadFormat, "", "the body is empty; it has to be a JSON object")
	default:
		return &object{}, nil
	}
}

func (r *request) read(most int64) ([]byte, error) {
	if r.caller.UserID == "" && !r.caller.Operator {
		most = min(most, maxPublicBody)
	}
	data, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(CodeTooLarge, "", "the body is larger than %d bytes; send it in parts", tooLarge.Limit)
	case err != nil:
		return nil, refuse(CodeBadFormat, "", "the body could not be read to its end")
	case !utf8.Valid(data):
		return nil, refuse(CodeBadFormat, "", "the body is not UTF-8")
	}
	return bytes.TrimSpace(data), nil
}

func parseObject(path string, data []byte) (*object, error) {
	o := &object{path: path, fields: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(data))
	if first, err := d.Token(); err != nil {
		return nil, o.malformed(err)
	} else if first != json.Delim('{') {
		return nil, refuse(CodeBadFormat, path, "it has to be a JSON object, in braces")
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, o.malformed(err)
		}
		name, _ := token.(string) // the decoder takes nothing else here
		if _, twice := o.fields[name]; twice {
			return nil, refuse(CodeBadFormat, join(path, name), "it is there twice")
		}
		if len(o.fields) == maxFields {
			return nil, refuse(CodeInvalid, path, "it has more than %d fields, and no call knows as many", maxFields)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, o.malformed(err)
		}
		o.fields[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, o.malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse(CodeBadFormat, path, "something follows the JSON object")
	}
	return o, nil
}

func (o *object) malformed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(CodeBadFormat, o.path, "the JSON ends too early")
	}
	return refuse(CodeBadFormat, o.path, "it is not JSON: %v", err)
}

// field is where a field of the object stands in the body.
func (o *object) field(name string) string { return join(o.path, name) }

// fail keeps the first error.
func (o *object) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// endOf keeps the first error of an object within this one, which nothing more
// is read of.
func (o *object) endOf(in *object) {
	if err := in.end(); err != nil {
		o.fail(err)
	}
}

// take hands out a field's value.
func (o *object) take(name string) (json.RawMessage, bool) {
	o.known = append(o.known, name)
	value, ok := o.fields[name]
	delete(o.fields, name)
	return value, ok
}

// end returns the first error. A field that nobody took is one.
func (o *object) end() error {
	if o.err != nil || len(o.fields) == 0 {
		return o.err
	}
	names := slices.Sorted(maps.Keys(o.fields))
	hint := "this call takes none"
	if len(o.known) > 0 {
		hint = "known are " + strings.Join(o.known, ", ")
	}
	return refuse(CodeInvalid, o.field(names[0]), "there is no such field; %s", hint)
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

// decode reads a field into a value; wanted says in words what it has to be.
// It returns whether the field is there.
func decode[T any](o *object, name, wanted string, into *T) bool {
	value, ok := o.take(name)
	if !ok || isNull(value) {
		return ok
	}
	if err := json.Unmarshal(value, into); err != nil {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be %s", wanted))
	}
	return true
}

// text reads a text; null is the empty one.
func (o *object) text(name string, into *string) bool {
	return decode(o, name, "a text", into)
}

// flag reads true or false.
func (o *object) flag(name string, into *bool) bool {
	if isNull(o.fields[name]) {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be true or false"))
	}
	return decode(o, name, "true or false", into)
}

// number reads a whole number that isn't negative.
func (o *object) number(name string, into *uint64) bool {
	if isNull(o.fields[name]) {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be a whole number"))
	}
	return decode(o, name, "a whole number", into)
}

// texts reads a list of texts, in which each counts once; null is the empty
// one.
func (o *object) texts(name string, into *[]string) bool {
	texts, ok := list[string](o, name, "a list of texts")
	*into = union(nil, texts)
	return ok
}

// list reads a list; null is the empty one. wanted says in words what it has to
// be. One element too many ends the reading, so that a long list costs no more
// than a short one.
func list[T any](o *object, name, wanted string) (values []T, ok bool) {
	value, ok := o.take(name)
	if !ok || isNull(value) {
		return nil, ok
	}
	d := json.NewDecoder(bytes.NewReader(value))
	if first, err := d.Token(); err != nil || first != json.Delim('[') {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be %s", wanted))
		return nil, true
	}
	for d.More() {
		if len(values) == maxElements {
			o.fail(refuse(CodeInvalid, o.field(name), "it has more than %d elements; send the rest in another request", maxElements))
			return nil, true
		}
		var v T
		if err := d.Decode(&v); err != nil {
			o.fail(refuse(CodeInvalid, o.field(name), "it has to be %s", wanted))
			return nil, true
		}
		values = append(values, v)
	}
	return values, true
}

// time reads a time; null is the zero one.
func (o *object) time(name string, into *time.Time) bool {
	null := isNull(o.fields[name])
	var text string
	ok := o.text(name, &text)
	*into = time.Time{}
	if !ok || null {
		return ok
	}
	at, err := time.Parse(time.RFC3339, text)
	switch at = at.UTC(); {
	case err != nil:
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be a time of RFC 3339, as 2030-12-31T23:59:59Z"))
	case at.Year() < keys.FirstYear || at.Year() > keys.LastYear:
		o.fail(refuse(CodeInvalid, o.field(name), "its year has to be one from %d to %d; null is never", keys.FirstYear, keys.LastYear))
	}
	*into = at
	return ok
}

// inner reads an object within the object, nil where it is absent or null.
func (o *object) inner(name string) *object {
	value, ok := o.take(name)
	if !ok || isNull(value) {
		return nil
	}
	in, err := parseObject(o.field(name), value)
	if err != nil {
		o.fail(err)
		return nil
	}
	return in
}

// objects reads a list of objects.
func (o *object) objects(name string) []*object {
	values, _ := list[json.RawMessage](o, name, "a list of objects")
	found := make([]*object, 0, len(values))
	for i, value := range values {
		in, err := parseObject(fmt.Sprintf("%s[%d]", o.field(name), i), value)
		if err != nil {
			o.fail(err)
			return nil
		}
		found = append(found, in)
	}
	return found
}

// elements reads the list that a request is about, each element by read.
func elements[T any](o *object, name string, read func(*object) T) []T {
	objects := o.objects(name)
	if len(objects) == 0 {
		o.fail(refuse(CodeInvalid, o.field(name), "name at least one"))
	}
	values := make([]T, 0, len(objects))
	for _, in := range objects {
		values = append(values, read(in))
		o.endOf(in)
	}
	return values
}

// listOf reads a body that is one list of elements.
func listOf[T any](name string, read func(*object) T) func(*object) []T {
	return func(o *object) []T { return elements(o, name, read) }
}

// readIDs reads a body that is one list of IDs.
func readIDs(o *object) []string { return o.ids("ids") }

// ids reads the list of IDs that a request is about.
func (o *object) ids(name string) []string {
	texts, _ := list[string](o, name, "a list of texts")
	if len(texts) == 0 {
		o.fail(refuse(CodeInvalid, name, "name at least one"))
	}
	return texts
}

// required reads a text that has to be there.
func (o *object) required(name string) string {
	text := o.optional(name)
	if text == "" {
		o.fail(refuse(CodeInvalid, o.field(name), "it is missing"))
	}
	return text
}

func (o *object) optional(name string) (text string) {
	o.text(name, &text)
	return text
}

// given reads a field that may be absent: then it is nil.
func given[T any](read func(string, *T) bool, name string) *T {
	value := new(T)
	if !read(name, value) {
		return nil
	}
	return value
}
