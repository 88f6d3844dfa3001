package manage

import (
	"slices"
	"strings"
)

// action is what a PATCH does with its lists. It doesn't matter for other fields,
// which are set.
type action string

const (
	merge     action = "merge"     // add the elements
	overwrite action = "overwrite" // replace the list
	remove    action = "remove"    // remove the elements
)

// action reads the action of a PATCH.
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

// apply returns the changed list.
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

// union returns the old list, followed by the elements of the other that it lacks,
// without duplicates.
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

// difference returns the old list without the elements of the other.
func difference(old, less []string) []string {
	gone := map[string]bool{}
	for _, s := range less {
		gone[s] = true
	}
	return slices.DeleteFunc(union(nil, old), func(s string) bool { return gone[s] })
}

// readOne reads the change of one record. The fields are under the record's name,
// next to action, such as {"app":{"name":"…"}}, or on their own.
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

// sameVersion refuses a change of a record that was changed since the caller read
// it. It accepts a change without a version.
func sameVersion(element string, given *uint64, is uint64) error {
	if given == nil || *given == is {
		return nil
	}
	return refuse(CodeConflict, join(element, "version"), "the version is %d by now, because the record was changed; read the record again, and repeat the change if it still fits", is)
}

// texts formats a list for an error.
func texts(list []string) string { return strings.Join(list, ", ") }
