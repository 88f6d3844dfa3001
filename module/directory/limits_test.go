package directory_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// limited is a directory whose clock stands still unless the test moves it.
type limited struct {
	t *testing.T
	*directory.Owned
	now *atomic.Pointer[time.Time]
}

// midMarch is in the middle of a day and of a month.
var midMarch = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

func newLimited(t *testing.T, store keys.Store) *limited {
	t.Helper()
	d, now := openAt(t, store, midMarch)
	return &limited{t, d, now}
}

// setUp makes the user alice, her app shop, the keys one and two of it, and a token
// of hers.
func (l *limited) setUp(change func(user *keys.User, app *keys.App, one *keys.Credential)) {
	l.t.Helper()
	user, app := keys.User{ID: "alice"}, keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}}
	of := func(name string) keys.Credential {
		return keys.Credential{Digest: credential.DigestOf(name), ID: "cak_" + name, Kind: policy.AppKey, UserID: "alice", AppID: "shop"}
	}
	one, two := of("one"), of("two")
	token := keys.Credential{Digest: credential.DigestOf("token"), ID: "cap_token", Kind: policy.PAT, UserID: "alice"}
	change(&user, &app, &one)
	l.update(func(tx *keys.Tx) error {
		_, err := tx.CreateUser(user)
		if err == nil {
			_, err = tx.CreateApp(app)
		}
		for _, c := range []keys.Credential{one, two, token} {
			if err == nil {
				_, err = tx.CreateCredential(c)
			}
		}
		return err
	})
}

func (l *limited) update(fn func(*keys.Tx) error) {
	l.t.Helper()
	if err := l.Update(l.t.Context(), operator, fn); err != nil {
		l.t.Fatal(err)
	}
}

func (l *limited) pass(d time.Duration) { l.now.Store(new(l.now.Load().Add(d))) }

func (l *limited) entry(name string) *directory.Entry {
	l.t.Helper()
	e, err := l.Find(l.t.Context(), credential.DigestOf(name))
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// request is one request of a key, which is over at once.
func (l *limited) request(name string, cost int64) directory.Exceeded {
	l.t.Helper()
	var c directory.Charge
	exceeded, err := l.Charge(l.t.Context(), &c, l.entry(name), cost)
	if err != nil {
		l.t.Fatal(err)
	}
	if c.Made() {
		c.Release()
	}
	return exceeded
}

// allowed is how many requests of a key are allowed, one after the other.
func (l *limited) allowed(name string, cost int64) (n int) {
	l.t.Helper()
	for l.request(name, cost).Kind == 0 {
		if n++; n > 10_000 {
			l.t.Fatal("there is no limit")
		}
	}
	return n
}

func (l *limited) want(what string, got, want int) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("%s: %d requests are allowed, want %d", what, got, want)
	}
}

func rateOf(t *testing.T, text string) policy.Limits {
	t.Helper()
	r, err := policy.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Limits{Rate: r}
}

func quotaOf(t *testing.T, text string) policy.Limits {
	t.Helper()
	q, err := policy.ParseQuota(text)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Limits{Quota: q}
}

func TestRate(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = rateOf(t, "10/s burst 20") })
	l.want("at once", l.allowed("one", 1), 20)
	e := l.request("one", 1)
	if e.Kind != directory.RateLimit || e.Of != "key" || e.Plan != "" || e.Limit != "10/s burst 20" || e.After != 100*time.Millisecond {
		t.Errorf("exceeds %+v", e)
	}
	l.pass(e.After)
	l.want("after the time that it was told", l.allowed("one", 1), 1)
	l.pass(time.Second)
	l.want("a second later", l.allowed("one", 1), 10)
	l.pass(time.Hour)
	l.want("an hour later", l.allowed("one", 1), 20)
	l.pass(time.Hour)
	l.want("dear ones", l.allowed("one", 3), 6)
	l.pass(time.Hour)
	l.want("free ones, and then others", int(l.request("one", 0).Kind)+l.allowed("one", 1), 20)
	l.pass(time.Hour)
	l.want("dearer than the burst", l.allowed("one", 50), 1)
	l.pass(4 * time.Second)
	l.want("while it is in debt", l.allowed("one", 1), 10)
	if n := l.request("two", 1).Kind; n != 0 {
		t.Errorf("another key exceeds %v", n)
	}
}

