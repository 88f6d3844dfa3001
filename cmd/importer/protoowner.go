package importer

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// owners finds where requests name the owner and the app outside the path. The
// type of a message tells messages that choose the owner of a request from records
// that merely have a user_id: if the field that names the owner is
// user_app_id.user_id, every field of user_app_id's type counts, anywhere in a
// request.
type owners struct {
	*builder
	parts [2]ownerPart // the owner, the app
	// distance is the number of fields between a message and the nearest message
	// that names owner or app. Messages that lead to none are missing.
	distance map[protoreflect.FullName]int
	leads    map[protoreflect.FullName][]protoreflect.FieldDescriptor
	found    map[protoreflect.FullName]found
	nodes    []node // of the current walk

	query    map[policy.OwnerFields]bool
	body     map[string]bool
	messages []policy.OwnerMessage
}

// ownerPart is the owner or the app.
type ownerPart struct {
	// parent is the path from a request to the message that has the field name.
	// It is empty if requests have the field themselves.
	parent []string
	name   string
	// types are the types of parent in all requests. own are the requests that
	// have the field themselves.
	types, own map[protoreflect.FullName]bool
	// variable is the name by which a site recognizes the field.
	variable string
	warned   bool
}

// found are the fields that name owner or app in one type of request.
type found struct {
	fields [][]protoreflect.FieldDescriptor
	// beyond is a path to more of them that a table can't express, or empty.
	beyond string
}

func newOwners(b *builder) *owners {
	o := &owners{
		builder: b, distance: map[protoreflect.FullName]int{},
		leads: map[protoreflect.FullName][]protoreflect.FieldDescriptor{}, found: map[protoreflect.FullName]found{},
		query: map[policy.OwnerFields]bool{}, body: map[string]bool{},
	}
	for i, field := range []string{b.owner, b.app} {
		path := strings.Split(field, ".")
		last := len(path) - 1
		o.parts[i] = ownerPart{
			parent: path[:last], name: path[last],
			types: map[protoreflect.FullName]bool{}, own: map[protoreflect.FullName]bool{},
			variable: []string{ownerVariable, appVariable}[i],
		}
	}
	return o
}

// learn finds the messages that name owner and app in all requests of the files,
// and the messages that lead to them.
func (o *owners) learn(d *description, files []protoreflect.FileDescriptor) {
	for _, file := range files {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				o.learnTypes(d.place(methods.Get(j)), methods.Get(j))
			}
		}
	}
	into := map[protoreflect.FullName][]protoreflect.FullName{}
	d.files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		holders(file.Messages(), into)
		return true
	})
	var next []protoreflect.FullName
	for _, p := range o.parts {
		for name := range p.types {
			o.distance[name] = 0
			next = append(next, name)
		}
	}
	for len(next) > 0 {
		for _, holder := range into[next[0]] {
			if _, known := o.distance[holder]; !known {
				o.distance[holder] = o.distance[next[0]] + 1
				next = append(next, holder)
			}
		}
		next = next[1:]
	}
}

func (o *owners) learnTypes(place string, method protoreflect.MethodDescriptor) {
	request := method.Input()
	for i := range o.parts {
		p, m := &o.parts[i], request
		for _, name := range p.parent {
			if m == nil {
				break
			}
			field := m.Fields().ByName(protoreflect.Name(name))
			if m = nil; field != nil {
				m = field.Message()
			}
		}
		if m == nil {
			continue
		}
		field := m.Fields().ByName(protoreflect.Name(p.name))
		switch {
		case field == nil:
		case fold(p.name) != fold(p.variable) || field.Kind() != protoreflect.StringKind:
			if !p.warned {
				p.warned = true
				o.warn(place, "%s can also be named outside the path, by %s and others, where only a text called %s can be checked: refuse such requests behind the gate",
					string(field.FullName()), string(method.Name()), p.variable)
			}
		case len(p.parent) > 0:
			p.types[m.FullName()] = true
		default:
			p.own[m.FullName()] = true
		}
	}
}

// holders adds for each message the messages that have a field of its type.
func holders(messages protoreflect.MessageDescriptors, into map[protoreflect.FullName][]protoreflect.FullName) {
	for i := range messages.Len() {
		m := messages.Get(i)
		for j := range m.Fields().Len() {
			if of := m.Fields().Get(j).Message(); of != nil {
				into[of.FullName()] = append(into[of.FullName()], m.FullName())
			}
		}
		holders(m.Messages(), into)
	}
}

// method adds the places in a method's messages.
func (o *owners) method(bind binding, m protoreflect.MethodDescriptor) error {
	in := o.in(m.Input())
	if in.beyond != "" {
		o.warn(bind.place, "%s can name an owner or an app in %s, where it is not checked: refuse such requests behind the gate", bind.operation, in.beyond)
	}
	if len(in.fields) == 0 {
		return nil
	}
	message := policy.OwnerMessage{Method: bind.endpoint}
	size := len(message.Method)
	for _, path := range in.fields {
		var numbers []string
		for _, field := range path {
			numbers = append(numbers, strconv.Itoa(int(field.Number())))
		}
		text := dotted(path) + "=" + strings.Join(numbers, ".")
		message.Fields = append(message.Fields, text)
		size += len(text)
	}
	o.messages = append(o.messages, message)
	return o.spend(size)
}

