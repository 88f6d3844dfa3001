package boltstore

import (
	"fmt"
	"runtime/debug"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// bbolt follows what it finds in a page wherever that leads. At a damaged page
// it panics, or reads memory that isn't there, which would end the process.
// Opening a file doesn't read all of its pages, so this can happen later.

// astray is the panic of a revision that bbolt could not read.
type astray struct {
	bucket []byte
	cause  any
}

// markAstray is deferred where bbolt reads pages.
func markAstray(bucket []byte) {
	if p := recover(); p != nil {
		panic(astray{bucket, p})
	}
}

// faultsPanic makes faults of this goroutine panics until the function that it
// returns is called.
func faultsPanic() (restore func()) {
	before := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(before) }
}

// caughtAstray is deferred where a transaction ends. It returns the damage that
// ended it as an error. Other panics go on.
func (s *Store) caughtAstray(err *error) {
	switch p := recover().(type) {
	case nil:
	case astray:
		*err = fmt.Errorf("%w: %s: %w (bucket %s: %v)", keys.ErrCorrupt, s.path, errDamaged, p.bucket, p.cause)
	case interface{ Addr() uintptr }: // a fault in a value
		*err = fmt.Errorf("%w: %s: %w (%v)", keys.ErrCorrupt, s.path, errDamaged, p)
	default:
		panic(p)
	}
}
