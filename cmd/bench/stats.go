package main

import (
	"math"
	"slices"
	"time"
)

// confidence is that of the intervals in the tables.
const confidence = 0.95

// estimate is the median of a sample, with an interval that contains the median
// of what was sampled with at least the probability confidence.
type estimate struct {
	Median float64   `json:"median"`
	Low    float64   `json:"low"`
	High   float64   `json:"high"`
	Rounds []float64 `json:"rounds"`
}

// estimateOf returns the estimate of a sample. The interval is between two order
// statistics of the sample, so it needs no assumption about the distribution. It
// is the whole range if the sample is too small for the confidence.
func estimateOf(sample []float64) estimate {
	if len(sample) == 0 {
		return estimate{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(sample))
	n, k := len(sorted), medianRank(len(sorted))
	return estimate{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Low:    sorted[k], High: sorted[n-1-k],
		Rounds: sample,
	}
}

// medianRank returns the largest k for which the order statistics k and n-1-k,
// counted from 0, enclose the median with the probability confidence, or 0 if
// none do.
func medianRank(n int) int {
	// The number of values below the median is binomial with probability 1/2.
	// The median is below order statistic k if at most k values are below it.
	exactly, atMost := math.Pow(0.5, float64(n)), 0.0
	for k := range n {
		atMost += exactly
		if 2*atMost > 1-confidence {
			return max(0, k-1)
		}
		exactly *= float64(n-k) / float64(k+1)
	}
	return 0
}

// ratios divides the values of two samples, round by round.
func ratios(left, right []float64) []float64 {
	quotients := make([]float64, len(left))
	for i := range left {
		quotients[i] = left[i] / right[i]
	}
	return quotients
}

// quantile returns the value below which a share q of sorted times is.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
