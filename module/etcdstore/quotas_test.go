package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// today is the first day of the windows in tests.
const today keys.Date = 20_000

// someQuota returns an allotment of a quota of 100.
func someQuota(want int64) keys.Allotment {
	return keys.Allotment{Meter: credential.DigestOf("a meter"), Begin: today, Most: 100, Want: want}
}

// allot asks for an allotment, and checks how much is granted, and how much is then
// taken by all nodes.
func allot(t *testing.T, s *Store, a keys.Allotment, granted, taken int64) {
	t.Helper()
	g, all, err := s.Allot(t.Context(), a)
	if err != nil || g != granted || all != taken {
		t.Errorf("%+d are granted, and %d taken (%v); want %+d, and %d", g, all, err, granted, taken)
	}
}

func TestAllot(t *testing.T) {
	fleet := newFleet(t, newStores(t).config(t), 2)
	first, second := fleet[0], fleet[1]
	lowered, raised, debt := someQuota(10), someQuota(10), someQuota(10)
	lowered.Most, raised.Most, debt.Debt = 50, 120, true
	allot(t, first, someQuota(0), 0, 0)
	allot(t, first, someQuota(-5), 0, 0)
	allot(t, first, someQuota(60), 60, 60)
	allot(t, second, lowered, 0, 60)
	allot(t, second, someQuota(60), 40, 100)
	allot(t, first, someQuota(1), 0, 100)
	allot(t, first, debt, 10, 110)
	allot(t, second, raised, 10, 120)
	allot(t, second, someQuota(-30), -30, 90)
	allot(t, first, someQuota(60), 10, 100)
	allot(t, first, someQuota(-1000), -100, 0)
	allot(t, second, someQuota(100), 100, 100)

	otherMeter, otherWindow := someQuota(70), someQuota(80)
	otherMeter.Meter, otherWindow.Begin = credential.DigestOf("another meter"), today+1
	allot(t, first, otherMeter, 70, 70)
	allot(t, second, otherWindow, 80, 80)
	allot(t, first, otherWindow, 20, 100)
}

// Nodes that take parts at the same time take exactly the quota.
func TestAllotExactly(t *testing.T) {
	fleet := newFleet(t, newStores(t).config(t), 3)
	const most, each = 2000, 4
	var sum atomic.Int64
	var takers sync.WaitGroup
	for _, s := range fleet {
		for range each {
			takers.Go(func() {
				a := someQuota(0)
				a.Most = most
				for {
					a.Want = 1 + rand.Int64N(40) //nolint:gosec // no secret
					granted, taken, err := s.Allot(t.Context(), a)
					if err != nil || granted < 0 || granted > a.Want || taken > most {
						t.Errorf("%d of %d are granted, and %d taken (%v)", granted, a.Want, taken, err)
						return
					}
					if granted == 0 {
						return
					}
					sum.Add(granted)
					if back := rand.Int64N(granted + 1); back > granted/2 { //nolint:gosec // no secret
						sum.Add(-back)
						a.Want = -back
						if granted, _, err := s.Allot(t.Context(), a); err != nil || granted != -back {
							t.Errorf("%d of %d are given back (%v)", -granted, back, err)
							return
						}
					}
				}
			})
		}
	}
	takers.Wait()
	a := someQuota(most)
	a.Most = most
	rest, taken, err := fleet[0].Allot(t.Context(), a) // which was given back last
	if sum.Add(rest) != most || taken != most || err != nil {
		t.Errorf("%d are granted, and %d taken, of %d (%v)", sum.Load(), taken, most, err)
	}
}

