package protowalk

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Watch is a field that names an owner or an app.
type Watch struct {
	// Names and Numbers lead from the request message to the field.
	Names   []string
	Numbers []protowire.Number
	Part    Part
}

// String returns the field in the form user_app_id.user_id=1.1.
func (w Watch) String() string {
	var b strings.Builder
	b.WriteString(strings.Join(w.Names, "."))
	for i, n := range w.Numbers {
		b.WriteByte("=."[min(i, 1)])
		fmt.Fprint(&b, n)
	}
	return b.String()
}

// Compile returns the schema of a method's request message, in which the given
// fields are watched. The method is given as /package.Service/Method.
func (d *Descriptors) Compile(method string, watched []Watch) (*Schema, error) {
	m := d.method(method)
	if m == nil {
		return nil, fmt.Errorf("the descriptors have no method %s", method)
	}
	var b strings.Builder
	b.WriteString(method)
	for _, w := range watched {
		fmt.Fprint(&b, " ", w.Part, w)
	}
	key := b.String()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.compiled[key]; s != nil {
		return s, nil
	}
	ways := make([]way, len(watched))
	for i := range watched {
		ways[i] = way{watched[i], watched[i]}
	}
	root, err := d.watchedMessage(m.Input(), ways)
	if err != nil {
		clear(d.types) // some refer to what could not be compiled
		return nil, err
	}
	s := &Schema{root}
	d.compiled[key] = s
	return s, nil
}

// way is the rest of the way to a watched field.
type way struct {
	rest, whole Watch
}

// watchedMessage compiles a message type at a place that ways lead through.
func (d *Descriptors) watchedMessage(md protoreflect.MessageDescriptor, ways []way) (*message, error) {
	if md.IsPlaceholder() {
		return nil, missing(md)
	}
	leading := map[protowire.Number][]way{}
	for _, w := range ways {
		leading[w.rest.Numbers[0]] = append(leading[w.rest.Numbers[0]], w)
	}
	var slots slots
	var fields []field
	for _, fd := range d.fieldsOf(md) {
		through := leading[fd.Number()]
		delete(leading, fd.Number())
		f, err := d.watchedField(fd, through)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
		if len(through) > 0 || md.IsMapEntry() {
			slots.claim(fd)
		}
	}
	for _, ws := range leading {
		return nil, fmt.Errorf("the field %s: %s has no field %d", ws[0].whole, md.FullName(), ws[0].rest.Numbers[0])
	}
	for i, fd := range d.fieldsOf(md) {
		var err error
		if fields[i].slot, err = slots.of(fd); err != nil {
			return nil, err
		}
	}
	m := &message{name: string(md.FullName())}
	m.set(fields)
	return m, nil
}

// watchedField compiles a field that ways may lead through, or to.
func (d *Descriptors) watchedField(fd protoreflect.FieldDescriptor, through []way) (field, error) {
	f, err := d.field(fd, len(through) == 0)
	if err != nil {
		return f, err
	}
	var further []way
	for _, w := range through {
		text := fd.Kind() == protoreflect.StringKind
		switch {
		case string(fd.Name()) != w.rest.Names[0]:
			return f, fmt.Errorf("the field %s: the number %d of %s is the field %s", w.whole, fd.Number(), fd.Parent().FullName(), fd.Name())
		case len(w.rest.Numbers) > 1 && (f.kind != messageKind || fd.IsMap() && w.rest.Numbers[1] != 2):
			return f, fmt.Errorf("the field %s: %s is not a message", w.whole, fd.FullName())
		case len(w.rest.Numbers) > 1:
			rest := Watch{Names: w.rest.Names[1:], Numbers: w.rest.Numbers[1:], Part: w.rest.Part}
			further = append(further, way{rest, w.whole})
		case !text:
			return f, fmt.Errorf("the field %s: %s is not a string", w.whole, fd.FullName())
		case f.part != 0 && f.part != w.rest.Part:
			return f, fmt.Errorf("the field %s can't name both the owner and the app", w.whole)
		default:
			// Parsers differ in what they make of other text than UTF-8.
			f.part, f.kind = w.rest.Part, textKind
		}
	}
	if len(further) > 0 {
		f.of, err = d.watchedMessage(fd.Message(), further)
	}
	return f, err
}

// slots are shared by fields of which one may occur, once.
type slots struct {
	byField map[protoreflect.FullName]uint8
	last    int
}

// claim gives a singular field on the way to a watched one a slot, which it
// shares with the other members of its oneof.
func (s *slots) claim(fd protoreflect.FieldDescriptor) {
	if fd.Cardinality() == protoreflect.Repeated || s.byField[fd.FullName()] != 0 {
		return
	}
	if s.byField == nil {
		s.byField = map[protoreflect.FullName]uint8{}
	}
	s.last++
	slot := uint8(min(s.last, 255)) //nolint:gosec // bounded
	s.byField[fd.FullName()] = slot
	if oneof := fd.ContainingOneof(); oneof != nil {
		for i := range oneof.Fields().Len() {
			s.byField[oneof.Fields().Get(i).FullName()] = slot
		}
	}
}

func (s *slots) of(fd protoreflect.FieldDescriptor) (uint8, error) {
	if s.last > 64 {
		return 0, fmt.Errorf("more than 64 fields of %s lead to an owner or app", fd.Parent().FullName())
	}
	return s.byField[fd.FullName()], nil
}

// field compiles a field. The message type of one that leads to a watched field
// is compiled elsewhere.
func (d *Descriptors) field(fd protoreflect.FieldDescriptor, withType bool) (f field, err error) {
	f = field{number: int32(fd.Number()), kind: kindOf(fd)}
	f.packable = fd.IsList() && f.kind < bytesKind
	if f.kind == messageKind && withType {
		f.of, err = d.message(fd.Message())
	}
	return f, err
}

// message compiles a message type without watched fields. Types may refer to
// themselves.
func (d *Descriptors) message(md protoreflect.MessageDescriptor) (*message, error) {
	if m := d.types[md.FullName()]; m != nil {
		return m, nil
	}
	if md.IsPlaceholder() {
		return nil, missing(md)
	}
	m := &message{name: string(md.FullName())}
	d.types[md.FullName()] = m
	var fields []field
	for _, fd := range d.fieldsOf(md) {
		f, err := d.field(fd, true)
		if err != nil {
			return nil, err
		}
		if md.IsMapEntry() {
			f.slot = uint8(fd.Number()) //nolint:gosec // 1 for the key, 2 for the value
		}
		fields = append(fields, f)
	}
	m.set(fields)
	return m, nil
}

func missing(md protoreflect.MessageDescriptor) error {
	return fmt.Errorf("the descriptors lack %s; write them with their imports (protoc --include_imports)", md.FullName())
}

func kindOf(fd protoreflect.FieldDescriptor) kind {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return boolKind
	case protoreflect.Int32Kind, protoreflect.EnumKind:
		return int32Kind
	case protoreflect.Uint32Kind, protoreflect.Sint32Kind:
		return uint32Kind
	case protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.Sint64Kind:
		return varint64Kind
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return fixed32Kind
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return fixed64Kind
	case protoreflect.MessageKind:
		return messageKind
	case protoreflect.StringKind:
		if checked, ok := fd.(interface{ EnforceUTF8() bool }); ok && !checked.EnforceUTF8() {
			return bytesKind
		}
		return textKind
	case protoreflect.BytesKind:
		return bytesKind
	default:
		return groupKind
	}
}
