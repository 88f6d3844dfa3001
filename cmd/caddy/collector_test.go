package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 1 << 20: 1600, 8 << 20: 800, 32 << 20: 200, 64 << 20: 100, 1 << 30: 100} {
		if got := percent(live); got != want {
			t.Errorf("%d live bytes: %d, want %d", live, got, want)
		}
	}
}

// The pace follows the heap: a second run of the collector sees what is live
// after the first.
func TestPaceCollector(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "300")
	paceCollector()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC of the environment is replaced by %d", got)
	}
	t.Setenv("GOGC", "")
	paceCollector()
	small := debug.SetGCPercent(100)
	large := make([]byte, 200<<20)
	for debug.SetGCPercent(50) != 100 { // until it is set again
		runtime.GC()
	}
	runtime.KeepAlive(large)
	if small <= 100 {
		t.Errorf("%d for a small heap, want more than 100", small)
	}
}
