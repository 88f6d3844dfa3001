//go:build linux

package boltstore

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// changer is the process that makes changes, and what it has told.
type changer struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *bufio.Scanner
	errOut bytes.Buffer
	// next is the first change that it has not acknowledged.
	next int
	// told counts what it has told, by its first word.
	told map[string]int
	last string
	// hold keeps it from beginning, and traced waits for strace.
	hold   io.Closer
	traced func()
}

// startChanger starts one, as the last arguments of a command where one is
// given.
func startChanger(t *testing.T, path string, first, end int, onFailure string, command ...string) *changer {
	t.Helper()
	c := newChanger(t, path, first, end, onFailure, command...)
	c.start()
	return c
}

func newChanger(t *testing.T, path string, first, end int, onFailure string, command ...string) *changer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command = append(command, self)
	c := &changer{t: t, next: first, told: map[string]int{}, traced: func() {}, cmd: exec.CommandContext(t.Context(), command[0], command[1:]...)}
	// The race detector would wait a second before it lets a process end.
	c.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"), fmt.Sprintf("%s=%s\n%d\n%d\n%s", asChanger, path, first, end, onFailure))
	c.cmd.Stderr = &c.errOut
	return c
}

func (c *changer) start() {
	c.t.Helper()
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
}

// holdChanger starts one that has opened the store, and makes no change until
// it is let go.
func holdChanger(t *testing.T, path string, first, end int, onFailure string) *changer {
	t.Helper()
	c := newChanger(t, path, first, end, onFailure)
	var err error
	if c.hold, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if c.start(); !c.listen("ready") {
		t.Fatalf("it never began: %s", c.errOut.String())
	}
	return c
}

// trace puts strace on one that is held, and lets it go.
func (c *changer) trace(log string, args ...string) {
	c.t.Helper()
	command := strace(c.t, log, append(args, "-p", strconv.Itoa(c.cmd.Process.Pid))...)
	tracer := exec.CommandContext(c.t.Context(), command[0], command[1:]...)
	said, err := tracer.StderrPipe()
	if err == nil {
		err = tracer.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	if !lines.Scan() || !strings.Contains(lines.Text(), " attached") {
		c.t.Fatalf("strace said %q", lines.Text())
	}
	// It ends when the changer does, having written all that it saw.
	c.traced = func() {
		for lines.Scan() {
		}
		if err := tracer.Wait(); err != nil {
			c.t.Errorf("strace: %v", err)
		}
	}
	if err := c.hold.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// listen hears what the changer tells until that begins with the word, or to
// its end. It reports whether the word came.
func (c *changer) listen(until string) bool {
	for c.out.Scan() {
		c.last = c.out.Text()
		word, rest, _ := strings.Cut(c.last, " ")
		c.told[word]++
		switch word {
		case "error":
			c.t.Errorf("the changer: %s", rest)
		case "done", "there":
			var n int
			if _, err := fmt.Sscan(rest, &n); err != nil || n != c.next {
				c.t.Errorf("the changer told %q, but the change is %d", c.last, c.next)
			}
			c.next++
		}
		if word == until {
			return true
		}
	}
	return false
}

// wait hears the changer to its end, and reports whether it came there.
func (c *changer) wait() (ended bool) {
	c.t.Helper()
	c.listen("")
	c.traced()
	// Killed is one of the ways to end.
	if err := c.cmd.Wait(); err != nil && c.cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	if c.told["error"] > 0 || strings.Contains(c.errOut.String(), "goroutine ") || strings.Contains(c.errOut.String(), "DATA RACE") {
		c.t.Fatalf("the changer failed, and said %s", c.errOut.String())
	}
	return strings.HasPrefix(c.last, "end ") || strings.HasPrefix(c.last, "refused ")
}

// look opens the store and wants it whole: every page, the changes that were
// acknowledged, and of the next all or nothing. It returns how many there are.
func (r *reference) look(t *testing.T, path string, acknowledged int) (changes int) {
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
	// Open has done so, but before it would let anything write.
	if err := s.state.Load().db.View(checkPages); err != nil {
		t.Fatal(err)
	}
	last, err := lastChange(d)
	if err != nil {
		t.Fatal(err)
	}
	changes = last + 1
	if changes != acknowledged && changes != acknowledged+1 {
		t.Fatalf("%d changes were acknowledged, and %d are there", acknowledged, changes)
	}
	got, err := written(d, changes)
	if err != nil {
		t.Fatal(err)
	}
	if want := r.after(changes); got != want {
		t.Fatalf("of the last of %d changes not all is there, or more:\n%s", changes, difference(got, want))
	}
	return changes
}

// difference is the lines in which two texts differ.
func difference(got, want string) string {
	var text strings.Builder
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			fmt.Fprintf(&text, " got %s\nwant %s\n", a, b)
		}
	}
	return text.String()
}

// strace is how steps of a process are stopped, failed or watched. It is there
// for Linux alone, where the store is meant to run.
func strace(t *testing.T, log string, args ...string) []string {
	t.Helper()
	return append([]string{machine.Program(t, "strace"), "-f", "-y", "-o", log}, args...)
}

// at makes something of one call of a kind, of every call from it on, or as
// strace's when says.
func at(call, what, when string) []string {
	return []string{"-e", "trace=" + call, "-e", "inject=" + call + ":" + what + ":when=" + when}
}

// logOf is a place for what strace writes.
func logOf(t *testing.T) string { return filepath.Join(t.TempDir(), "strace.log") }

// killed reports whether strace has seen the process die of SIGKILL.
func killed(t *testing.T, log string) bool {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte("killed by SIGKILL"))
}
