package live

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// TestHowSoonLiveRequestsEnd logs the time from the answer to a revocation to
// the end that the client sees; for a response that nobody reads, the end that
// the upstream sees. LIVE_FIGURES says how many of each kind.
func TestHowSoonLiveRequestsEnd(t *testing.T) {
	s := startServer(t, liveSite)
	n := gatetest.Repetitions(t, "LIVE_FIGURES", 2)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "kind\tprotocol\tn\tp50\tp99\tmost")
	row := func(kind, protocol string, took []time.Duration) {
		p50, p99, most := gatetest.Quantiles(took)
		fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%v\t%v\n", kind, protocol, len(took), p50, p99, most)
	}
	end := func(kind string, runs []*liveRequest, doomed *affected) (took []time.Duration) {
		s.Update(func(tx *keys.Tx) error { return tx.Revoke(doomed.id, "leaked") })
		answered := time.Now()
		for _, r := range runs {
			_ = gatetest.Receive(t, r.left, "the upstream's end")
			at := r.leftAt
			if r.read != nil {
				r.read()
			}
			if err := gatetest.Receive(t, r.ended, "the client's end"); err == nil {
				t.Errorf("%s ended well", kind)
			}
			if kind != "blocked" {
				at = r.at
			}
			// One that ends before the answer is there takes no time.
			took = append(took, max(at.Sub(answered), 0))
		}
		return took
	}
	for _, k := range liveKinds {
		for _, protocol := range k.protocols {
			c := s.newClient(t, protocol)
			var took []time.Duration
			for range n {
				doomed, _ := s.newAffected(nil, true)
				took = append(took, end(k.kind, []*liveRequest{s.open(t, c, k.kind, "h1", doomed.keyUse)}, &doomed)...)
			}
			row(k.kind, protocol, took)
		}
	}
	doomed, _ := s.newAffected(nil, true)
	var all []*liveRequest
	c := s.newClient(t, "h1")
	for range 5 * n / 2 {
		all = append(all, s.open(t, c, "events", "h1", doomed.keyUse))
	}
	row("events, all of one key", "h1", end("events", all, &doomed))
	w.Flush()
	t.Log("from the answer to the end:\n" + b.String())
}
