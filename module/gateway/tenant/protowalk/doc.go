// Package protowalk reads a protobuf message by its schema, to its end, and
// finds the owners and apps that it names. It accepts a message only if every
// parser reads it alike.
//
// Parsers differ in what they make of a malformed message. protobufjs 6 and 7,
// the parsers of most Node gRPC servers, decode by field number alone: a string
// field sent as a varint is still read as a string. They take ten bytes for
// each 32-bit varint of more than five bytes, and let a submessage overrun its
// end. So a name can hide behind any field, not only behind one that names an
// owner. The walk therefore checks every field of the message:
//
//   - A known field has its declared wire type. A repeated scalar may be packed
//     or not, as the encoding permits.
//   - Tags, lengths and varints are minimal, and in the range of their type. A
//     negative int32 or enum takes ten bytes.
//   - Every length ends within its message. There are no groups.
//   - Strings are UTF-8 where the schema says so, and where they name an owner
//     or an app.
//   - A singular field that names an owner or app, or leads to one, occurs at
//     most once, and no other member of its oneof occurs beside it. Parsers
//     merge repeated messages differently.
//
// A field that the schema doesn't have is forwarded, as protobuf promises to
// newer clients, if it is encoded by the same rules. The schema must therefore
// be at least as new as the upstream's.
package protowalk
