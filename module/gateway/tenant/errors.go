package tenant

import (
	"errors"
	"net"
	"os"
)

// Problem is what is wrong with a body or a message.
type Problem uint8

// The problems.
const (
	// Unreadable: it can't be looked into, because of its type or encoding.
	Unreadable Problem = iota + 1
	// TooLarge: it is larger than what is looked into.
	TooLarge
	// Slow: it did not come in time.
	Slow
	// Ambiguous: it did not come whole, or parsers may read it differently.
	Ambiguous
	// Foreign: a message names an owner or an app that the caller has no right
	// to.
	Foreign
)

// Error is why a body or a message is refused.
type Error struct {
	Problem Problem
	Details string // what to do
}

// Error returns the details.
func (e *Error) Error() string { return e.Details }

var (
	errTooLarge   = &Error{TooLarge, "The body is larger than this API can read. Send less at once."}
	errSlow       = &Error{Slow, "The body did not come in time."}
	errForeign    = &Error{Foreign, "a message names an owner or an app that the caller has no right to"}
	errCompressed = &Error{Unreadable, "A compressed message can't be looked into, and this API looks for owner and app in it. Send it uncompressed."}
)

// isTimeout tells the read deadline's end, as HTTP/1.1 and HTTP/2 report it.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, os.ErrDeadlineExceeded) || ok && timeout.Timeout()
}
