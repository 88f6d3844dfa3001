package directory_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// newNodes are directories that share the quotas of a key, each with a store of its
// own.
func newNodes(t *testing.T, n int, limit string) ([]*limited, *quotas) {
	t.Helper()
	shared := &quotas{taken: map[quota]int64{}}
	var nodes []*limited
	for range n {
		l := newLimited(t, &sharedStore{Store: openStore(t), quotas: shared})
		l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = quotaOf(t, limit) })
		nodes = append(nodes, l)
	}
	return nodes, shared
}

// useUp sends requests of the key one until three are refused, and counts those that
// are allowed.
func (l *limited) useUp(allowed *atomic.Int64) {
	for refused := 0; refused < 3; {
		var c directory.Charge
		e, err := l.Charge(l.t.Context(), &c, l.entry("one"), 1)
		switch {
		case err != nil:
			l.t.Error(err)
			return
		case e.Kind != 0:
			refused++
		default:
			allowed.Add(1)
			c.Release()
		}
	}
}

func (q *quotas) total() (n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, taken := range q.taken {
		n += taken
	}
	return n
}

func (q *quotas) calls() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.asked
}

func (q *quotas) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fails = err
}

// All nodes together allow exactly as many requests as the quota has, however many
// arrive at the same time, and seldom ask the store.
func TestSharedQuota(t *testing.T) {
	const most = 20_000
	nodes, shared := newNodes(t, 3, "20000/month")
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for _, l := range nodes {
		for range 4 {
			wg.Go(func() { l.useUp(&allowed) })
		}
	}
	wg.Wait()
	if n := allowed.Load(); n > most || n < most*99/100 {
		t.Errorf("%d requests are allowed, of %d", n, most)
	}
	if n := shared.calls(); n > most/20 {
		t.Errorf("the store was asked %d times", n)
	}
	// What a node holds and doesn't use becomes available to the others.
	last := 0
	for _, l := range nodes {
		flush(t, l.Directory)
		flush(t, l.Directory) // nothing has used it since
	}
	for _, l := range nodes {
		l.pass(2 * time.Second)
		last += l.allowed("one", 1)
	}
	if n := int(allowed.Load()) + last; n != most || shared.total() != most {
		t.Errorf("%d requests were allowed in the end, and %d taken; want %d", n, shared.total(), most)
	}
	for _, l := range nodes {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A node that closes gives back what it hasn't used. Other nodes learn of usage beyond
// a quota.
func TestSharedQuotaIsSettled(t *testing.T) {
	nodes, shared := newNodes(t, 2, "10000/day")
	for range 3 {
		nodes[0].request("one", 1)
	}
	given := false
	shared.during = func() {
		given = true
		if used, taken := nodes[0].LimitsOf(nodes[0].entry("one"))[0].Used, shared.total(); used != taken || taken == 3 {
			t.Errorf("while it is given back, %d of %d count as used", used, taken)
		}
	}
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	shared.during = nil
	if n := shared.total(); n != 3 || !given {
		t.Errorf("%d are taken after 3 requests", n)
	}
	l := nodes[1]
	defer l.Close()
	var c directory.Charge
	if e, err := l.Charge(t.Context(), &c, l.entry("one"), 1); err != nil || e.Kind != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	c.Settle(11_000)
	c.Release()
	flush(t, l.Directory)
	if n := shared.total(); n != 11_003 {
		t.Errorf("%d are taken", n)
	}
	if e := l.request("one", 1); e.Kind != directory.QuotaLimit {
		t.Errorf("exceeds %+v", e)
	}
	if uses := l.LimitsOf(l.entry("one")); uses[0].Used != 11_003 {
		t.Errorf("shown: %+v", uses)
	}
	l.pass(24 * time.Hour)
	if e := l.request("one", 1); e.Kind != 0 {
		t.Errorf("the next day: %+v", e)
	}
}

// If no part of a quota can be taken, no request is allowed, and not every request asks
// the store.
func TestSharedQuotaWithoutItsStore(t *testing.T) {
	nodes, shared := newNodes(t, 1, "10000/day")
	l := nodes[0]
	defer l.Close()
	e := l.entry("one")
	shared.fail(keys.ErrUnavailable)
	for range 10 {
		var c directory.Charge
		if _, err := l.Charge(t.Context(), &c, e, 1); !errors.Is(err, keys.ErrUnavailable) || c.Made() {
			t.Errorf("charged with %v", err)
		}
	}
	if n := shared.calls(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
	shared.fail(nil)
	l.pass(2 * time.Second)
	if exceeded := l.request("one", 1); exceeded.Kind != 0 {
		t.Errorf("%+v", exceeded)
	}
	// Without the store, the allotment can still be used.
	shared.fail(keys.ErrUnavailable)
	if exceeded := l.request("one", 1); exceeded.Kind != 0 {
		t.Errorf("%+v", exceeded)
	}
	shared.fail(nil)
}

// While parts of a quota are given back, requests use the rest. All nodes together use
// no more than the quota.
func TestGiveBackWhileInUse(t *testing.T) {
	const most = 3000
	nodes, shared := newNodes(t, 2, "3000/month")
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for _, l := range nodes {
		ended := make(chan struct{})
		wg.Go(func() {
			defer close(ended)
			l.useUp(&allowed)
		})
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					flush(t, l.Directory)
				}
			}
		})
	}
	wg.Wait()
	for _, l := range nodes {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := allowed.Load(); n > most || n != shared.total() {
		t.Errorf("%d requests are allowed of %d, and %d are taken", n, most, shared.total())
	}
}
