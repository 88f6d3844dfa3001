//go:build linux

package etcdtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asParent makes the test's program start one that outlives it if it can.
const asParent = "ETCDTEST_PARENT"

// What a test started ends when the test's process is killed.
func TestNothingOutlivesTheTest(t *testing.T) {
	if os.Getenv(asParent) != "" {
		p := Run(t, NewNet(t).Host("a").Command("sleep", "600"), filepath.Join(t.TempDir(), "log"))
		fmt.Printf("started %d\n", p.cmd.Process.Pid)
		<-p.Exited()
		return
	}
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), asParent+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	for lines := bufio.NewScanner(out); child == 0 && lines.Scan(); {
		if pid, ok := strings.CutPrefix(lines.Text(), "started "); ok {
			if child, err = strconv.Atoi(pid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	if child == 0 {
		t.Fatal("nothing was started")
	}
	for end := time.Now().Add(Deadline); !errors.Is(syscall.Kill(child, 0), syscall.ESRCH); <-time.After(pollInterval) {
		if time.Now().After(end) {
			t.Fatalf("process %d still runs", child)
		}
	}
}

func TestOldEtcd(t *testing.T) {
	c := StartOld(t)
	status, err := c.Client().Status(t.Context(), c.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(status.Version, "3.4.") {
		t.Errorf("its version is %s", status.Version)
	}
}
