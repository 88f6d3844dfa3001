package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// messageField is a field of protobuf messages, by the numbers that lead to
// it.
type messageField struct {
	path []protowire.Number
	part part
}

// messagePlace is a message within messages whose fields name owner and app.
type messagePlace struct {
	path       []protowire.Number
	owner, app protowire.Number // 0 where it has none
}

// placeOf adds a field to the place that it is of.
func placeOf(places []messagePlace, f messageField) []messagePlace {
	last := len(f.path) - 1
	i := slices.IndexFunc(places, func(p messagePlace) bool { return slices.Equal(p.path, f.path[:last]) })
	if i < 0 {
		i = len(places)
		places = append(places, messagePlace{path: f.path[:last]})
	}
	if f.part == ownerPart {
		places[i].owner = f.path[last]
	} else {
		places[i].app = f.path[last]
	}
	return places
}

// messageField reads a field as user_app_id.user_id=1.1.
func (g *Gate) messageField(text string) (f messageField, err error) {
	path, numbers, ok := strings.Cut(text, "=")
	if !ok {
		return f, fmt.Errorf("the field %q: write its path by name and by number, as user_app_id.user_id=1.1", text)
	}
	if f.part, err = g.partOf(path); err != nil {
		return f, err
	}
	for digits := range strings.SplitSeq(numbers, ".") {
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil || !protowire.Number(n).IsValid() {
			return f, fmt.Errorf("the field %q: %q is no number of a field", text, digits)
		}
		f.path = append(f.path, protowire.Number(n))
	}
	if strings.Count(path, ".") != len(f.path)-1 {
		return f, fmt.Errorf("the field %q needs as many numbers as names", text)
	}
	return f, nil
}

// frameHeader is the flag and the length in front of a gRPC message (gRPC over
// HTTP/2, "Length-Prefixed-Message").
const frameHeader = 5

var (
	errCompressed  = errors.New("compressed")
	errTooLarge    = errors.New("too large")
	errNotProtobuf = errors.New("no protobuf message")
	errNotYours    = errors.New("a message names an owner or an app that the caller has no right to")
)

// readMessage adds what the first message of a gRPC request names, and puts a
// reader in the body's place that looks into those that follow.
func (o *ownership) readMessage(w http.ResponseWriter, r *http.Request, n *names) (*messages, *refusal) {
	if len(r.Header["Content-Encoding"]) > 0 || !isProtobuf(r) {
		return nil, refuseBody(http.StatusUnsupportedMediaType, "This API looks for owner and app in messages, and can only look into protobuf. Send application/grpc+proto, without Content-Encoding.")
	}
	m := &messages{of: o, body: r.Body, places: o.messages[r.URL.Path], limit: o.limit}
	r.Body = m
	lift := o.deadline(w)
	first, err := m.next()
	lift()
	if errors.Is(err, io.EOF) {
		m.failed = io.EOF // no message at all, which names nobody
		err = nil
	}
	n.merge(first)
	return m, refuseMessage(err)
}

// refuseMessage is the answer to a message that can't be looked into, or that
// names what the caller has no right to; nil where there is nothing of the
// kind.
func refuseMessage(err error) *refusal {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotYours):
		return refuseOwner
	case errors.Is(err, errCompressed):
		return refuseBody(http.StatusUnsupportedMediaType, "A compressed message can't be looked into, and this API looks for owner and app in it. Send it uncompressed.")
	case errors.Is(err, errTooLarge):
		return refuseTooLarge
	case isTimeout(err):
		return refuseSlow
	}
	return refuseBody(http.StatusBadRequest, "The message is not a valid one.")
}

// isProtobuf tells the content types whose messages are protobuf: not those of
// another codec, nor gRPC-Web's text form. Some servers look for the codec in
// what follows a semicolon, so there is nothing of the kind.
func isProtobuf(r *http.Request) bool {
	switch strings.ToLower(r.Header.Get("Content-Type")) {
	case "application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpc-web+proto":
		return true
	}
	return false
}

// messages is a gRPC request's body. It hands on whole messages, each once it
// has been looked into: protobuf merges what is repeated, and the last one
// counts, so every occurrence in every message does here.
type messages struct {
	// of is whose: several gates may look into one body, each by its own rules.
	of     *ownership
	body   io.ReadCloser
	places []messagePlace
	limit  int64
	// check says whether a message may follow the first. Without it, which is
	// where the first was refused, none may.
	check func(names) bool
	// note is there in shadow mode: it is told why the stream would have been
	// broken off, which then goes on without being looked into.
	note func(*refusal)

	mu     sync.Mutex // the upstream's connection reads in a goroutine of its own
	buffer []byte     // looked into, and not yet handed on
	failed error
	open   bool // nothing is looked into any more
}

