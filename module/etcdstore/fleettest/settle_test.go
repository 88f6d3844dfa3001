//go:build linux

package fleettest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkRevocation measures how long a revocation takes until no gate of three
// lets the key through. Each member of etcd writes to the disk.
//
//	go test -run '^$' -bench Revocation -benchtime 1000x ./module/etcdstore/fleettest
func BenchmarkRevocation(b *testing.B) {
	f := &fleet{t: b}
	f.start(b.N + 1)
	took := make([]time.Duration, b.N)
	for i := range b.N {
		f.gates[(i+1)%gates].must(fmt.Sprintf("/next?register=%d", i), nil)
	}
	b.ResetTimer()
	for i := range b.N {
		f.gates[i%gates].must(fmt.Sprintf("/revoke?register=%d", i), &took[i])
	}
	b.StopTimer()
	reportPercentiles(b, took)
}

// BenchmarkRevocationCutOff measures the same while one of three gates is cut off
// from etcd.
func BenchmarkRevocationCutOff(b *testing.B) {
	f := &fleet{t: b}
	f.start(b.N + 1)
	took := make([]time.Duration, b.N)
	for i := range b.N {
		f.gates[0].must(fmt.Sprintf("/next?register=%d", i), nil)
	}
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		f.net.Heal()
		f.waitFresh()
		f.net.Cut(f.gates[2].host, f.etcdHosts()...)
		b.StartTimer()
		f.gates[i%2].must(fmt.Sprintf("/revoke?register=%d", i), &took[i])
	}
	b.StopTimer()
	reportPercentiles(b, took)
	b.ReportMetric(float64(fence.Milliseconds()), "fence-ms")
}

// BenchmarkChanges measures how many changes three gates make. Each gate makes several
// at a time.
func BenchmarkChanges(b *testing.B) {
	f := &fleet{t: b}
	f.start(b.N + 1)
	const each = 4
	var register atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	begin := time.Now()
	for _, g := range f.gates {
		for range each {
			all.Go(func() {
				for n := register.Add(1) - 1; n < int64(b.N); n = register.Add(1) - 1 {
					if err := g.ask(fmt.Sprintf("/next?register=%d", n), nil); err != nil {
						b.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "changes/s")
}

func reportPercentiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for _, percent := range []int{50, 99, 100} {
		at := took[min(len(took)-1, len(took)*percent/100)]
		b.ReportMetric(float64(at.Microseconds())/1000, fmt.Sprintf("p%d-ms", percent))
	}
}
