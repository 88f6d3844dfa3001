package protowalk

import "slices"

// kind is how a field's value is encoded.
type kind uint8

const (
	boolKind     kind = iota + 1
	int32Kind         // and enums
	uint32Kind        // and sint32
	varint64Kind      // int64, uint64 and sint64
	fixed32Kind
	fixed64Kind
	bytesKind
	textKind // a string of UTF-8
	messageKind
	groupKind // always refused
)

// field is one of a message's fields.
type field struct {
	number int32
	kind   kind
	// packable: the field is a repeated scalar, which may also be packed.
	packable bool
	// slot is shared by fields of which at most one may occur, once. 0 is none.
	slot uint8
	part Part
	of   *message // of a messageKind
}

// message is the compiled schema of a message at one place. It is immutable
// once compiled, and may refer to itself.
type message struct {
	name   string
	dense  []field // by number
	sparse []field // the others, sorted by number
}

// maxDense bounds the numbers that are looked up by index.
const maxDense = 256

// find returns the field of a number, or nil.
func (m *message) find(number int32) *field {
	if int(number) < len(m.dense) {
		if f := &m.dense[number]; f.kind != 0 {
			return f
		}
		return nil
	}
	i, ok := slices.BinarySearchFunc(m.sparse, number, func(f field, n int32) int { return int(f.number) - int(n) })
	if !ok {
		return nil
	}
	return &m.sparse[i]
}

// set gives the message its fields.
func (m *message) set(fields []field) {
	slices.SortFunc(fields, func(a, b field) int { return int(a.number) - int(b.number) })
	// Messages number their fields from 1 with few gaps, and extensions high up.
	dense := 0
	for i, f := range fields {
		if n := int(f.number); n < maxDense && n <= 4*(i+1)+8 {
			dense = i + 1
		} else {
			break
		}
	}
	if dense > 0 {
		m.dense = make([]field, fields[dense-1].number+1)
		for _, f := range fields[:dense] {
			m.dense[f.number] = f
		}
	}
	m.sparse = slices.Clone(fields[dense:])
}
