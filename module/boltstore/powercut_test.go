//go:build linux

package boltstore

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// A power cut after each write and each sync of changes, some of which fail,
// and of what the store does to be opened again.
func TestPowerCutAtEachStep(t *testing.T) {
	random := crashes(t, 10) / 10
	before, end := 3*inGroup-2, 3*inGroup+1
	if random > 1 {
		before = 1
	}
	// Faults end after a while, because one of a commit's many writes would
	// otherwise always fail.
	for name, inject := range map[string][]string{
		"nothing fails":            nil,
		"syncs of pages fail":      failing("fdatasync:error=EIO:when=1..15+7"),
		"syncs of the meta fail":   failing("fdatasync:error=EIO:when=2..12+8"),
		"writes fail":              failing("pwrite64:error=ENOSPC:when=2..40+7"),
		"and opening again":        failing("fdatasync:error=EIO:when=2..12+5", "fsync:error=EIO:when=1..9+2"),
		"and writing there":        failing("fdatasync:error=EIO:when=2..12+5", "pwrite64:error=EIO:when=1..40+6"),
		"all of it, now and again": failing("fdatasync:error=EIO:when=2..12+3", "fsync:error=EIO:when=1..9+2", "pwrite64:error=EIO:when=3..60+5"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it waits for the disk
			path, log, want := newPath(t), logOf(t), newReference(t)
			if !startChanger(t, path, 0, before, goesOn).wait() {
				t.Fatal("it didn't end")
			}
			begin, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			machine.Program(t, "strace")
			run := holdChanger(t, path, before, end, goesOn)
			run.trace(log, append([]string{"-xx", "-s", strconv.Itoa(1 << 20), "-e", "trace=" + recorded}, inject...)...)
			if !run.wait() {
				t.Fatalf("it didn't end: %s", run.errOut.String())
			}
			if inject != nil && run.told["failed"] == 0 {
				t.Fatal("nothing has failed")
			}
			events := eventsOf(t, log, path)
			cuts := 0
			for _, lose := range fates(random) {
				cuts += cutEach(t, newDisk(begin, lose), events, before, want)
			}
			t.Logf("%d changes failed, %d power cuts", run.told["failed"], cuts)
		})
	}
}

// cutEach cuts the power after each event.
func cutEach(t *testing.T, d *disk, events []event, acknowledged int, want *reference) (cuts int) {
	t.Helper()
	path := inMemory(t)
	seen := map[string]bool{}
	for _, e := range events {
		if e.told != "" {
			acknowledged = acknowledgedBy(t, e.told, acknowledged)
			continue
		}
		d.do(e)
		which, err := d.cut(path)
		if err != nil {
			t.Fatal(err)
		}
		cuts++
		was := fmt.Sprint(which, acknowledged)
		if seen[was] {
			continue // and looked into
		}
		seen[was] = true
		want.look(t, path, acknowledged)
		if t.Failed() {
			t.Fatalf("the power was cut after %.200s", e.line)
		}
	}
	return cuts
}

func acknowledgedBy(t *testing.T, told string, before int) int {
	t.Helper()
	word, rest, _ := strings.Cut(strings.TrimSpace(told), " ")
	if word != "done" && word != "there" {
		return before
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		t.Fatal(err)
	}
	return n + 1
}
