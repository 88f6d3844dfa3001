package directory

import (
	"math"
	"sync/atomic"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// bucket is the token bucket of a [policy.Rate]. It keeps only the time at which it
// will be full again. A request that takes tokens moves that time later. This is the
// generic cell rate algorithm (ITU-T I.371, appendix I), which needs one atomic
// compare-and-swap. Times are nanoseconds of [Directory.ticks].
type bucket struct {
	full atomic.Int64
	// flow is nil until there is a rate.
	flow atomic.Pointer[flow]
}

// flow is a rate in the units of its bucket.
type flow struct {
	rate  policy.Rate
	burst int64
	// token is the time in which one token is gained, and depth is the time for burst
	// tokens.
	token, depth int64
}

// forever is longer than any wait. Twice as much doesn't overflow.
const forever = math.MaxInt64 / 4

func flowOf(r policy.Rate) *flow {
	f := &flow{rate: r, burst: r.Burst, token: int64(r.Interval())}
	f.depth = f.timeOf(r.Burst)
	return f
}

// setRate gives the bucket a rate. If the bucket had another rate, used tokens stay
// used, but no more of them than the new bucket holds. A debt stays too.
func (b *bucket) setRate(r policy.Rate, now int64) {
	from := b.flow.Load()
	if from != nil && from.rate == r {
		return
	}
	to := flowOf(r)
	b.flow.Store(to)
	for from != nil {
		full := b.full.Load()
		if full <= now {
			return
		}
		taken := (full - now + from.token - 1) / from.token
		used := min(taken, from.burst)
		if b.full.CompareAndSwap(full, now+to.timeOf(min(used, to.burst)+taken-used)) {
			return
		}
	}
}

// timeOf returns the time in which tokens are gained.
func (f *flow) timeOf(tokens int64) int64 {
	if tokens > forever/f.token {
		return forever
	}
	return tokens * f.token
}

// take takes tokens, or returns how long until there are enough. If a request costs
// more than the bucket can hold, a full bucket is enough. The bucket is then in debt.
func (b *bucket) take(now, tokens int64) (wait int64) {
	if tokens == 0 {
		return 0
	}
	f := b.flow.Load()
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

// charge takes tokens that were used already, even if too few are left.
func (b *bucket) charge(now, tokens int64) {
	f := b.flow.Load()
	for {
		full := b.full.Load()
		if b.full.CompareAndSwap(full, min(max(full, now)+f.timeOf(tokens), now+forever)) {
			return
		}
	}
}

// put puts tokens back.
func (b *bucket) put(tokens int64) { b.full.Add(-b.flow.Load().timeOf(tokens)) }

// left returns how many tokens there are, and how long until the bucket is full.
func (b *bucket) left(now int64) (tokens, full int64) {
	f := b.flow.Load()
	full = max(b.full.Load()-now, 0)
	return max(f.depth-full, 0) / f.token, full
}