// binding adds the places in the query and the body of an HTTP binding: the option
// body names the fields of the body, and the query has the others.
func (o *owners) binding(bind binding, m protoreflect.MethodDescriptor, template, body string) error {
	for _, path := range o.in(m.Input()).fields {
		inBody := body == "*"
		if !inBody && string(path[0].Name()) == body {
			inBody, path = true, path[1:]
		}
		var err error
		switch {
		case inBody:
			err = o.inJSON(bind, path)
		case !inPath(template, path):
			err = o.inQuery(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dotted returns a field's path.
func dotted(path []protoreflect.FieldDescriptor) string {
	var names []string
	for _, field := range path {
		names = append(names, string(field.Name()))
	}
	return strings.Join(names, ".")
}

// inPath reports whether a template's variable is the field.
func inPath(template string, path []protoreflect.FieldDescriptor) bool {
	name := "{" + dotted(path)
	return strings.Contains(template, name+"}") || strings.Contains(template, name+"=")
}

// inJSON adds a field that a body can have. A site only looks for names, so it
// finds nothing in a map, which may have any keys.
func (o *owners) inJSON(bind binding, path []protoreflect.FieldDescriptor) error {
	sayable := len(path) > 0 && !slices.ContainsFunc(path, protoreflect.FieldDescriptor.IsMap)
	if !sayable || oddInJSON(path) {
		o.warn(bind.place, "%s can name an owner or an app in its body where it is not checked, in a map or by another JSON name: refuse such requests behind the gate", bind.operation)
	}
	if !sayable {
		return nil
	}
	for _, text := range spellings(path) {
		o.body[text] = true
		if err := o.spend(len(text)); err != nil {
			return err
		}
	}
	return nil
}

// oddInJSON reports whether the path has a JSON name that can't be written in a
// table, or whose last name doesn't tell owner or app.
func oddInJSON(path []protoreflect.FieldDescriptor) bool {
	return otherInJSON(path[len(path)-1]) || slices.ContainsFunc(path, func(field protoreflect.FieldDescriptor) bool {
		return otherInJSON(field) && !plainJSON(field)
	})
}

// otherInJSON reports whether a site would take the JSON name of the field for
// another field.
func otherInJSON(field protoreflect.FieldDescriptor) bool {
	return fold(field.JSONName()) != fold(string(field.Name()))
}

// plainJSON reports whether the JSON name of the field can be part of a path.
func plainJSON(field protoreflect.FieldDescriptor) bool {
	return field.JSONName() != "" && strings.Trim(field.JSONName(), "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// inQuery adds a field that a query can have, together with the other part: a
// missing field names nobody.
func (o *owners) inQuery(path []protoreflect.FieldDescriptor) error {
	if slices.ContainsFunc(path[:len(path)-1], func(f protoreflect.FieldDescriptor) bool { return f.IsList() || f.IsMap() }) {
		return nil // google.api.http has no way to write it
	}
	for _, text := range spellings(path) {
		parent := text[:strings.LastIndexByte(text, '.')+1]
		fields := policy.OwnerFields{Owner: parent + o.parts[0].checked(), App: parent + o.parts[1].checked()}
		o.query[fields] = true
		if err := o.spend(len(fields.Owner) + len(fields.App)); err != nil {
			return err
		}
	}
	return nil
}

// checked returns the name by which a site recognizes the part.
func (p *ownerPart) checked() string {
	if fold(p.name) != fold(p.variable) {
		return p.variable
	}
	return p.name
}

// spellings returns the ways to write a field's path. A site treats user_id and
// userId alike, but JSON may have a different name for a field.
func spellings(path []protoreflect.FieldDescriptor) []string {
	texts := []string{""}
	for i, field := range path {
		dot := "."
		if i == 0 {
			dot = ""
		}
		name, inJSON := string(field.Name()), field.JSONName()
		for j := range texts {
			if i < len(path)-1 && otherInJSON(field) && plainJSON(field) {
				texts = append(texts, texts[j]+dot+inJSON)
			}
			texts[j] += dot + name
		}
	}
	return texts
}

// fold maps the spellings of a name that a site treats alike to one.
func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// into adds the found places to a table.
func (o *owners) into(t *tables.Table) {
	t.OwnerBody = slices.SortedFunc(maps.Keys(o.body), byPlace)
	t.OwnerQuery = slices.SortedFunc(maps.Keys(o.query), func(a, b policy.OwnerFields) int { return byPlace(a.Owner, b.Owner) })
	t.OwnerMessage = slices.SortedFunc(slices.Values(o.messages), func(a, b policy.OwnerMessage) int { return strings.Compare(a.Method, b.Method) })
}

// byPlace sorts the nearest fields first, and within one message the owner before
// the app.
func byPlace(a, b string) int {
	parentA, parentB := a[:strings.LastIndexByte(a, '.')+1], b[:strings.LastIndexByte(b, '.')+1]
	return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), strings.Compare(parentA, parentB), strings.Compare(b, a))
}
