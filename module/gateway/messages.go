package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
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

// messages is a gRPC request's body. It hands on whole messages, once they have
// been looked into, byte for byte.
type messages struct {
	// of is whose: several gates may look into one body, each by its own rules.
	of     *ownership
	body   io.ReadCloser
	schema *protowalk.Schema
	limit  int64
	done   <-chan struct{} // closed when the request has ended
	// check reports whether a message may follow the first. Without it, which
	// is where the first was refused, none may.
	check func(names) bool
	// note is there in shadow mode: it is told why the stream would have been
	// broken off, which then goes on without being looked into.
	note func(*refusal)

	mu      sync.Mutex // the upstream's connection reads in a goroutine of its own
	storage []byte     // that buffer is part of
	buffer  []byte     // read, and not yet handed on
	checked int        // how much of buffer has been looked into
	named   names      // by the message that was looked into last
	passed  names      // by the last one that passed the check
	ended   error      // why the body can't be read on
	failed  error
	open    bool // nothing is looked into any more
}

// Read hands on what has been looked into.
func (m *messages) Read(p []byte) (int, error) {
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
func (m *messages) look() {
	for {
		size, err := m.next()
		if err == nil && !m.passes() {
			err = errNotYours
		}
		switch {
		case err == nil:
			m.checked += size
			if m.whole() {
				continue
			}
		case m.note != nil && breaks(err):
			m.note(refuseMessage(err))
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
func (m *messages) passes() bool {
	switch {
	case m.check == nil:
		return false
	case m.named == names{}, m.named == m.passed:
		return true
	case !m.check(m.named):
		return false
	}
	m.passed = m.named
	return true
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
	if _, malformed := errors.AsType[*protowalk.MalformedError](err); malformed {
		return true
	}
	return errors.Is(err, errNotYours) || errors.Is(err, errCompressed) || errors.Is(err, errTooLarge)
}

// asSent is the body as it was, before anything of it was handed on.
func (m *messages) asSent() io.ReadCloser { return wire.Rewound(m.buffer, m.body) }

// Close closes the client's body.
func (m *messages) Close() error { return m.body.Close() }

// next looks into the message behind those that have been looked into, and
// returns its size with its frame. io.EOF is the end of the stream. What was
// read is in the buffer whatever is found.
func (m *messages) next() (size int, err error) {
	m.named = names{}
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
func (m *messages) require(size int) error {
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
func (m *messages) read() {
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
func (m *messages) whole() bool {
	rest := m.buffer[m.checked:]
	return len(rest) >= frameHeader && int64(len(rest)-frameHeader) >= int64(binary.BigEndian.Uint32(rest[1:]))
}

// Place adds what one occurrence of a message within the message names.
func (m *messages) Place(named protowalk.Place) {
	p := place{conflict: named.Conflict}
	if named.Owner != nil {
		p.add(ownerPart, textOf(named.Owner, m.passed.owner))
	}
	if named.App != nil {
		p.add(appPart, textOf(named.App, m.passed.app))
	}
	m.named.take(p)
}

// textOf is b as a string, which is mostly the known one.
func textOf(b []byte, known string) string {
	if string(b) == known {
		return known
	}
	return string(b)
}
