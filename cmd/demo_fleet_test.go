//go:build linux

package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

// withEtcd puts an etcd on the PATH.
func (term *terminal) withEtcd() {
	t := term.t
	t.Helper()
	programs := filepath.Join(term.folder, "programs")
	if err := os.Mkdir(programs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(etcdtest.Binary(t), filepath.Join(programs, "etcd")); err != nil {
		t.Fatal(err)
	}
	term.env = append(term.env, "PATH="+programs+":"+os.Getenv("PATH"))
}

func (term *terminal) startFleet(args ...string) *demo {
	term.t.Helper()
	d := term.start(append([]string{"--fleet"}, args...)...)
	d.stale = true // while etcd is stopped
	d.began = []string{"Starting etcd ", "Loading two gates ", "Making "}
	contains(term.t, d.text, "200  gate 2 let a key through", "ok   Gate 1 revoked it, which took ", "401  ... and gate 2 refused it, ")
	return d
}

// A key that is revoked on one gate is refused by the other, and what was made is
// there in the next run.
func TestFleetDemo(t *testing.T) {
	term := newTerminal(t)
	term.withEtcd()
	d := term.startFleet()
	var answers string
	for _, s := range d.steps() {
		answers += d.try(s)
	}
	own := wholeCredential.FindString(answers)
	if own == "" {
		t.Fatalf("no key was made: %s", answers)
	}
	ended := d.watch()
	d.interrupt(os.Interrupt)
	ended()

	d = term.startFleet()
	for _, gate := range []string{"gate 1", "gate 2"} {
		d.try(step{"200", "curl -i -H 'Authorization: Key " + own + "' " + d.where(gate) + demoInputs})
	}

	// Nothing outlives a demo that is killed.
	ended = d.watch()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait() // it was killed
	ended()
	if text := d.errOut.String(); strings.Contains(text, "Error") {
		t.Error(text)
	}
}

// watch finds the programs that the demo has started: etcd and the second gate. ended
// waits until the kernel reports that they have ended. Their addresses would prove
// nothing, because another test may take them.
func (d *demo) watch() (ended func()) {
	t := d.term.t
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var programs []unix.PollFd
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that has ended has no children
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(id)
			if err != nil {
				t.Fatal(err)
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Close(fd) })
			programs = append(programs, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	if len(programs) != 2 {
		t.Fatalf("the demo has started %d programs, want 2", len(programs))
	}
	return func() {
		t.Helper()
		for i := range programs {
			if err := waitEnded(programs[i : i+1]); err != nil {
				t.Error(err)
			}
		}
	}
}

// waitEnded waits until a program has ended.
func waitEnded(program []unix.PollFd) error {
	const patience = time.Minute
	n, err := unix.Poll(program, int(patience.Milliseconds()))
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(program, int(patience.Milliseconds()))
	}
	if err == nil && n == 0 {
		err = fmt.Errorf("a program of the demo doesn't end in %s", patience)
	}
	return err
}

func TestFleetDemoWithoutEtcd(t *testing.T) {
	term := newTerminal(t)
	term.env = append(term.env, "PATH="+t.TempDir())
	out, err := term.command("./caddy", "api-keys", "demo", "--fleet").CombinedOutput()
	if err == nil || err.Error() != "exit status 1" {
		t.Errorf("it ended with %v, want the exit status 1", err)
	}
	text := strings.TrimSpace(string(out))
	contains(t, text, "get it from https://", "put it on the PATH")
	if strings.Contains(text, "\n") {
		t.Errorf("want one line, got %s", text)
	}
}
