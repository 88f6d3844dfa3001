package main

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestProcessTree(t *testing.T) {
	child := exec.CommandContext(t.Context(), "sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait() //nolint:errcheck // it is killed
	defer child.Process.Kill()
	pids, err := processTree(os.Getpid())
	if err != nil || pids[0] != os.Getpid() || !slices.Contains(pids, child.Process.Pid) {
		t.Errorf("got %v and %v, want %d with its child %d", pids, err, os.Getpid(), child.Process.Pid)
	}
	if m, err := memoryOf([]int{os.Getpid()}); err != nil || m.Anonymous == 0 || m.Resident < m.Anonymous {
		t.Errorf("got %+v and %v", m, err)
	}
}
