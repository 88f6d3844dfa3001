//go:build linux

package fleettest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// The quota that all gates share.
const (
	quota   = 500
	mostOne = 50
)

// allotted is what a gate was granted of the quota.
type allotted struct{ Granted, Taken int64 }

// allot asks for a part of the quota.
func (g *gate) allot(r *http.Request) (any, error) {
	want, err := strconv.ParseInt(r.FormValue("want"), 10, 64)
	if err != nil {
		return nil, err
	}
	day, err := strconv.Atoi(r.FormValue("day"))
	if err != nil {
		return nil, err
	}
	var a allotted
	a.Granted, a.Taken, err = g.store.Allot(r.Context(), keys.Allotment{Meter: credential.DigestOf("a meter"), Begin: keys.Date(day), Most: quota, Want: want})
	return a, err
}

// allot asks the gate for a part of the quota in the window that begins on a day.
func (n *node) allot(day int, want int64) (a allotted, err error) {
	err = n.ask(fmt.Sprintf("/allot?day=%d&want=%d", day, want), &a)
	return a, err
}

// taker takes parts of the quota from one gate, and gives back some of them.
type taker struct {
	node *node
	day  int
	held int64
	// calls and failed count the calls to the gate.
	calls, failed int
}

// take takes and gives back parts until over is true. After a failed call, the taker
// doesn't hold what the call was to take or to give back.
func (k *taker) take(r *rand.Rand, over *atomic.Bool) {
	for !over.Load() {
		want := 1 + r.Int64N(mostOne)
		if k.held > 0 && r.IntN(2) == 0 {
			want = -min(want, k.held)
			k.held += want
		}
		a, err := k.node.allot(k.day, want)
		k.calls++
		switch {
		case err != nil:
			k.failed++
			<-time.After(10 * time.Millisecond)
		case want > 0:
			k.held += a.Granted
		}
	}
}

// answersLost is the fault that etcd carries out calls of the first gate, and the answers
// are lost for so long that the gate gives up its connections. After less time, TCP would
// deliver them. The delay makes it likely that calls are under way at that moment.
var answersLost = fault{"answers to the first gate are lost", func(f *fleet, _ *rand.Rand) func() {
	first := f.gates[0].host
	f.net.Delay(first, 20*time.Millisecond, time.Millisecond, 0)
	<-time.After(300 * time.Millisecond)
	for _, h := range f.etcdHosts() {
		f.net.CutOneWay(h, first)
	}
	return func() { <-time.After(3 * fence) } // the gate gives up within 2 seconds
}}

// TestQuotaInHistories breaks one or two things at a time while all gates take parts of
// a quota and give them back. Together they never hold more than the quota.
func TestQuotaInHistories(t *testing.T) {
	count, enough := bounds(t, 12*time.Second)
	r := seeded(t)
	f := newFleet(t, 20_000)
	f.begin()
	begun := time.Now()
	// The delayed gate alone: while others are faster, it would seldom get anything.
	f.takeQuota(r, 20_000, f.gates[:1], answersLost)
	for n := 1; n < count && time.Since(begun) < enough && !t.Failed(); n++ {
		f.takeQuota(r, 20_000+n, f.gates, faults[r.IntN(len(faults))], faults[r.IntN(len(faults))])
	}
	if !t.Failed() {
		f.conclude()
	}
}

// takeQuota has gates take parts of the quota of a window during a history.
func (f *fleet) takeQuota(r *rand.Rand, day int, from []*node, chosen ...fault) {
	f.t.Helper()
	var working sync.WaitGroup
	var over atomic.Bool
	stop := func() {
		over.Store(true)
		working.Wait()
	}
	defer stop() // also if the history ends the test
	var takers []*taker
	for _, n := range from {
		for range 4 {
			k, seed := &taker{node: n, day: day}, r.Uint64()
			takers = append(takers, k)
			working.Go(func() { k.take(rand.New(rand.NewPCG(seed, 0)), &over) }) //nolint:gosec // no secret
		}
	}
	f.history(r, chosen)
	stop()
	var held int64
	calls, failed := 0, 0
	for _, k := range takers {
		held, calls, failed = held+k.held, calls+k.calls, failed+k.failed
	}
	for _, n := range f.gates { // the first one gets the rest
		a, err := n.allot(day, quota)
		if err != nil || a.Taken != quota {
			f.t.Fatalf("%s is granted %d, and %d of %d are taken (%v)", n.set.Name, a.Granted, a.Taken, quota, err)
		}
		held += a.Granted
	}
	if held > quota {
		f.t.Errorf("the gates hold %d of %d", held, quota)
	}
	f.t.Logf("%d calls (%d failed), %d of %d held, %d lost", calls, failed, held, quota, quota-held)
	if calls == failed {
		f.t.Error("there was nothing to check")
	}
}
