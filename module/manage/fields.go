package manage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxElements limits a list in a request, and so how long one change makes others
// wait.
const maxElements = 1000

func isNull(value json.RawMessage) bool { return string(value) == "null" }

// decode reads a field into a value, and reports whether the field is there.
// wanted describes the valid values.
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

// text reads a text; null is the empty text.
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

// texts reads a list of texts without duplicates; null is the empty list.
func (o *object) texts(name string, into *[]string) bool {
	texts, ok := list[string](o, name, "a list of texts")
	*into = union(nil, texts)
	return ok
}

// list reads a list; null is the empty list. wanted describes the valid values.
// Reading stops at the first element beyond the limit, so that a long list costs no
// more than a short one.
func list[T any](o *object, name, wanted string) (values []T, ok bool) {
	return listUpTo[T](o, name, wanted, maxElements)
}

// listUpTo is list for a call that takes more elements than others.
func listUpTo[T any](o *object, name, wanted string, most int) (values []T, ok bool) {
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
		if len(values) == most {
			o.fail(refuse(CodeInvalid, o.field(name), "it has more than %d elements; send the rest in another request", most))
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

// time reads a time; null is the zero time.
func (o *object) time(name string, into *time.Time) bool {
	null := isNull(o.fields[name])
	var text string
	ok := o.text(name, &text)
	*into = time.Time{}
	if !ok || null {
		return ok
	}
	at, err := time.Parse(time.RFC3339, text)
	*into = at.UTC()
	if err != nil {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be a time of RFC 3339, such as 2030-12-31T23:59:59Z"))
		return ok
	}
	o.checkYear(name, *into)
	return ok
}

// checkYear refuses a time that no expiry can be.
func (o *object) checkYear(name string, at time.Time) {
	if at.Year() < keys.FirstYear || at.Year() > keys.LastYear {
		o.fail(refuse(CodeInvalid, o.field(name), "its year has to be one from %d to %d; null is never", keys.FirstYear, keys.LastYear))
	}
}

// inner reads an object within the object. It returns nil if that is absent or
// null.
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

// given reads a field. It returns nil if the field is absent.
func given[T any](read func(string, *T) bool, name string) *T {
	value := new(T)
	if !read(name, value) {
		return nil
	}
	return value
}
