//go:build linux

package boltstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// crashes is how often a test makes a process die. CRASHES makes it more.
func crashes(t *testing.T, usual int) int {
	t.Helper()
	value := os.Getenv("CRASHES")
	if value == "" {
		return usual
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("CRASHES: %v", err)
	}
	return n
}

// kill -9 wherever it happens to be, again and again on one store.
func TestKilledAnywhere(t *testing.T) {
	path, want := newPath(t), newReference(t)
	done, under := 0, 0
	n := crashes(t, 15)
	for range n {
		c := startChanger(t, path, done, 1<<30, goesOn)
		if !c.listen("ready") {
			t.Fatalf("it never began: %s", c.errOut.String())
		}
		time.AfterFunc(time.Duration(rand.Int64N(int64(60*time.Millisecond))), func() { _ = c.cmd.Process.Kill() })
		c.wait()
		found := want.look(t, path, c.next)
		under += found - c.next
		done = found
	}
	t.Logf("%d crashes, %d changes, none lost, none in part; %d that were not acknowledged were there", n, done, under)
}

// kill -9 at every step of making a store, of opening it, and of changes: as
// each call that writes is entered.
func TestKilledAtEachStep(t *testing.T) {
	for _, c := range []struct {
		call string
		most int
		new  bool // a store of its own for each
	}{
		{"mkdirat", 1, true}, {"pwrite64", 6, true}, {"fdatasync", 4, true}, {"ftruncate", 1, true}, {"fsync", 4, true},
		{"pwrite64", 16, false}, {"fdatasync", 5, false}, {"fsync", 2, false}, {"write", 3, false},
	} {
		t.Run(fmt.Sprintf("%s new=%v", c.call, c.new), func(t *testing.T) {
			path, want := filepath.Join(t.TempDir(), "folder", "keys.db"), newReference(t)
			done, under := 0, 0
			if !c.new {
				done = want.look(t, path, 0)
			}
			for n := 1; n <= c.most; n++ {
				if c.new {
					path, done = filepath.Join(t.TempDir(), "folder", "keys.db"), 0
				}
				log := logOf(t)
				run := startChanger(t, path, done, done+20, goesOn, strace(t, log, at(c.call, "signal=KILL", strconv.Itoa(n))...)...)
				if run.wait() || !killed(t, log) {
					t.Fatalf("call %d of %s killed nobody: %s", n, c.call, run.errOut.String())
				}
				done = want.look(t, path, run.next)
				under += done - run.next
			}
			t.Logf("%d crashes, %d changes; %d that were not acknowledged were there", c.most, done, under)
		})
	}
}
