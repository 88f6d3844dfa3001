//go:build linux

// Package fleettest checks that no node of a fleet lets a key through once its
// revocation has returned, whatever fails. It runs gates, each a process of its
// own, and etcd members, each on a host of its own, and breaks what can break.
//
// # The rule
//
// A register is a key. Its versions are counted: each change reads the version in
// its transaction and writes the next one, so they are in the order of the
// commits, whichever node makes them. Scopes spell the version, so that the
// entry that a decision rests on tells it. Revoking is the last version.
//
// All processes take their times from the machine's monotonic clock. A read that
// started after a change was answered, on any node, must see the version of that
// change or a later one. A request that is live must be decided again by then, or
// have ended; a node whose fence has closed has a moment to do so.
package fleettest

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(asGate); text != "" {
		os.Exit(runGate(text))
	}
	os.Exit(m.Run())
}

// fence is how long gates decide without etcd.
const fence = time.Second

// deadline is how long a test waits for what has to happen.
const deadline = 90 * time.Second

// now is the time on the clock that all processes share, in nanoseconds.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every Linux has it
	}
	return t.Nano()
}
