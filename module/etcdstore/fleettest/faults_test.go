//go:build linux

package fleettest

import (
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

// fault begins something that goes wrong, and returns what ends it. The network is
// healed besides.
type fault struct {
	name  string
	begin func(f *fleet, r *rand.Rand) (end func())
}

func nothing() {}

// faults are what histories are made of.
var faults = []fault{
	{"nothing", func(*fleet, *rand.Rand) func() { return nothing }},
	{"a gate is cut from etcd", func(f *fleet, r *rand.Rand) func() {
		f.net.Cut(f.gate(r).host, f.etcdHosts()...)
		return nothing
	}},
	{"nothing from a gate reaches etcd", func(f *fleet, r *rand.Rand) func() {
		f.net.CutOneWay(f.gate(r).host, f.etcdHosts()...)
		return nothing
	}},
	{"nothing from etcd reaches a gate", func(f *fleet, r *rand.Rand) func() {
		n := f.gate(r)
		for _, h := range f.etcdHosts() {
			f.net.CutOneWay(h, n.host)
		}
		return nothing
	}},
	{"a member is cut off with a gate", func(f *fleet, r *rand.Rand) func() {
		n, m := f.gate(r), f.etcd.Member(r.IntN(members))
		for _, h := range f.etcdHosts() {
			if h != m.Host {
				f.net.Cut(m.Host, h)
				f.net.Cut(n.host, h)
			}
		}
		for _, other := range f.gates {
			if other != n {
				f.net.Cut(other.host, m.Host)
			}
		}
		return nothing
	}},
	{"the leader is killed", func(f *fleet, _ *rand.Rand) func() {
		leader := f.etcd.Leader()
		leader.Kill()
		f.kills++
		return leader.Start // it may not answer before the network is healed
	}},
	{"a member is stopped", func(f *fleet, r *rand.Rand) func() {
		m := f.etcd.Member(r.IntN(members))
		m.Pause()
		return m.Resume
	}},
	{"the leader is stopped", func(f *fleet, _ *rand.Rand) func() {
		leader := f.etcd.Leader()
		leader.Pause()
		return leader.Resume
	}},
	{"a gate is stopped", func(f *fleet, r *rand.Rand) func() {
		n := f.gate(r)
		n.Pause()
		return n.Resume
	}},
	{"the clock of a gate is set", func(f *fleet, r *rand.Rand) func() {
		by := time.Duration(r.Int64N(int64(20*fence))) - 10*fence
		if err := f.gate(r).ask("/jump?by="+by.String(), nil); err != nil {
			f.t.Logf("setting a clock: %v", err) // the gate may have been killed
		}
		return nothing
	}},
	{"delay and loss at a gate", func(f *fleet, r *rand.Rand) func() {
		f.net.Delay(f.gate(r).host, 5*time.Millisecond, 100*time.Millisecond, 0.1*r.Float64())
		return nothing
	}},
	{"delay and loss at a member", func(f *fleet, r *rand.Rand) func() {
		f.net.Delay(f.etcd.Member(r.IntN(members)).Host, 5*time.Millisecond, 50*time.Millisecond, 0.1*r.Float64())
		return nothing
	}},
	{"etcd forgets while a gate is away", func(f *fleet, r *rand.Rand) func() {
		n := f.gate(r)
		f.net.Cut(n.host, f.etcdHosts()...)
		return func() { f.etcd.Compact(f.revision()) }
	}},
	{"a gate is killed", func(f *fleet, r *rand.Rand) func() {
		n := f.gate(r)
		n.Kill()
		f.kills++
		return n.restart
	}},
	{"a gate is killed and its mirror deleted", func(f *fleet, r *rand.Rand) func() {
		n := f.gate(r)
		n.Kill()
		f.kills++
		n.deleteMirror()
		return n.restart
	}},
	{"the disk of a mirror is full", func(f *fleet, r *rand.Rand) func() {
		n := f.gate(r)
		n.limitFiles(4096)
		return func() { n.limitFiles(math.MaxUint64) }
	}},
	{"the mirror of a gate is deleted", func(f *fleet, r *rand.Rand) func() {
		n := f.gate(r)
		n.deleteMirror()
		return nothing
	}},
}

func (f *fleet) gate(r *rand.Rand) *node { return f.gates[r.IntN(len(f.gates))] }

func (f *fleet) etcdHosts() (hosts []*etcdtest.Host) {
	for _, m := range f.etcd.Members() {
		hosts = append(hosts, m.Host)
	}
	return hosts
}

// revision returns the newest revision of etcd.
func (f *fleet) revision() int64 {
	f.t.Helper()
	client := f.etcd.Client()
	for end := time.Now().Add(deadline); ; <-time.After(50 * time.Millisecond) {
		answer, err := client.Get(f.t.Context(), "any")
		if err == nil {
			return answer.Header.Revision
		}
		if time.Now().After(end) {
			f.t.Fatal(err)
		}
	}
}

// restart starts a gate that was killed, and has it work.
func (n *node) restart() {
	if n.Running() {
		return // two faults have killed it
	}
	n.fleet.net.Heal() // one without a mirror needs etcd
	n.start()
	for end := time.Now().Add(deadline); n.ask("/begin", nil) != nil; <-time.After(20 * time.Millisecond) {
		if !n.Running() || time.Now().After(end) {
			n.fleet.t.Fatalf("%s does not start: %v", n.set.Name, n.State())
		}
	}
}

// deleteMirror deletes the mirror's file, unless another fault has.
func (n *node) deleteMirror() {
	if err := os.Remove(n.set.Mirror); err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.fleet.t.Error(err)
	}
}

// limitFiles keeps the gate from writing behind a position of any file.
func (n *node) limitFiles(size uint64) {
	limit := unix.Rlimit{Cur: size, Max: math.MaxUint64}
	if err := unix.Prlimit(n.PID(), syscall.RLIMIT_FSIZE, &limit, nil); err != nil && n.Running() {
		n.fleet.t.Error(err)
	}
}