// Read hands on what has been looked into.
func (m *messages) Read(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.buffer) == 0 {
		switch {
		case m.failed != nil:
			return 0, m.failed
		case m.open:
			return m.body.Read(p)
		}
		n, err := m.next()
		if err == nil && (m.check == nil || !m.check(n)) {
			err = errNotYours
		}
		switch {
		case err == nil:
		case m.note != nil && breaks(err):
			m.note(refuseMessage(err))
			m.open = true
		case m.note != nil && len(m.buffer) > 0:
			m.failed = err // once what did come is handed on
		default:
			m.failed, m.buffer = err, nil
			return 0, err
		}
	}
	n := copy(p, m.buffer)
	m.buffer = m.buffer[n:]
	return n, nil
}

// refusal is why the stream was broken off; nil if it wasn't by us.
func (m *messages) refusal() *refusal {
	if !m.mu.TryLock() {
		return nil // it is being read, so it was not broken off
	}
	defer m.mu.Unlock()
	if breaks(m.failed) {
		return refuseMessage(m.failed)
	}
	return nil
}

// breaks says that a stream is broken off by us, and not by its client.
func breaks(err error) bool {
	return errors.Is(err, errNotYours) || errors.Is(err, errCompressed) ||
		errors.Is(err, errTooLarge) || errors.Is(err, errNotProtobuf)
}

// asSent is the body as it was, once no more than the first message was read.
func (m *messages) asSent() io.ReadCloser { return rewound(m.buffer, m.body) }

// Close closes the client's body.
func (m *messages) Close() error { return m.body.Close() }

// next reads one message into the buffer, and what it names. io.EOF is the end
// of the stream. What was read is in the buffer whatever is found, for whoever
// has to hand on the body as it was.
func (m *messages) next() (n names, err error) {
	var frame bytes.Buffer // it grows as bytes come, not by what a head claims
	_, err = io.CopyN(&frame, m.body, frameHeader)
	m.buffer = frame.Bytes()
	if err != nil {
		if frame.Len() > 0 {
			err = unexpected(err)
		}
		return n, err
	}
	length := int64(binary.BigEndian.Uint32(m.buffer[1:]))
	switch {
	case m.buffer[0] != 0:
		return n, errCompressed
	case length > m.limit:
		return n, errTooLarge
	}
	_, err = io.CopyN(&frame, m.body, length)
	m.buffer = frame.Bytes()
	if err != nil {
		return n, unexpected(err)
	}
	for i := range m.places {
		if !m.places[i].scan(m.buffer[frameHeader:], 0, &n) {
			return n, errNotProtobuf
		}
	}
	return n, nil
}

// scan adds every occurrence of a place; depth is how far on the way to it
// text is. Occurrences are places of their own: a list's elements are, and
// those that a parser would merge no encoder writes apart. It returns false
// where the text is no protobuf message.
func (p *messagePlace) scan(text []byte, depth int, n *names) bool {
	var here place
	for len(text) > 0 {
		number, kind, size := protowire.ConsumeTag(text)
		// A number beyond the valid ones is another to parsers of 32 bits.
		if size < 0 || !number.IsValid() {
			return false
		}
		text = text[size:]
		size = protowire.ConsumeFieldValue(number, kind, text)
		if size < 0 {
			return false
		}
		watched := depth < len(p.path) && number == p.path[depth] || depth == len(p.path) && (number == p.owner || number == p.app)
		switch {
		case !watched:
		case kind == protowire.StartGroupType:
			return false // how some parsers read messages, and others don't
		case kind != protowire.BytesType:
			// A field of another wire type is one that no parser knows.
		default:
			value, _ := protowire.ConsumeBytes(text)
			switch {
			case depth < len(p.path):
				if !p.scan(value, depth+1, n) {
					return false
				}
			case number == p.owner:
				here.add(ownerPart, string(value))
			default:
				here.add(appPart, string(value))
			}
		}
		text = text[size:]
	}
	if depth == len(p.path) {
		n.take(here)
	}
	return true
}
