package manage

import (
	"slices"
	"strings"
)

// action is what a PATCH does with its lists. Every other field is set, whatever
// the action.
type action string

const (
	merge     action = "merge"     // add to what is there
	overwrite action = "overwrite" // put in its place
	remove    action = "remove"    // take away from it
)

// action reads what a PATCH is to do with the lists.
func (o *object) action() action {
	var a action
	decode(o, "action", "a text", &a)
	switch a {
	case "", merge, overwrite, remove:
	default:
		o.fail(refuse(CodeInvalid, o.field("action"), "it has to be merge, overwrite or remove"))
	}
	return a
}

// apply works out what becomes of a list.
func (a action) apply(old, given []string) []string {
	switch a {
	case merge:
		return union(old, given)
	case remove:
		return difference(old, given)
	default:
		return union(nil, given)
	}
}

// union is the old list, and behind it what of the other it lacks; each once.
func union(old, more []string) []string {
	var list []string
	seen := map[string]bool{}
	for _, s := range slices.Concat(old, more) {
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list
}

// difference is the old list less what the other has.
func difference(old, less []string) []string {
	gone := map[string]bool{}
	for _, s := range less {
		gone[s] = true
	}
	return slices.DeleteFunc(union(nil, old), func(s string) bool { return gone[s] })
}

// readOne reads the change of one record: its fields under the record's name
// and beside action, as in {"app":{"name":"…"}}, or the fields alone.
func readOne[T any](o *object, name string, read func(*object) T) T {
	in := o
	if _, wrapped := o.fields[name]; wrapped {
		if in = o.inner(name); in == nil {
			in = &object{path: name}
		}
	}
	v := read(in)
	if in != o {
		o.endOf(in)
	}
	o.action()
	return v
}

// sameVersion refuses a change of a record that somebody else has changed since
// the caller read it. A change without a version is always made.
func sameVersion(element string, given *uint64, is uint64) error {
	if given == nil || *given == is {
		return nil
	}
	return refuse(CodeConflict, join(element, "version"), "it is %d by now, so somebody has changed the record meanwhile; read it again, and make the change to what it is now", is)
}

// texts is a list as an error names it.
func texts(list []string) string { return strings.Join(list, ", ") }