// No request is allowed beyond a rate, and none is refused more than one percent too
// early, however slow or fast the rate is.
func TestRatesAreExact(t *testing.T) {
	for _, text := range []string{"1/s", "7/s", "1000/s", "9999991/s burst 10", "59/m", "1/h", "100/h burst 1"} {
		t.Run(text, func(t *testing.T) {
			l := newLimited(t, openStore(t))
			defer l.Close()
			limits := rateOf(t, text)
			l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = limits })
			r := limits.Rate
			random := rand.New(rand.NewPCG(1, 2))
			span := time.Duration(0)
			allowed := int64(0)
			for range 2000 {
				for l.request("one", 1).Kind == 0 {
					allowed++
				}
				step := time.Duration(random.Int64N(int64(3 * r.Per / time.Duration(r.N))))
				if r.Burst == 1 { // or else time passes while the bucket is full
					step = l.request("one", 1).After
				}
				l.pass(step)
				span += step
			}
			most := r.Burst + int64(span*time.Duration(r.N)/r.Per)
			if span > time.Duration(1<<62)/time.Duration(r.N) {
				most = r.Burst + int64(float64(span)*float64(r.N)/float64(r.Per))
			}
			if allowed > most || r.Burst > 3 && float64(allowed) < float64(most)*0.99-1 {
				t.Errorf("%d requests in %s, want %d", allowed, span, most)
			}
		})
	}
}

func TestQuota(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = quotaOf(t, "10/day") })
	l.want("in a day", l.allowed("one", 3), 3)
	l.want("the rest", l.allowed("one", 1), 1)
	if e := l.request("one", 1); e.Kind != directory.QuotaLimit || e.After != 12*time.Hour || e.Limit != "10/day" {
		t.Errorf("exceeds %+v", e)
	}
	if e := l.request("one", 0); e.Kind != 0 {
		t.Errorf("a request that costs nothing exceeds %+v", e)
	}
	l.pass(12*time.Hour - 1)
	l.want("the last moment", l.allowed("one", 1), 0)
	l.pass(1)
	l.want("the next day", l.allowed("one", 1), 10)
}

func TestConcurrentRequests(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) {
		one.Limits = policy.Limits{Concurrent: 2}
	})
	var charges [3]directory.Charge
	for i, want := range []directory.LimitKind{0, 0, directory.ConcurrentLimit} {
		e, err := l.Charge(t.Context(), &charges[i], l.entry("one"), 1)
		if err != nil || e.Kind != want || charges[i].Made() != (want == 0) {
			t.Errorf("request %d: %+v, %v", i, e, err)
		}
	}
	charges[0].Release()
	if e, err := l.Charge(t.Context(), &charges[2], l.entry("one"), 1); err != nil || e.Kind != 0 {
		t.Errorf("after the end of one: %+v, %v", e, err)
	}
	charges[1].Release()
	charges[2].Release()
}

// The limits of the key, of its plan, of its app and of its user all apply. A request
// that one of them refuses takes nothing from the others.
func TestLevels(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	plan := func(name, quota string) policy.Plan { return policy.Plan{Name: name, Limits: quotaOf(t, quota)} }
	plans, err := policy.NewPlans([]policy.Plan{plan("key", "9/day"), plan("app", "14/day"), plan("user", "18/day"), plan("default", "3/day")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetPlans(plans)
	l.setUp(func(user *keys.User, app *keys.App, one *keys.Credential) {
		user.Plan, app.Plan, one.Plan, one.Limits = "user", "app", "key", quotaOf(t, "6/day")
	})
	of := func(key string, want int, refusedBy, plan string) {
		t.Helper()
		l.want(key, l.allowed(key, 1), want)
		if e := l.request(key, 1); e.Of != refusedBy || e.Plan != plan {
			t.Errorf("%s: exceeds %+v", key, e)
		}
	}
	of("one", 6, "key", "")
	of("two", 8, "app", "app")     // of the 14 of the app
	of("token", 4, "user", "user") // of the 18 of the user
	l.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential("cak_one", func(c *keys.Credential) error {
			c.Limits = policy.Limits{}
			return nil
		})
		return err
	})
	of("one", 0, "app", "app")
	l.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeApp(keys.AppRef{OwnerID: "alice", AppID: "shop"}, func(a *keys.App) error {
			a.Plan = ""
			return nil
		})
		return err
	})
	of("one", 0, "user", "user")
	l.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error {
			u.Plan = ""
			return nil
		})
		return err
	})
	of("one", 0, "user", "default") // whose counts are those of the user
	delete(plans, "default")
	l.SetPlans(policy.Plans{"key": plans["key"]})
	of("one", 3, "key", "key") // 6 of 9 were used
}

