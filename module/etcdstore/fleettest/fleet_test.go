//go:build linux

package fleettest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

// fleet is gates and etcd members, each on a host of its own.
type fleet struct {
	t         testing.TB
	net       *etcdtest.Net
	etcd      *etcdtest.Cluster
	gates     []*node
	registers []register
	reports   reports
	pipes     sync.WaitGroup
	begun     int64
	kills     int
	// plain is true if the gates make and revoke keys, and change nothing else.
	plain bool
	// late is the longest delay after which a read must see a change. If it isn't 0,
	// changes don't wait for the other gates.
	late time.Duration
}

// node is a gate as the test has it.
type node struct {
	fleet *fleet
	host  *etcdtest.Host
	set   setting
	*etcdtest.Process
	starts int
	client http.Client
}

const (
	members = 3
	gates   = 3
)

// newFleet runs a fleet whose gates have yet to begin their work. Its etcd doesn't
// sync its files to the disk.
func newFleet(t testing.TB, registers int) *fleet {
	t.Helper()
	f := &fleet{t: t}
	f.start(registers, etcdtest.UnsafeNoFsync())
	return f
}

func (f *fleet) start(registers int, options ...etcdtest.Option) {
	t := f.t
	t.Helper()
	f.net, f.begun, f.reports.plain, f.reports.late = etcdtest.NewNet(t), now(), f.plain, f.late
	f.reports.intents, f.reports.counts, f.reports.flushed = map[int]int64{}, map[string]int64{}, map[string]bool{}
	t.Cleanup(f.pipes.Wait) // the gates have ended by then
	var hosts []*etcdtest.Host
	for i := range members {
		hosts = append(hosts, f.net.Host(fmt.Sprintf("etcd%d", i)))
	}
	f.etcd = etcdtest.Start(t, members, append(options, etcdtest.On(hosts...))...)
	folder, err := os.MkdirTemp("", "fleet") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	file := filepath.Join(folder, "registers")
	if f.registers, err = newRegisters(file, registers); err != nil {
		t.Fatal(err)
	}
	for i := range gates {
		name := fmt.Sprintf("gate%d", i)
		n := &node{fleet: f, host: f.net.Host(name), set: setting{
			Name: name, Endpoints: f.etcd.Endpoints(), Registers: file, Begun: f.begun, Plain: f.plain, Late: f.late > 0,
			Mirror: filepath.Join(folder, name, "mirror.db"), Socket: filepath.Join(folder, name+".socket"),
		}}
		n.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", n.set.Socket)
		}}
		f.gates = append(f.gates, n)
		n.start()
	}
	f.waitFresh()
	f.gates[0].must("/found", nil)
}

// start runs the gate.
func (n *node) start() {
	n.fleet.t.Helper()
	n.starts++
	n.set.Seed = rand.Uint64() //nolint:gosec // no secret
	text, err := json.Marshal(n.set)
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	cmd := n.host.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asGate+"="+string(text))
	cmd.ExtraFiles = []*os.File{w}
	n.Process = etcdtest.Run(n.fleet.t, cmd, filepath.Join(filepath.Dir(n.set.Registers), n.set.Name+".log"))
	_ = w.Close() // the gate has its own
	n.fleet.pipes.Go(func() { n.fleet.reports.collect(n.set.Name, r) })
}

// ask asks the gate, and decodes its answer into v.
func (n *node) ask(path string, v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gate"+path, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := n.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s %s", path, answer.Status, text)
	case v == nil:
		return nil
	}
	return json.Unmarshal(text, v)
}

func (n *node) must(path string, v any) {
	n.fleet.t.Helper()
	if err := n.ask(path, v); err != nil {
		n.fleet.t.Fatalf("%s: %v", n.set.Name, err)
	}
}

// waitFresh waits until every gate may decide. A gate must not have ended.
func (f *fleet) waitFresh() {
	f.t.Helper()
	for _, n := range f.gates {
		var state gateState
		for end := time.Now().Add(deadline); ; <-time.After(20 * time.Millisecond) {
			err := n.ask("/state", &state)
			if err == nil && state.Fresh {
				break
			}
			if !n.Running() {
				f.t.Fatalf("%s ended by itself: %v", n.set.Name, n.State())
			}
			if time.Now().After(end) {
				f.t.Fatalf("%s is not fresh again: %v %+v", n.set.Name, err, state)
			}
		}
	}
}

// check has all gates report, and checks what they did.
func (f *fleet) check(about string) {
	f.t.Helper()
	for i, n := range f.gates {
		token := fmt.Sprintf("%d-%d", i, now())
		n.must("/flush?token="+url.QueryEscape(token), nil)
		for end := time.Now().Add(deadline); !f.hasFlushed(token); <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				f.t.Fatalf("%s reports nothing", n.set.Name)
			}
		}
	}
	faults := f.reports.check()
	for _, why := range faults[:min(3, len(faults))] {
		f.t.Errorf("%s: %s", about, why)
	}
	if len(faults) > 3 {
		f.t.Errorf("%s: and %d faults more", about, len(faults)-3)
	}
}

func (f *fleet) hasFlushed(token string) bool {
	f.reports.mu.Lock()
	defer f.reports.mu.Unlock()
	return f.reports.flushed[token]
}

// conclude ends the work, and compares the mirrors with one another and with what
// was answered.
func (f *fleet) conclude() {
	f.t.Helper()
	for _, n := range f.gates {
		n.must("/stop?token=end", nil)
	}
	f.waitFresh()
	f.check("at the end")
	h := newHistory(f.reports.changes, f.reports.intents)
	h.plain = f.plain
	var first dump
	for i, n := range f.gates {
		var d dump
		n.must("/dump", &d)
		if len(d.Findings) > 0 {
			f.t.Errorf("the mirror of %s: %v", n.set.Name, d.Findings)
		}
		for register := range h.answered {
			least := h.least(register, now())
			if f.plain && least < revoked {
				continue // the key may have been made after the snapshot that was restored
			}
			if d.Versions[register] < least {
				f.t.Errorf("%s has key %d in version %d, and %d was answered", n.set.Name, register, d.Versions[register], least)
			}
		}
		if i == 0 {
			first = d
			continue
		}
		if d.StoreID != first.StoreID || d.Audit != first.Audit {
			f.t.Errorf("%s has the audit log %+v, and %s has %+v", n.set.Name, d.Audit, f.gates[0].set.Name, first.Audit)
		}
		for register := range f.registers {
			if d.Versions[register] != first.Versions[register] {
				f.t.Errorf("%s has key %d in version %d, and %s has %d", n.set.Name, register, d.Versions[register], f.gates[0].set.Name, first.Versions[register])
			}
		}
	}
}

// begin has all gates begin their work.
func (f *fleet) begin() {
	f.t.Helper()
	for _, n := range f.gates {
		n.must("/begin", nil)
	}
}
