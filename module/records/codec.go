package records

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// A value is a record in CBOR, followed by its CRC-32C. The record needs a checksum
// because most of it is text, in which a flipped bit makes another valid scope or
// endpoint.
//
// Every record contains its own key, and is refused under another.

const checksumLength = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// strict accepts only the encoder's own output. Records of later versions may have
// more fields, but then the file's format is newer.
var strict = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
}.DecMode())

// encode makes the value of a record.
func (t *table[R, S]) encode(record R) ([]byte, error) {
	value, err := seal(t.pack(record))
	if err != nil {
		return nil, err
	}
	// Don't write a record that can't be read again, such as one with invalid
	// UTF-8: neither its holder nor an operator could repair it.
	if _, err := t.decode(t.key(record), value); err != nil {
		return nil, fmt.Errorf("it could not be read again: %v", err)
	}
	return value, nil
}

// decode reads the value under a key. The record shares no memory with it.
func (t *table[R, S]) decode(key, value []byte) (R, error) {
	var stored S
	err := unseal(value, &stored)
	if err != nil {
		var none R
		return none, t.corrupt(key, err)
	}
	record, err := t.unpack(stored)
	if err == nil && !bytes.Equal(t.key(record), key) {
		err = fmt.Errorf("it has the key %s", shown(t.key(record)))
	}
	if err != nil {
		var none R
		return none, t.corrupt(key, err)
	}
	return record, nil
}

func (t *table[R, S]) corrupt(key []byte, err error) error {
	return fmt.Errorf("%w: the %s %s: %w", keys.ErrCorrupt, t.name, shown(key), err)
}

func seal(stored any) ([]byte, error) {
	body, err := cbor.Marshal(stored)
	if err != nil {
		return nil, err
	}
	return withChecksum(body), nil
}

func withChecksum(body []byte) []byte {
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

func unseal(value []byte, stored any) error {
	end := len(value) - checksumLength
	if end < 0 {
		return errors.New("it is cut off")
	}
	body := value[:end]
	if binary.BigEndian.Uint32(value[end:]) != crc32.Checksum(body, castagnoli) {
		return errors.New("its checksum is wrong")
	}
	return strict.Unmarshal(body, stored)
}

// shown returns a key for an error: IDs as they are, and enough of a digest to
// identify it.
func shown(key []byte) string {
	if !utf8.Valid(key) {
		return hex.EncodeToString(key[:min(len(key), 8)]) + "…"
	}
	return strconv.Quote(string(bytes.ReplaceAll(bytes.TrimRight(key, "\x00"), []byte{0}, []byte{'/'})))
}

// stamp is a time: seconds and nanoseconds since 1970, because nanoseconds alone
// end in 2262. A nil stamp is the zero time.
type stamp struct {
	_       struct{} `cbor:",toarray"`
	Seconds int64
	Nanos   int64
}

func packTime(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	return &stamp{Seconds: t.Unix(), Nanos: int64(t.Nanosecond())}
}

func (s *stamp) time() (time.Time, error) {
	if s == nil {
		return time.Time{}, nil
	}
	t := time.Unix(s.Seconds, s.Nanos).UTC()
	// A stamp of the zero time would remove an expiry.
	if t.IsZero() || s.Nanos < 0 || s.Nanos >= int64(time.Second) {
		return time.Time{}, fmt.Errorf("it has the time %d.%d", s.Seconds, s.Nanos)
	}
	return t, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
