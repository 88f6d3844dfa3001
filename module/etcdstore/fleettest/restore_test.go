//go:build linux

package fleettest

import (
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// TestRestores restores snapshots of etcd that lack revocations, while all gates
// read, make and revoke keys.
func TestRestores(t *testing.T) {
	count, enough := bounds(t, 15*time.Second)
	r := seeded(t)
	f := &fleet{t: t, plain: true}
	f.start(20_000, etcdtest.UnsafeNoFsync())
	f.begin()
	begun, n, held := time.Now(), 0, 0
	for ; n < count && time.Since(begun) < enough && !t.Failed(); n++ {
		held += f.restore(r, filepath.Join(t.TempDir(), strconv.Itoa(n)))
	}
	if t.Failed() {
		return
	}
	f.conclude()
	c := f.reports.counts
	t.Logf("%d snapshots restored, %d mirrors knew more, %d reads (%d unanswered), %d changes answered (%d failed), %d kills; revoked and let through: 0",
		n, held, c["reads"], c["unanswered"], c["changes"], c["failed"], f.kills)
	if c["reads"] == 0 || c["changes"] == 0 || held == 0 {
		t.Error("there was nothing to check")
	}
}

// restore takes a snapshot, restores it a little later, and reconciles the fleet. A
// gate may be away meanwhile. restore returns how many mirrors held the fleet.
func (f *fleet) restore(r *rand.Rand, snapshot string) (held int) {
	f.t.Helper()
	f.etcd.Snapshot(snapshot)
	<-time.After(time.Duration(r.Float64() * float64(fence)))
	n := f.gate(r)
	back := nothing
	switch r.IntN(4) {
	case 0:
		n.Pause()
		back = n.Resume
	case 1:
		n.Kill()
		f.kills++
		back = n.restart
	case 2:
		f.net.Cut(n.host, f.etcdHosts()...)
		back = f.net.Heal
	}
	<-time.After(time.Duration(r.Float64() * float64(fence)))
	f.etcd.Restore(snapshot)
	if r.IntN(2) == 0 {
		<-time.After(time.Duration(r.Float64() * float64(fence)))
	}
	back()
	// The gates find out one after the other that they know more than etcd.
	for end := time.Now().Add(deadline); ; <-time.After(20 * time.Millisecond) {
		var done keys.Reconciled
		if err := f.gate(r).ask("/reconcile", &done); err == nil {
			held += len(done.Nodes)
		}
		if f.fresh() {
			break
		}
		if time.Now().After(end) {
			for _, n := range f.gates {
				var state gateState
				f.t.Logf("%s: %v %+v", n.set.Name, n.ask("/state", &state), state)
			}
			f.t.Fatal("the fleet is not fresh again")
		}
	}
	f.check("etcd was restored")
	return held
}

// fresh reports whether every gate may decide.
func (f *fleet) fresh() bool {
	for _, n := range f.gates {
		var state gateState
		if err := n.ask("/state", &state); err != nil || !state.Fresh {
			return false
		}
	}
	return true
}
