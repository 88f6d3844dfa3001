package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is how much is allocated, in bytes, before the garbage collector runs
// again. A proxy keeps little from one request to the next: by Go's own rule,
// which is that the heap may double, it collects every 8 MB, many times a second
// under load. From a heap of 64 MiB on, as with a full cache of keys, that rule
// allows more, and holds.
const headroom = 64 << 20

// paceCollector has the collector run whenever the heap has grown by headroom,
// or has doubled, whichever is later. GOGC in the environment goes before it,
// and a memory limit (GOMEMLIMIT, or that of the container, which Caddy sets)
// holds in any case.
func paceCollector() {
	if os.Getenv("GOGC") == "" {
		pace(nil)
	}
}

// cycle becomes garbage with every run of the collector. It holds a pointer, so
// that it is not allocated together with other small values.
type cycle struct{ _ *byte }

// pace sets the pace for the next run of the collector, and is called again
// after it.
func pace(*cycle) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(percent(live[0].Value.Uint64()))
	runtime.SetFinalizer(new(cycle), pace)
}

// percent returns the value of GOGC by which a heap of this many live bytes may
// grow by headroom, but 100 at least. Go counts no heap as smaller than 4 MiB.
func percent(live uint64) int { return int(max(100, headroom*100/max(live, 4<<20))) }
