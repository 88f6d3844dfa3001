package gatetest

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Repetitions returns how often a test measures something: the number in the
// environment variable, for a run whose figures matter, or else a few.
func Repetitions(tb testing.TB, variable string, few int) int {
	tb.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// Quantiles returns the median, the 99th percentile and the longest of times,
// which it sorts.
func Quantiles(times []time.Duration) (p50, p99, longest time.Duration) {
	slices.Sort(times)
	n := len(times)
	return times[n/2], times[(n-1)*99/100], times[n-1]
}

// Counter returns the value of a counter of the running configuration with these
// values of its labels, in their order.
func Counter(tb testing.TB, name string, labels ...string) float64 {
	tb.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(values, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
