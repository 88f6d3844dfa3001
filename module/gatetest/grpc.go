package gatetest

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// Frame returns a message as gRPC writes it. With the flag 0x80 it is what
// gRPC-Web writes of trailers.
func Frame(flag byte, message []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message)))
	return append(b, message...)
}

// Field returns a message that has another in the field n.
func Field(n protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), message)
}

// UserApp returns a message that names an owner and an app in its first field,
// as Clarifai's requests do.
func UserApp(user, app string) []byte {
	return Field(1, append(Field(1, []byte(user)), Field(2, []byte(app))...))
}
