package keys

import (
	"errors"
	"fmt"
)

// What a look-up can answer.
var (
	// ErrNotFound is returned where there is no such record.
	ErrNotFound = errors.New("not found")
)

// What a change can be refused for.
var (
	// ErrExists is returned where an id is taken, or was taken by a user who
	// has been deleted since.
	ErrExists = errors.New("already exists")
	// ErrDeleting is returned where an app is to be made and one of its name is
	// still being deleted.
	ErrDeleting = errors.New("it is still being deleted; try again in a moment, or choose another id")
	// ErrRevoked is returned where a credential is to be stored that has been
	// revoked: a revocation stays for good.
	ErrRevoked = errors.New("this credential was revoked, and a revoked one never comes back; make a new one")
)

// What a store can fail with. Whatever else it returns is a failure of ours
// too, and never a reason to let a request pass.
var (
	// ErrUnavailable is returned where the store can't answer now.
	ErrUnavailable = errors.New("the key store can't answer")
	// ErrClosed is returned after Close.
	ErrClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)
	// ErrCorrupt is returned where a record can't be read.
	ErrCorrupt = errors.New("corrupt record in the key store")
)

// InvalidError says which field of a record is not acceptable, and why.
type InvalidError struct {
	Field  string
	Reason string
}

// Error is the field and the reason.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
