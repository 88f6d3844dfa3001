package tenant

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// frameHeader is the flag and the length in front of a gRPC message (gRPC over
// HTTP/2, "Length-Prefixed-Message").
const frameHeader = 5

const (
	// readAtLeast is the room for one read of a client's body.
	readAtLeast = 4 << 10
	// keptBuffer is how large a buffer is kept between messages.
	keptBuffer = 64 << 10
)

// Stream is a gRPC request's body. It hands on whole messages, once they have
// been looked into, byte for byte.
type Stream struct {
	// of is whose: several gates may look into one body, each by its own rules.
	of     *Places
	body   io.ReadCloser
	schema *protowalk.Schema
	limit  int64
	done   <-chan struct{} // closed when the request has ended
	// check reports whether a message may follow the first. Without it, which
	// is where the first was refused, none may.
	check func(policy.Named) bool
	// note is there in shadow mode: it is told why the stream would have been
	// broken off, which then goes on without being looked into.
	note func(*Error)

	mu      sync.Mutex   // the upstream's connection reads in a goroutine of its own
	storage []byte       // that buffer is part of
	buffer  []byte       // read, and not yet handed on
	checked int          // how much of buffer has been looked into
	named   policy.Named // by the message that was looked into last
	passed  policy.Named // by the last one that passed the check
	ended   error        // why the body can't be read on
	failed  error
	open    bool // nothing is looked into any more
}

// Read hands on what has been looked into.
func (m *Stream) Read(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.checked == 0 && m.failed == nil && !m.open {
		m.look()
	}
	switch {
	case m.checked > 0:
		n := copy(p, m.buffer[:m.checked])
		m.buffer, m.checked = m.buffer[n:], m.checked-n
		return n, nil
	case m.failed != nil:
		return 0, m.failed
	case m.ended != nil:
		return 0, m.ended
	}
	return m.body.Read(p)
}

// look looks into the next message, and into those behind it that have come
// already.
func (m *Stream) look() {
	for {
		size, err := m.next()
		if err == nil && !m.passes() {
			err = errForeign
		}
		switch {
		case err == nil:
			m.checked += size
			if m.whole() {
				continue
			}
		case m.note != nil && breaks(err):
			m.note(messageError(err))
			m.open, m.checked = true, len(m.buffer)
		case m.note != nil:
			m.failed, m.checked = err, len(m.buffer) // what did come is handed on
		default:
			m.failed, m.buffer = err, m.buffer[:m.checked]
		}
		return
	}
}

// passes reports whether the message that was looked into may be handed on.
func (m *Stream) passes() bool {
	switch {
	case m.check == nil:
		return false
	case m.named == policy.Named{}, m.named == m.passed:
		return true
	case !m.check(m.named):
		return false
	}
	m.passed = m.named
	return true
}

// Watch has messages behind the first handed on only where check permits what
// they name. note, if any, is for shadow mode: it is told why the stream would
// have been broken off, which then goes on without being looked into.
func (m *Stream) Watch(check func(policy.Named) bool, note func(*Error)) {
	m.check, m.note = check, note
}

// Of reports whether the messages are looked into for these places.
func (m *Stream) Of(o *Places) bool { return m.of == o }

// Broken returns why the stream was broken off, nil if it wasn't by a gate.
func (m *Stream) Broken() *Error {
	if !m.mu.TryLock() {
		return nil // it is being read, so it was not broken off
	}
	defer m.mu.Unlock()
	return BrokenOff(m.failed)
}

// BrokenOff returns why a gate broke off a stream whose reading failed, nil if
// its client or its connection did.
func BrokenOff(err error) *Error {
	if breaks(err) {
		return messageError(err)
	}
	return nil
}

// breaks reports whether a stream is broken off by a gate, and not by its
// client.
func breaks(err error) bool {
	if _, malformed := errors.AsType[*protowalk.MalformedError](err); malformed {
		return true
	}
	return errors.Is(err, errForeign) || errors.Is(err, errCompressed) || errors.Is(err, errTooLarge)
}

// AsSent returns the body as it was, before anything of it was handed on.
func (m *Stream) AsSent() io.ReadCloser { return Rewound(m.buffer, m.body) }

// Close closes the client's body.
func (m *Stream) Close() error { return m.body.Close() }

// next looks into the message behind those that have been looked into, and
// returns its size with its frame. io.EOF is the end of the stream. What was
// read is in the buffer whatever is found.
func (m *Stream) next() (size int, err error) {
	m.named = policy.Named{}
	if err := m.require(frameHeader); err != nil {
		return 0, err
	}
	head := m.buffer[m.checked:]
	length := int64(binary.BigEndian.Uint32(head[1:]))
	switch {
	case head[0] != 0:
		return 0, errCompressed
	case length > m.limit:
		return 0, errTooLarge
	}
	size = frameHeader + int(length)
	if err := m.require(size); err != nil {
		return 0, unexpected(err)
	}
	err = m.schema.Walk(m.buffer[m.checked+frameHeader:m.checked+size], m.done, m)
	if errors.Is(err, protowalk.ErrStopped) {
		err = io.ErrUnexpectedEOF // the request has ended
	}
	return size, err
}

// require reads until so much of the next message is in the buffer.
func (m *Stream) require(size int) error {
	for len(m.buffer)-m.checked < size {
		select {
		case <-m.done:
			return io.ErrUnexpectedEOF
		default:
		}
		if m.ended != nil {
			if errors.Is(m.ended, io.EOF) && len(m.buffer) > m.checked {
				return io.ErrUnexpectedEOF
			}
			return m.ended
		}
		m.read()
	}
	return nil
}

// read reads once from the client. The buffer grows as bytes come, not by what
// the head of a frame claims.
func (m *Stream) read() {
	if len(m.buffer) == 0 {
		if cap(m.storage) > keptBuffer {
			m.storage = nil
		}
		m.buffer = m.storage[:0]
	}
	if cap(m.buffer)-len(m.buffer) < readAtLeast/4 {
		m.buffer = slices.Grow(m.buffer, max(readAtLeast, len(m.buffer)))
		m.storage = m.buffer
	}
	n, err := m.body.Read(m.buffer[len(m.buffer):cap(m.buffer)])
	m.buffer = m.buffer[:len(m.buffer)+n]
	m.ended = err
}

// whole reports whether the next message is in the buffer to its end.
func (m *Stream) whole() bool {
	rest := m.buffer[m.checked:]
	return len(rest) >= frameHeader && int64(len(rest)-frameHeader) >= int64(binary.BigEndian.Uint32(rest[1:]))
}

// Place adds what one occurrence of a message within the message names.
func (m *Stream) Place(named protowalk.Place) {
	p := policy.Mention{Conflict: named.Conflict}
	if named.Owner != nil {
		p.AddOwner(textOf(named.Owner, m.passed.Owner))
	}
	if named.App != nil {
		p.AddApp(textOf(named.App, m.passed.App))
	}
	m.named.Take(p)
}

// textOf is b as a string, which is mostly the known one.
func textOf(b []byte, known string) string {
	if string(b) == known {
		return known
	}
	return string(b)
}