// If a plan isn't configured, no request is allowed.
func TestUnknownPlan(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Plan = "gold" })
	charged := func() error {
		t.Helper()
		var c directory.Charge
		_, err := l.Charge(t.Context(), &c, l.entry("one"), 1)
		if c.Made() && err != nil {
			t.Error("charged with an error")
		}
		return err
	}
	if err := charged(); err == nil || !strings.Contains(err.Error(), "the plan gold of the key") {
		t.Errorf("charged with %v", err)
	}
	gold := policy.Plan{Name: "gold", Addresses: policy.Addresses{netip.MustParsePrefix("192.0.2.0/24")}}
	l.SetPlans(policy.Plans{"gold": &gold})
	if got := l.entry("one").Caller().Addresses.Texts(); len(got) != 1 || got[0] != "192.0.2.0/24" {
		t.Errorf("addresses %q", got)
	}
	if err := charged(); err != nil {
		t.Error(err)
	}
	l.SetPlans(nil)
	if charged() == nil {
		t.Error("charged after the plan is gone")
	}
}

// However many requests arrive at the same time, exactly as many are allowed as the
// limits permit. A refused request takes nothing.
func TestLimitsUnderConcurrency(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) {
		one.Limits = rateOf(t, "1/h burst 500")
		one.Limits.Quota = quotaOf(t, "300/day").Quota
		one.Limits.Concurrent = 8
	})
	var allowed, live, most atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				var c directory.Charge
				e, err := l.Charge(t.Context(), &c, l.entry("one"), 1)
				if err != nil {
					t.Error(err)
					return
				}
				if e.Kind != 0 {
					continue
				}
				allowed.Add(1)
				for n := live.Add(1); ; {
					old := most.Load()
					if n <= old || most.CompareAndSwap(old, n) {
						break
					}
				}
				live.Add(-1)
				c.Release()
			}
		})
	}
	wg.Wait()
	l.want("by the quota", int(allowed.Load())+l.allowed("one", 1), 300)
	if most.Load() > 8 {
		t.Errorf("%d were live", most.Load())
	}
	l.pass(24 * time.Hour) // in which 24 tokens were gained
	l.want("by the rate", l.allowed("one", 1), 224)
}

// Counts outlive the cache's entries, and the usage of quotas outlives a restart.
func TestCountsOutliveEntries(t *testing.T) {
	store := openStore(t)
	l := newLimited(t, uncloseable{store})
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) {
		one.Limits = rateOf(t, "1/h burst 12")
		one.Limits.Quota = quotaOf(t, "15/month").Quota
	})
	l.request("one", 5)
	for range 50 { // until the meter is released, if nothing keeps it
		flush(t, l.Directory)
	}
	l.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential("cak_one", func(c *keys.Credential) error { c.Description = "changed"; return nil })
		return err
	})
	l.want("after a change", l.allowed("one", 1), 7)
	l.want("another", l.allowed("one", 1), 0)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := newLimited(t, uncloseable{store})
	again.want("after a restart", again.allowed("one", 1), 3) // of the quota
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	later, now := openAt(t, store, midMarch)
	defer later.Close()
	for range 3 { // or else the clock is in doubt
		now.Store(new(now.Load().AddDate(0, 0, 20)))
		if err := later.Upkeep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	err := later.View(t.Context(), func(r keys.Reader) error {
		_, err := r.Spending(credential.DigestOf("one"))
		return err
	})
	if !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("what was used two months ago is kept: %v", err)
	}
}

