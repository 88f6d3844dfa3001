package keys

import (
	"errors"
	"fmt"
)

// Errors of look-ups.
var (
	// ErrNotFound is returned if there is no such record.
	ErrNotFound = errors.New("not found")
)

// Errors of refused changes.
var (
	// ErrExists is returned if an ID is taken, or was taken by a user who has
	// since been deleted.
	ErrExists = errors.New("already exists")
	// ErrDeleting is returned if an app is created while one with its ID is
	// still being deleted.
	ErrDeleting = errors.New("it is still being deleted; try again in a moment, or choose another id")
	// ErrRevoked is returned if a revoked credential is to be stored again: a
	// revocation is permanent.
	ErrRevoked = errors.New("this credential was revoked, and a revoked one never comes back; make a new one")
)

// Errors of stores. Any other error of a store is a failure too, and never a
// reason to allow a request.
var (
	// ErrUnavailable is returned if the store can't answer now.
	ErrUnavailable = errors.New("the key store can't answer")
	// ErrClosed is returned after Close.
	ErrClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)
	// ErrTooManyWrites is returned by an update that writes more records than
	// the store can write at once.
	ErrTooManyWrites = errors.New("too much for one change of the key store; split it")
	// ErrCorrupt is returned if a record can't be decoded.
	ErrCorrupt = errors.New("corrupt record in the key store")
)

// InvalidError names the field of a record that is not acceptable, and the
// reason.
type InvalidError struct {
	Field  string
	Reason string
}

// Error returns the field and the reason.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// absent turns the result of a look-up into an error if a record was found.
func absent[T any](_ T, err error) error {
	switch {
	case err == nil:
		return ErrExists
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
