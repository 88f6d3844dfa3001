package manage

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFields limits the fields of an object. No call knows nearly as many.
const maxFields = 100

// maxPublicBody is the largest body of a call without a credential, in bytes. It
// has room for an address, a password and a code, however they are escaped.
const maxPublicBody = 16 << 10

// object is a JSON object of a request, read field by field. It refuses unknown
// and repeated fields, because two readers of one body could understand them
// differently. Names are exact, and no error repeats a value.
//
// The object keeps the first error, and end returns it.
type object struct {
	path   string
	fields map[string]json.RawMessage
	known  []string
	err    error
}

// bodyKind tells whether a call has a body.
type bodyKind int

const (
	// noBody refuses every field, because a body with one is meant for another
	// call.
	noBody bodyKind = iota
	optionalBody
	requiredBody
)

// object reads the body of a request as one JSON object. It ignores Content-Type,
// which existing scripts don't send. The body may have maxBody bytes if that is
// more than other calls allow.
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
		name, _ := token.(string) // the decoder accepts nothing else here
		if _, twice := o.fields[name]; twice {
			return nil, refuse(CodeBadFormat, join(path, name), "it is there twice")
		}
		if len(o.fields) == maxFields {
			return nil, refuse(CodeInvalid, path, "it has more than %d fields, which no call has", maxFields)
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

// field returns the path of a field in the body.
func (o *object) field(name string) string { return join(o.path, name) }

// fail keeps the first error.
func (o *object) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// endOf keeps the first error of an inner object, after all its fields were read.
func (o *object) endOf(in *object) {
	if err := in.end(); err != nil {
		o.fail(err)
	}
}

// take returns a field's value and removes the field.
func (o *object) take(name string) (json.RawMessage, bool) {
	o.known = append(o.known, name)
	value, ok := o.fields[name]
	delete(o.fields, name)
	return value, ok
}

// end returns the first error. A field that was not taken is an error.
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
