package grpctest

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The messages of Clarifai's methods are written and read field by field, as
// unknown fields of an empty message. So the upstream accepts the messages of any
// method, and no code is generated.

// newRequest is a PostModelOutputsRequest about an app, of at least this size,
// and the sum of its bytes.
func newRequest(owner, app string, size int) (*emptypb.Empty, string) {
	field := func(b []byte, n protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), value)
	}
	userApp := field(field(nil, 1, []byte(owner)), 2, []byte(app))
	b := field(nil, 1, userApp)
	b = field(b, 2, []byte("model-1"))
	b = field(b, 4, field(nil, 1, []byte(strings.Repeat("x", size))))
	m := new(emptypb.Empty)
	m.ProtoReflect().SetUnknown(b)
	return m, sumOf(b)
}

// newAnswer is a MultiOutputResponse: its status is 10000, and has the
// message's number for its description and the sum of what it answers for its
// details.
func newAnswer(n int, sum string) []byte {
	s := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 10000)
	s = protowire.AppendString(protowire.AppendTag(s, 2, protowire.BytesType), strconv.Itoa(n))
	s = protowire.AppendString(protowire.AppendTag(s, 3, protowire.BytesType), sum)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), s)
}

func readAnswer(m *emptypb.Empty) (n int, sum string) {
	_, _, tag := protowire.ConsumeTag(m.ProtoReflect().GetUnknown())
	s, _ := protowire.ConsumeBytes(m.ProtoReflect().GetUnknown()[tag:])
	for len(s) > 0 {
		number, kind, length := protowire.ConsumeTag(s)
		value := s[length:]
		length += protowire.ConsumeFieldValue(number, kind, value)
		switch number {
		case 2:
			text, _ := protowire.ConsumeString(value)
			n, _ = strconv.Atoi(text)
		case 3:
			sum, _ = protowire.ConsumeString(value)
		}
		s = s[length:]
	}
	return n, sum
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
