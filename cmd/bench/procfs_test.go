package main

import (
	"testing"
)

func TestParseStatus(t *testing.T) {
	const status = "Name:\tcaddy\nVmPeak:\t 1268940 kB\nVmRSS:\t   61200 kB\nRssAnon:\t   24104 kB\nRssFile:\t   37096 kB\nThreads:\t9\n"
	m, err := parseStatus(status)
	if want := (memory{Resident: 61200 << 10, Anonymous: 24104 << 10}); m != want || err != nil {
		t.Errorf("got %+v and %v, want %+v", m, err, want)
	}
	for _, text := range []string{"", "VmRSS:\t1 kB\n", "VmRSS:\t1 MB\nRssAnon:\t1 kB\n", "VmRSS:\tmuch kB\nRssAnon:\t1 kB\n"} {
		if m, err := parseStatus(text); err == nil {
			t.Errorf("%q is read as %+v", text, m)
		}
	}
}
