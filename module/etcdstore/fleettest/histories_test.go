//go:build linux

package fleettest

import (
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

// seedVariable has the faults of a seed, instead of those of a new one.
const seedVariable = "HISTORY_SEED"

// bounds returns how many histories there are at most, and for how long new ones are
// begun. The variable HISTORIES has a number of histories or a time such as 10m.
func bounds(t testing.TB, usual time.Duration) (count int, enough time.Duration) {
	t.Helper()
	text := os.Getenv("HISTORIES")
	if text == "" {
		return math.MaxInt, usual
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n, time.Duration(math.MaxInt64)
	}
	enough, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("HISTORIES is %q: give a number of histories, or a time as 10m", text)
	}
	return math.MaxInt, enough
}

// seeded returns the random numbers that choose the faults.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64() >> 16 //nolint:gosec // a seed to print
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the numbers must be repeatable
}

// TestHistories breaks one or two things at a time while all gates read and
// change keys.
func TestHistories(t *testing.T) {
	newFleet(t, 20_000).histories(40 * time.Second)
}

// TestHistoriesWithoutSettling does the same with changes that don't wait for the
// other gates. Reads see them no later than the fence allows.
func TestHistoriesWithoutSettling(t *testing.T) {
	f := &fleet{t: t, late: fence + fence/64}
	f.start(20_000, etcdtest.UnsafeNoFsync())
	f.histories(15 * time.Second)
}

// histories checks histories for the usual time, unless HISTORIES sets another bound.
func (f *fleet) histories(usual time.Duration) {
	t := f.t
	t.Helper()
	count, enough := bounds(t, usual)
	r := seeded(t)
	f.begin()
	begun, n := time.Now(), 0
	order := r.Perm(len(faults))
	for ; n < count && time.Since(begun) < enough && !t.Failed(); n++ {
		if n >= len(order) && n%len(order) == 0 {
			order = r.Perm(len(faults))
		}
		chosen := []fault{faults[order[n%len(order)]]}
		if r.IntN(3) == 0 {
			chosen = append(chosen, faults[r.IntN(len(faults))])
		}
		f.history(r, chosen)
	}
	if t.Failed() {
		return
	}
	f.conclude()
	c := f.reports.counts
	t.Logf("%d histories, %d reads (%d unanswered), %d requests (looked at %d times while live, %d ended), %d changes answered (%d failed), %d kills; stale: 0",
		n, c["reads"], c["unanswered"], c["requests"], c["looks"], c["ended"], c["changes"], c["failed"], f.kills)
	if c["reads"] == 0 || c["looks"] == 0 || c["changes"] == 0 {
		t.Error("there was nothing to check")
	}
}

// history breaks something for a while, and checks what was done meanwhile.
func (f *fleet) history(r *rand.Rand, chosen []fault) {
	f.t.Helper()
	var names []string
	var ends []func()
	for _, c := range chosen {
		names = append(names, c.name)
		ends = append(ends, c.begin(f, r))
	}
	about := strings.Join(names, ", and ")
	took := time.Now()
	<-time.After(time.Duration((0.2 + 2*r.Float64()) * float64(fence)))
	for i := range ends {
		ends[len(ends)-1-i]()
	}
	f.net.Heal()
	healed := time.Now()
	f.etcd.WaitReady()
	f.waitFresh()
	f.check(about)
	f.t.Logf("%s, for %s, fresh again after %s", about, healed.Sub(took).Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
}