// A key that replaces another one goes on with what is left of the old one, and both
// share it while both work.
func TestLimitsOfARotatedKey(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	plan := policy.Plan{Name: "one", Limits: quotaOf(t, "12/day")}
	l.SetPlans(policy.Plans{"one": &plan})
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) {
		one.Limits, one.Plan = quotaOf(t, "10/day"), "one"
	})
	rotate := func(id, to string, grace time.Duration) {
		t.Helper()
		l.update(func(tx *keys.Tx) error {
			_, err := tx.Rotate(id, keys.Rotation{Digest: credential.DigestOf(to), ID: "cak_" + to, Grace: grace})
			return err
		})
	}
	l.request("one", 2)
	rotate("cak_one", "second", time.Hour)
	l.request("second", 3)
	l.request("one", 1)
	rotate("cak_second", "third", 0)
	l.request("third", 1)
	l.want("what is left of the first", l.allowed("one", 1), 3)
	l.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential("cak_third", func(c *keys.Credential) error { c.Limits = policy.Limits{}; return nil })
		return err
	})
	l.want("what is left of the plan", l.allowed("third", 1), 2)
	if e := l.request("two", 20); e.Kind != 0 {
		t.Errorf("another key exceeds %+v", e)
	}
}

// uncloseable is a store that another directory opens later.
type uncloseable struct{ keys.Store }

func (uncloseable) Close() error { return nil }

// The actual cost of a request counts against later requests.
func TestSettle(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) {
		one.Limits = rateOf(t, "10/s burst 10")
		one.Limits.Quota = quotaOf(t, "100/day").Quota
	})
	settled := func(cost int64) {
		t.Helper()
		var c directory.Charge
		e, err := l.Charge(t.Context(), &c, l.entry("one"), 1)
		if err != nil || e.Kind != 0 {
			t.Fatalf("%+v, %v", e, err)
		}
		c.Settle(cost)
		c.Release()
	}
	settled(30)
	l.want("in debt", l.allowed("one", 1), 0)
	l.pass(2100 * time.Millisecond)
	l.want("and out of it", l.allowed("one", 1), 1) // 69 are left of the quota
	l.pass(time.Hour)
	settled(0)
	l.want("nothing", l.allowed("one", 1), 10)
	l.pass(time.Hour)
	settled(1000)
	l.pass(time.Hour)
	if e := l.request("one", 1); e.Kind != directory.QuotaLimit {
		t.Errorf("beyond the quota: %+v", e)
	}
	l.pass(24 * time.Hour)
	l.want("the next day", l.allowed("one", 1), 10)
}

// charge makes a request of a key that stays live.
func (l *limited) charge(name string, cost int64) *directory.Charge {
	l.t.Helper()
	c := new(directory.Charge)
	if e, err := l.Charge(l.t.Context(), c, l.entry(name), cost); err != nil || e.Kind != 0 {
		l.t.Fatalf("%+v, %v", e, err)
	}
	return c
}

func (l *limited) limit(limits policy.Limits) {
	l.t.Helper()
	l.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential("cak_one", func(c *keys.Credential) error { c.Limits = limits; return nil })
		return err
	})
}

// Under a new rate, no request waits for as long as the old rate would have taken, and
// used tokens stay used.
func TestRateChanges(t *testing.T) {
	for _, row := range []struct {
		from, to string
		used     int64
		want     int           // at once
		then     time.Duration // until one more is allowed
	}{
		{"1/h burst 5", "1000/s burst 1000", 5, 995, time.Millisecond},
		{"1/h burst 5", "10/s burst 2", 5, 0, 100 * time.Millisecond},
		{"1000/s burst 1000", "1/m burst 10", 1000, 0, time.Minute},
		{"1000/s burst 1000", "1/m burst 10", 3, 7, time.Minute},
		{"10/s", "1/s", 15, 0, 6 * time.Second},
	} {
		t.Run(row.from+" to "+row.to, func(t *testing.T) {
			l := newLimited(t, openStore(t))
			defer l.Close()
			l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = rateOf(t, row.from) })
			l.request("one", row.used)
			l.limit(rateOf(t, row.to))
			l.want("at once", l.allowed("one", 1), row.want)
			l.pass(row.then - 1)
			l.want("too soon", l.allowed("one", 1), 0)
			l.pass(1)
			l.want("later", l.allowed("one", 1), 1)
		})
	}
}

