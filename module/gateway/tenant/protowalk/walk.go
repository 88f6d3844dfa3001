package protowalk

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Part is what a field names.
type Part uint8

// The parts that a field can name.
const (
	Owner Part = iota + 1
	App
)

// Place is one occurrence of a message with fields that name an owner or app.
// The names are parts of the message that was walked; nil means not named.
type Place struct {
	Owner, App []byte
	// Conflict: a repeated field names two owners or two apps.
	Conflict bool
}

// Visitor receives the places of a message.
type Visitor interface {
	Place(Place)
}

// MaxDepth bounds how deep messages may be nested. C++ and Java stop at 100.
const MaxDepth = 128

// checkEvery is how many fields are read between two looks at the context.
const checkEvery = 4096

// ErrStopped means that the walk ended early, because its request did.
var ErrStopped = errors.New("the walk was stopped")

// MalformedError is the reason why a message has more than one reading, or none.
type MalformedError struct {
	Message string // the full name of the message type
	Field   int32  // 0 if the field's tag is malformed
	Why     string
}

func (e *MalformedError) Error() string {
	if e.Field == 0 {
		return e.Message + ": " + e.Why
	}
	return fmt.Sprintf("field %d of %s: %s", e.Field, e.Message, e.Why)
}

const (
	whyTag       = "a tag is malformed or not minimal"
	whyVarint    = "the varint is cut off or not minimal"
	whyRange     = "the value is out of the range of its type"
	whyWireType  = "the wire type is not the declared one"
	whyLength    = "the length is malformed or runs past the end of its message"
	whyCutOff    = "the value is cut off"
	whyGroup     = "groups and unknown wire types are not accepted"
	whyText      = "the text is not UTF-8"
	whyDepth     = "messages are nested too deep"
	whyRepeated  = "a field that may occur once occurs again, or with another member of its oneof"
	whyMalpacked = "the packed values are malformed"
)

// Schema is the compiled schema of a method's request message.
type Schema struct {
	root *message
}

// Walk reads a message to its end. It returns nil only if every parser reads
// the message as the walk did. The error is a [*MalformedError], or [ErrStopped]
// when done is closed before the end.
func (s *Schema) Walk(text []byte, done <-chan struct{}, v Visitor) error {
	w := walker{visitor: v, done: done}
	return w.message(s.root, text, 0)
}

type walker struct {
	visitor Visitor
	done    <-chan struct{}
	steps   int
}

// stopped reports whether the walk is to end; it looks now and then.
func (w *walker) stopped() bool {
	if w.steps++; w.steps%checkEvery != 0 {
		return false
	}
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// message reads the fields of one message, which is all of b.
func (w *walker) message(m *message, b []byte, depth int) error {
	if depth > MaxDepth {
		return &MalformedError{Message: m.name, Why: whyDepth}
	}
	var seen uint64
	var here Place
	for len(b) > 0 {
		if w.stopped() {
			return ErrStopped
		}
		tag, size := uvarint(b)
		if size == 0 || tag > math.MaxUint32 || tag>>3 == 0 {
			return &MalformedError{Message: m.name, Why: whyTag}
		}
		b = b[size:]
		number := int32(tag >> 3) //nolint:gosec // at most 29 bits
		f := m.find(number)
		if f != nil && f.slot != 0 {
			if seen&(1<<(f.slot-1)) != 0 {
				return &MalformedError{m.name, number, whyRepeated}
			}
			seen |= 1 << (f.slot - 1)
		}
		if tag&7 != wireBytes {
			size, why := scalar(f, tag&7, b)
			if why != "" {
				return &MalformedError{m.name, number, why}
			}
			b = b[size:]
			continue
		}
		length, size := uvarint(b)
		if size == 0 || length > uint64(len(b)-size) {
			return &MalformedError{m.name, number, whyLength}
		}
		value := b[size : size+int(length)] //nolint:gosec // within b
		b = b[size+len(value):]
		if f == nil {
			continue
		}
		if f.kind == messageKind {
			if err := w.message(f.of, value, depth+1); err != nil {
				return err
			}
		} else if why := w.delimited(f, value); why != "" {
			return &MalformedError{m.name, number, why}
		}
		here.add(f.part, value)
	}
	if here.Owner != nil || here.App != nil {
		w.visitor.Place(here)
	}
	return nil
}

// add takes in a value of a field.
func (p *Place) add(part Part, value []byte) {
	var name *[]byte
	switch part {
	case Owner:
		name = &p.Owner
	case App:
		name = &p.App
	default:
		return
	}
	p.Conflict = p.Conflict || *name != nil && !bytes.Equal(*name, value)
	*name = value
}

// scalar returns the size of a value that is not length-delimited, or why the
// value is refused.
func scalar(f *field, wire uint64, b []byte) (size int, why string) {
	var want kind
	switch wire {
	case wireVarint:
		value, size := uvarint(b)
		switch {
		case size == 0:
			return 0, whyVarint
		case f == nil:
			return size, ""
		case f.kind > varint64Kind:
			return 0, whyWireType
		case !f.kind.holds(value):
			return 0, whyRange
		}
		return size, ""
	case wireFixed32:
		size, want = 4, fixed32Kind
	case wireFixed64:
		size, want = 8, fixed64Kind
	default:
		return 0, whyGroup
	}
	switch {
	case f != nil && f.kind != want:
		return 0, whyWireType
	case len(b) < size:
		return 0, whyCutOff
	}
	return size, ""
}

// delimited checks a length-delimited value that is not a message.
func (w *walker) delimited(f *field, value []byte) (why string) {
	switch {
	case f.kind == bytesKind:
		return ""
	case f.kind == textKind:
		if !utf8.Valid(value) {
			return whyText
		}
		return ""
	case f.kind == groupKind:
		return whyGroup
	case !f.packable:
		return whyWireType
	case f.kind == fixed32Kind && len(value)%4 != 0, f.kind == fixed64Kind && len(value)%8 != 0:
		return whyMalpacked
	case f.kind == fixed32Kind, f.kind == fixed64Kind:
		return ""
	}
	for len(value) > 0 {
		v, size := uvarint(value)
		if size == 0 || !f.kind.holds(v) {
			return whyMalpacked
		}
		value = value[size:]
	}
	return ""
}
