//go:build linux

package boltstore

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory"
)

// A restore that is killed, or that fails, at each of its steps leaves the
// store as it was, or as it is to be: never without what was revoked.
func TestRestoreStoppedAtEachStep(t *testing.T) {
	const backedUp, changes = 5, 2*inGroup + 2
	path := inMemory(t)
	if !startChanger(t, path, 0, backedUp, goesOn).wait() {
		t.Fatal("it didn't end")
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), path+".backup"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !startChanger(t, path, backedUp, changes, goesOn).wait() {
		t.Fatal("it didn't end")
	}
	files := map[string][]byte{}
	for _, name := range []string{"", ".backup"} {
		if files[name], err = os.ReadFile(path + name); err != nil {
			t.Fatal(err)
		}
	}
	before := textOf(t, path, changes)
	if _, err := Restore(t.Context(), path+".backup", path, false); err != nil {
		t.Fatal(err)
	}
	after := textOf(t, path, changes)
	if before == after {
		t.Fatal("the restore changes nothing")
	}

	for call, least := range map[string]int{"pwrite64": 3, "fsync": 2, "fdatasync": 1, "linkat": 1, "renameat": 1} {
		for _, what := range []string{"signal=KILL", "error=EIO"} {
			t.Run(call+" "+what, func(t *testing.T) {
				stopped, restored := 0, 0
				for n := 1; ; n++ {
					path, log := inMemory(t), logOf(t)
					for name, content := range files {
						if err := os.WriteFile(path+name, content, 0o600); err != nil {
							t.Fatal(err)
						}
					}
					run := startChanger(t, path, 0, 0, restores, strace(t, log, at(call, what, strconv.Itoa(n))...)...)
					ended := run.wait()
					text, err := os.ReadFile(log)
					if err != nil {
						t.Fatal(err)
					}
					hit := !ended || bytes.Contains(text, []byte("INJECTED"))
					switch got := textOf(t, path, changes); {
					case got == after:
						restored++
					case got != before || !hit:
						t.Errorf("call %d: it told %q, and the store is neither as before nor restored:\n%s", n, run.last, difference(got, before))
					}
					if !hit {
						break
					}
					stopped++
				}
				if stopped < least {
					t.Errorf("only %d steps were stopped", stopped)
				}
				t.Logf("stopped at %d steps; %d stores were restored", stopped, restored)
			})
		}
	}
}

func textOf(t *testing.T, path string, changes int) string {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	owned, err := directory.New(s, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	d := owned.Directory
	defer func() {
		if err := owned.Close(); err != nil {
			t.Error(err)
		}
	}()
	text, err := written(d, changes)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