// A live request is settled by the rate that applies at its end.
func TestSettleAfterAChange(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = rateOf(t, "5/h") })
	more, less := l.charge("one", 2), l.charge("one", 3)
	l.limit(rateOf(t, "10/s"))
	more.Settle(4)
	less.Settle(2)
	more.Release()
	less.Release()
	l.want("at once", l.allowed("one", 1), 4)
}

// A route that costs nothing is allowed even while there is a debt.
func TestFreeRequestInDebt(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = rateOf(t, "10/s") })
	l.request("one", 100)
	if e := l.request("one", 0); e.Kind != 0 {
		t.Errorf("exceeds %+v", e)
	}
}

// What a request of yesterday didn't use is not available today.
func TestRefundOfYesterday(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = quotaOf(t, "10/day") })
	yesterday := l.charge("one", 10)
	l.pass(24 * time.Hour)
	l.want("today", l.allowed("one", 1), 10)
	today := l.charge("one", 0)
	yesterday.Settle(0)
	l.want("after the end of yesterday's", l.allowed("one", 1), 0)
	yesterday.Release()
	today.Release()
}

// A window that began while the clock was ahead ends at the right time.
func TestQuotaAfterAWrongClock(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) { one.Limits = quotaOf(t, "10/day") })
	const ahead = 1000 * 24 * time.Hour
	l.pass(ahead)
	l.request("one", 4)
	l.pass(-ahead)
	l.want("the same day", l.allowed("one", 1), 6)
	l.pass(24 * time.Hour)
	l.want("the next day", l.allowed("one", 1), 10)
}

// A request that is decided again is charged by the limits that there are then.
func TestUndo(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) {
		one.Limits = rateOf(t, "5/h")
		one.Limits.Quota, one.Limits.Concurrent = quotaOf(t, "5/day").Quota, 1
	})
	before, c := l.entry("one"), new(directory.Charge)
	if e, err := l.Charge(t.Context(), c, before, 2); err != nil || e.Kind != 0 || !c.Of(before) {
		t.Errorf("%+v, %v", e, err)
	}
	l.limit(quotaOf(t, "5/day"))
	if c.Of(l.entry("one")) {
		t.Error("the charge of a changed entry")
	}
	c.Undo()
	if c.Made() {
		t.Error("made, after all")
	}
	l.want("afterwards", l.allowed("one", 1), 5)
}

func TestBudgets(t *testing.T) {
	l := newLimited(t, openStore(t))
	defer l.Close()
	plans := policy.Plans{"default": {Limits: policy.Limits{Rate: policy.Rate{N: 100, Per: time.Minute, Burst: 50}}}}
	l.SetPlans(plans)
	l.setUp(func(_ *keys.User, _ *keys.App, one *keys.Credential) {
		one.Limits = rateOf(t, "10/s burst 20")
		one.Limits.Quota = quotaOf(t, "31/month").Quota
	})
	l.request("one", 5)
	rate, quota := l.Budgets(l.entry("one"))
	if want := (directory.Budget{Most: 20, Left: 15, Window: 2 * time.Second, Reset: 500 * time.Millisecond}); rate != want {
		t.Errorf("rate: %+v", rate)
	}
	if want := (directory.Budget{Most: 31, Left: 26, Window: 31 * 24 * time.Hour, Reset: 16*24*time.Hour + 12*time.Hour}); quota != want {
		t.Errorf("quota: %+v", quota)
	}
	uses := l.LimitsOf(l.entry("one"))
	if len(uses) != 2 || uses[0].Of != "key" || uses[0].RateLeft != 15 || uses[0].Used != 5 || uses[1].Of != "user" || uses[1].Plan != "default" || uses[1].RateLeft != 45 {
		t.Errorf("uses: %+v", uses)
	}
}
