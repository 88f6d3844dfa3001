//go:build linux

package boltstore

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/caddy-api-keys/gateway/module/records"
)

// wantEither checks the file after a stopped upgrade: it is the old file, or
// the whole new one with the copy next to it. It reports whether the file was
// upgraded.
func wantEither(t *testing.T, path string, format int, before []byte) (upgraded bool) {
	t.Helper()
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Examine(t.Context(), path)
	if err != nil || len(found.Findings) > 0 {
		t.Fatalf("a check of the file: %+v, %v", found.Findings, err)
	}
	switch got := formatOfFile(t, path); {
	case got == records.Format:
		if kept := formatOfFile(t, keptOf(path, format)); kept != format {
			t.Errorf("the copy has format %d", kept)
		}
		return true
	case got != format || len(after) == 0:
		t.Errorf("the file has format %d and %d bytes", got, len(after))
	case before != nil && !bytes.Equal(after, before):
		t.Error("the file was changed, and not upgraded")
	}
	return false
}

// wantOpens checks that the next attempt completes the upgrade.
func wantOpens(t *testing.T, path string) {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	wantUpgraded(t, s, "cas_000000000001")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// An upgrade that is killed, or that fails, at each of its steps leaves the
// file as it was, or upgraded.
func TestUpgradeStoppedAtEachStep(t *testing.T) {
	eachOld(t, func(t *testing.T, format int) {
		for call, least := range map[string]int{"write": 3, "pwrite64": 3, "fsync": 3, "fdatasync": 2, "renameat": 1} {
			for _, what := range []string{"signal=KILL", "error=EIO"} {
				t.Run(call+" "+what, func(t *testing.T) {
					stopped, upgraded := 0, 0
					for n := 1; ; n++ {
						path, log := inMemory(t), logOf(t)
						before := writeOld(t, path, format)
						run := startChanger(t, path, 0, 0, opens, strace(t, log, at(call, what, strconv.Itoa(n))...)...)
						ended := run.wait()
						text, err := os.ReadFile(log)
						if err != nil {
							t.Fatal(err)
						}
						if hit := !ended || bytes.Contains(text, []byte("INJECTED")); !hit {
							break
						}
						stopped++
						if call == "pwrite64" || call == "fdatasync" {
							before = nil // what the commit wrote to free pages may stay
						}
						if wantEither(t, path, format, before) {
							upgraded++
						}
						wantOpens(t, path)
					}
					if stopped < least {
						t.Errorf("only %d steps were stopped", stopped)
					}
					t.Logf("stopped at %d steps; %d files were upgraded", stopped, upgraded)
				})
			}
		}
	})
}

// A power cut after each write and each sync of an upgrade leaves the file as it
// was, or upgraded.
func TestUpgradePowerCutAtEachStep(t *testing.T) {
	random := crashes(t, 10) / 10
	eachOld(t, func(t *testing.T, format int) {
		path, log := newPath(t), logOf(t)
		before := writeOld(t, path, format)
		run := startChanger(t, path, 0, 0, opens, strace(t, log, "-xx", "-s", strconv.Itoa(1<<20), "-e", "trace="+recorded)...)
		if !run.wait() {
			t.Fatalf("it didn't end: %s", run.errOut.String())
		}
		kept, err := os.ReadFile(keptOf(path, format))
		if err != nil {
			t.Fatal(err)
		}
		events := eventsOf(t, log, path)
		cuts, upgraded := 0, 0
		for _, lose := range fates(random) {
			d := newDisk(before, lose)
			for _, e := range events {
				if e.told != "" {
					continue
				}
				d.do(e)
				left := inMemory(t)
				if _, err := d.cut(left); err != nil {
					t.Fatal(err)
				}
				// It was synced before the file was written to.
				if err := os.WriteFile(keptOf(left, format), kept, 0o600); err != nil {
					t.Fatal(err)
				}
				cuts++
				if wantEither(t, left, format, nil) {
					upgraded++
				}
				wantOpens(t, left)
				if t.Failed() {
					t.Fatalf("the power was cut after %.200s", e.line)
				}
			}
		}
		if upgraded == 0 || upgraded == cuts {
			t.Errorf("of %d power cuts, %d found the file upgraded", cuts, upgraded)
		}
		t.Logf("%d power cuts; %d files were upgraded", cuts, upgraded)
	})
}
