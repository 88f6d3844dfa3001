package protowalk

import "math"

// The wire types (Protocol Buffers encoding, "Message Structure").
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// uvarint reads a varint and returns its length in bytes, which is 0 if the
// varint is cut off, longer than its value needs, or over 64 bits.
func uvarint(b []byte) (value uint64, size int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	for i, c := range b {
		if i == 9 && c > 1 {
			return 0, 0
		}
		value |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 {
				return 0, 0
			}
			return value, i + 1
		}
		if i == 9 {
			return 0, 0
		}
	}
	return 0, 0
}

// holds reports whether a varint is the encoding of a value of the kind.
func (k kind) holds(v uint64) bool {
	switch k {
	case boolKind:
		return v <= 1
	case int32Kind:
		return int64(v) == int64(int32(v)) //nolint:gosec // the sign is extended to 64 bits
	case uint32Kind:
		return v <= math.MaxUint32
	case varint64Kind:
		return true
	default:
		return false
	}
}
