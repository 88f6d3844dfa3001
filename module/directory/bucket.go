package directory

import (
	"math"
	"sync/atomic"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// bucket is the token bucket of a [policy.Rate]. All that it keeps is the time at
// which it will be full again: a request that takes tokens moves it on. This is the
// generic cell rate algorithm (ITU-T I.371, appendix I), which takes one atomic
// compare-and-swap. Times are nanoseconds of [Directory.ticks].
type bucket struct{ full atomic.Int64 }

// flow is a rate, in the terms of its bucket.
type flow struct {
	burst int64
	// token is the time in which a token is gained, and depth that for all.
	token, depth int64
}

// forever is a time that no request waits for. Twice of it can be counted.
const forever = math.MaxInt64 / 4

func flowOf(r policy.Rate) flow {
	f := flow{burst: r.Burst, token: int64(r.Interval())}
	f.depth = f.timeOf(r.Burst)
	return f
}

// timeOf is the time in which tokens are gained.
func (f *flow) timeOf(tokens int64) int64 {
	if tokens > forever/f.token {
		return forever
	}
	return tokens * f.token
}

// take takes tokens, or returns how long until they are there. If a request costs
// more than the bucket holds, a full one is enough, and is in debt afterwards.
func (b *bucket) take(f *flow, now, tokens int64) (wait int64) {
	need, cost := f.timeOf(min(tokens, f.burst)), f.timeOf(tokens)
	for {
		full := b.full.Load()
		from := max(full, now)
		if wait := from - now + need - f.depth; wait > 0 {
			return wait
		}
		if b.full.CompareAndSwap(full, min(from+cost, now+forever)) {
			return 0
		}
	}
}

// charge takes tokens that were used already, even if they are not there.
func (b *bucket) charge(f *flow, now, tokens int64) {
	for {
		full := b.full.Load()
		if b.full.CompareAndSwap(full, min(max(full, now)+f.timeOf(tokens), now+forever)) {
			return
		}
	}
}

// put puts tokens back.
func (b *bucket) put(f *flow, tokens int64) { b.full.Add(-f.timeOf(tokens)) }

// left returns how many tokens there are, and how long until the bucket is full.
func (b *bucket) left(f *flow, now int64) (tokens, full int64) {
	full = max(b.full.Load()-now, 0)
	return max(f.depth-full, 0) / f.token, full
}