// A part that another node takes or gives back between reading and writing is counted.
func TestAllotMeanwhile(t *testing.T) {
	fleet := newFleet(t, newStores(t).config(t), 2)
	stop(t, fleet[0])
	for name, c := range map[string]struct{ before, others, want, granted, taken int64 }{
		"it takes first":              {0, 90, 60, 10, 100},
		"it takes a part":             {50, 40, 60, 10, 100},
		"it takes the rest":           {50, 50, 10, 0, 100},
		"it gives back":               {95, -55, 60, 60, 100},
		"it takes, and this returns":  {50, 40, -30, -30, 60},
		"both give back":              {50, -30, -30, -20, 0},
		"it gives back everything":    {50, -50, -30, 0, 0},
		"it gives back what was full": {99, -99, 100, 100, 100},
	} {
		t.Run(name, func(t *testing.T) {
			a := someQuota(c.before)
			a.Meter = credential.DigestOf(name)
			allot(t, fleet[1], a, c.before, c.before)
			hook(fleet[0], &hookedKV{beforeTxn: func() {
				a.Want = c.others
				allot(t, fleet[1], a, c.others, c.before+c.others)
			}})
			mine := a
			mine.Want = c.want
			allot(t, fleet[0], mine, c.granted, c.taken)
		})
	}
}

// If it is unknown whether etcd has carried out a call, nothing is granted twice. A part
// that was to be taken counts as taken, and a part that was to be given back is not
// given back a second time.
func TestAllotUnknown(t *testing.T) {
	fleet := newFleet(t, newStores(t).config(t), 2)
	stop(t, fleet[0])
	for name, c := range map[string]struct {
		hooks                hookedKV
		before, want         int64
		granted, taken, then int64
		err                  error
	}{
		"taken, and the answer is lost":           {hookedKV{lost: errAnswerLost}, 0, 30, 30, 60, 60, nil},
		"the rest taken, and the answer is lost":  {hookedKV{lost: errAnswerLost}, 80, 20, 0, 100, 100, nil},
		"not taken, and the call fails":           {hookedKV{failed: errAnswerLost}, 10, 30, 30, 40, 40, nil},
		"given back, and the answer is lost":      {hookedKV{lost: errAnswerLost}, 90, -30, 0, 0, 60, errUnknownQuota},
		"all given back, and the answer is lost":  {hookedKV{lost: errAnswerLost}, 30, -30, 0, 0, 0, errUnknownQuota},
		"not given back, and the call fails":      {hookedKV{failed: errAnswerLost}, 90, -30, -30, 60, 60, nil},
		"etcd is full":                            {hookedKV{failed: rpctypes.ErrNoSpace}, 10, 30, 0, 0, 10, rpctypes.ErrNoSpace},
		"etcd is full, and nothing is given back": {hookedKV{failed: rpctypes.ErrNoSpace}, 10, -5, 0, 0, 10, rpctypes.ErrNoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			a := someQuota(c.before)
			a.Meter = credential.DigestOf(name)
			allot(t, fleet[1], a, c.before, c.before)
			hook(fleet[0], &c.hooks)
			a.Want = c.want
			granted, taken, err := fleet[0].Allot(t.Context(), a)
			if granted != c.granted || taken != c.taken || !errors.Is(err, c.err) || err != nil && !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("%+d are granted, and %d taken (%v); want %+d, and %d (%v)", granted, taken, err, c.granted, c.taken, c.err)
			}
			a.Want = 0
			allot(t, fleet[1], a, 0, c.then)
		})
	}
}

// A client that leaves while a part is being taken doesn't make the node lose it.
func TestAllotWithoutClient(t *testing.T) {
	s := stopped(t)
	ctx, leave := context.WithCancel(t.Context())
	hook(s, &hookedKV{beforeTxn: leave})
	if granted, taken, err := s.Allot(ctx, someQuota(10)); granted != 10 || taken != 10 || err != nil {
		t.Errorf("%d are granted, and %d taken (%v)", granted, taken, err)
	}
	if granted, _, err := s.Allot(ctx, someQuota(10)); granted != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d are granted to a client that has left (%v)", granted, err)
	}
	allot(t, s, someQuota(0), 0, 10)
}

