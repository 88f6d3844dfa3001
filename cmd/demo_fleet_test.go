//go:build linux

package cmd

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	d.interrupt(os.Interrupt)
	d.allGone()

	d = term.startFleet()
	for _, gate := range []string{"gate 1", "gate 2"} {
		d.try(step{"200", "curl -i -H 'Authorization: Key " + own + "' " + d.where(gate) + demoInputs})
	}

	// Nothing outlives a demo that is killed.
	ended := d.watch()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait() // it was killed
	ended()
	d.allGone()
	if text := d.errOut.String(); strings.Contains(text, "Error") {
		t.Error(text)
	}
}

// places are the addresses of the demo's programs.
func (d *demo) places() (list []string) {
	for _, name := range []string{"gate 1", "gate 2", "etcd", "admin 2"} {
		list = append(list, strings.TrimPrefix(d.where(name), "http://"))
	}
	return list
}

// allGone wants nobody to listen where the demo's programs did.
func (d *demo) allGone() {
	d.term.t.Helper()
	for _, address := range d.places() {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			d.term.t.Errorf("a program still listens on %s", address)
		}
	}
}

// watch connects to the demo's programs. ended waits until they have ended, which
// ends the connections.
func (d *demo) watch() (ended func()) {
	t := d.term.t
	t.Helper()
	var connections []net.Conn
	for _, address := range d.places() {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		connections = append(connections, conn)
	}
	return func() {
		t.Helper()
		for _, conn := range connections {
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			_, err := io.Copy(io.Discard, conn)
			_ = conn.Close()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the program on %s doesn't end", conn.RemoteAddr())
			}
		}
	}
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
