package main

import (
	"math"
	"testing"
	"time"
)

// The ranks are those of published tables for the 95 % interval of a median.
func TestMedianRank(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 0, 5: 0, 6: 0, 8: 0, 9: 1, 10: 1, 12: 2, 15: 3, 20: 5, 25: 7, 30: 9, 50: 17} {
		if got := medianRank(n); got != want {
			t.Errorf("medianRank(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestEstimate(t *testing.T) {
	e := estimateOf([]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1})
	if e.Median != 5.5 || e.Low != 2 || e.High != 9 {
		t.Errorf("got %v, want 5.5 between 2 and 9", e)
	}
	if e.Rounds[0] != 10 {
		t.Error("the sample was sorted")
	}
	if e := estimateOf([]float64{3, 1, 2}); e.Median != 2 || e.Low != 1 || e.High != 3 {
		t.Errorf("got %v, want 2 in the whole range", e)
	}
	if e := estimateOf(nil); !math.IsNaN(e.Median) {
		t.Errorf("got %v of no sample", e)
	}
}

func TestRatios(t *testing.T) {
	if got := ratios([]float64{1, 4}, []float64{2, 2}); got[0] != 0.5 || got[1] != 2 {
		t.Errorf("got %v", got)
	}
}

func TestQuantile(t *testing.T) {
	var times []time.Duration
	for i := range 1000 {
		times = append(times, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 501, 0.99: 991, 1: 1000} {
		if got := quantile(times, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("no times have a quantile")
	}
}