// Quotas don't need a fresh node, but they need etcd.
func TestAllotWithoutEtcd(t *testing.T) {
	all := newStores(t)
	s := openStore(t, all.config(t))
	stop(t, s)
	s.fence.close()
	allot(t, s, someQuota(10), 10, 10)

	all.etcd.Member(0).Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if granted, taken, err := s.Allot(ctx, someQuota(10)); granted != 0 || taken != 0 || !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("%d are granted, and %d taken, without etcd (%v)", granted, taken, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Allot(t.Context(), someQuota(10)); !errors.Is(err, keys.ErrClosed) {
		t.Errorf("a closed node asks for a quota (%v)", err)
	}
}

// Windows are forgotten once a window begins more than 32 days later.
func TestEndedWindows(t *testing.T) {
	s := openStore(t, newStores(t).config(t))
	var ops []clientv3.Op
	for i := range maxRemoved + 1 { // more than are removed at once
		ops = append(ops, clientv3.OpPut(s.layout.quota(today-40, credential.DigestOf(fmt.Sprint(i))), string(encode(quotaRecord{1}))))
		if len(ops) == maxOps || i == maxRemoved {
			if _, err := s.client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
				t.Fatal(err)
			}
			ops = nil
		}
	}
	for _, begin := range []keys.Date{today - 33, today - 32, today - 1, today} {
		a := someQuota(10)
		a.Begin = begin
		allot(t, s, a, 10, 10)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	deleted := 0
	for answer := range s.client.Watch(ctx, s.layout.quotas(), clientv3.WithPrefix(), clientv3.WithRev(1), clientv3.WithFilterPut()) {
		if err := answer.Err(); err != nil {
			t.Fatal(err)
		}
		if deleted += len(answer.Events); deleted >= maxRemoved+2 {
			break
		}
	}
	for begin, taken := range map[keys.Date]int64{today - 33: 0, today - 32: 10, today - 1: 10, today: 10} {
		a := someQuota(0)
		a.Begin = begin
		allot(t, s, a, 0, taken)
	}
	if left, err := s.client.Get(ctx, s.layout.quotas(), clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil || left.Count != 3 {
		t.Errorf("%d quotas are left (%v)", left.Count, err)
	}
}

// listedObserver counts the records of lists.
type listedObserver struct {
	unobserved

	lists, records atomic.Int64
}

// Listed implements [Observer].
func (o *listedObserver) Listed(_ string, records int, _ time.Duration) {
	o.lists.Add(1)
	o.records.Store(int64(records))
}

// Quotas are not records: mirrors don't have them, and a node that was away while they
// changed doesn't list because of them.
func TestQuotasAreNotMirrored(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	var listed listedObserver
	c.Observer = &listed
	s := openStore(t, c)
	put(t, s, putSomeUser)
	c.Mirror = filepath.Join(t.TempDir(), "mirror.db")
	away := openStore(t, c)
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	lists, recorded := listed.lists.Load(), listed.records.Load()
	before, err := s.getHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	for i := range int64(10) {
		a := someQuota(10)
		a.Begin += keys.Date(i)
		allot(t, s, a, 10, 10)
	}
	after, err := s.getHead(t.Context())
	if err != nil || after.put != before.put {
		t.Errorf("quotas put the head (%v)", err)
	}
	all.etcd.Compact(after.revision)
	back := openStore(t, c)
	if listed.lists.Load() != lists {
		t.Error("the node that was away has listed")
	}
	c.Mirror = filepath.Join(t.TempDir(), "mirror.db")
	later := openStore(t, c)
	if now := listed.records.Load(); now != recorded {
		t.Errorf("a new node lists %d records, and %d before there were quotas", now, recorded)
	}
	put(t, s, putSomeUser) // which all apply
	for n, s := range []*Store{s, back, later} {
		found, err := s.Examine(t.Context())
		if err != nil || len(found.Findings) > 0 {
			t.Errorf("node %d: %v %v", n, found.Findings, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := MoveOut(t.Context(), c, filepath.Join(t.TempDir(), "out.db")); err != nil || !done.Finished {
		t.Errorf("moved out %+v: %v", done, err)
	}
}
