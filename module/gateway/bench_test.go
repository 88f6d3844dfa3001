package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

type pathOpener string

func (p pathOpener) Key() (string, error)      { return string(p), nil }
func (p pathOpener) Open() (keys.Store, error) { return boltstore.Open(string(p)) }

// makeReady does what Provision does, with a store that is open.
func makeReady(tb testing.TB, g *Gate, lease *directory.Lease) {
	tb.Helper()
	site, err := Compile(g)
	if err != nil {
		tb.Fatal(err)
	}
	app := new(App)
	app.lease.Store(lease)
	if g.decider, err = newDecider(site, app, zap.NewNop(), prometheus.NewRegistry()); err != nil {
		tb.Fatal(err)
	}
}

// benchGate is a gate of so many routes over a store of so many keys, all of
// them cached, and the keys' texts.
func benchGate(tb testing.TB, routes, credentials int) (*Gate, []string) {
	tb.Helper()
	g := new(Gate)
	for i := range routes {
		g.Route = append(g.Route, policy.Route{
			Method:   "GET",
			Pattern:  fmt.Sprintf("/v2/users/{user_id}/apps/{app_id}/things%d/{thing_id}", i),
			Scopes:   []string{fmt.Sprintf("Things%d:Get", i%120), "Apps:Get"},
			Endpoint: []string{fmt.Sprintf("/test.V2/GetThing%d", i)},
		})
	}
	lease, err := directory.Lend(pathOpener(filepath.Join(tb.TempDir(), "keys.db")), directory.DefaultCacheBytes)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { lease.Close() })
	makeReady(tb, g, lease)
	texts := make([]string, credentials)
	err = lease.Update(context.Background(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}}); err != nil {
			return err
		}
		for i := range texts {
			text, id := credential.Mint("ca", policy.AppKey)
			texts[i] = text
			if _, err := tx.CreateCredential(keys.Credential{
				Digest: credential.DigestOf(text), ID: id, Kind: policy.AppKey, UserID: "alice", AppID: "shop",
				Scopes: []string{"Things0:Get", "Things7:Get", "Apps:Get"},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	cacheAll(tb, lease, texts)
	return g, texts
}

// cacheAll asks for credentials until all are cached: the cache takes entries in
// when it has time to.
func cacheAll(tb testing.TB, lease *directory.Lease, texts []string) {
	tb.Helper()
	for {
		before := lease.Loads()
		for _, text := range texts {
			if _, err := lease.Find(context.Background(), credential.DigestOf(text)); err != nil {
				tb.Fatal(err)
			}
		}
		if lease.Loads() == before {
			return
		}
	}
}

// benchRequest is a request as Caddy's server hands it to its first handler.
func benchRequest(target string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	for name, value := range map[string]string{
		"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "bench/1.0",
		"Content-Type": "application/json", "X-Clarifai-Client": "js:2.9.1",
	} {
		r.Header.Set(name, value)
	}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
}

// An allowed request without a body costs four allocations: the request itself
// with all that belongs to it, its context with the function that cancels it,
// and the function that answers placeholders. Resources add none. Identity headers beyond a map's
// first eight cost three more.
func TestAllowedRequestAllocations(t *testing.T) {
	g, texts := benchGate(t, 50, 1)
	lease := g.decider.app.lease.Load()
	g.OwnerBody = []string{"user_app_id.user_id", "user_app_id.app_id"}
	g.Resource = []policy.Resource{{Name: "thing", Path: []string{"thing_id"}, Body: []string{"thing"}, Query: []string{"thing"}}}
	makeReady(t, g, lease)
	if n := allocations(t, g, texts[0]); n > 4 {
		t.Errorf("%v allocations, want 4", n)
	}
	// The two RateLimit headers are texts of their own.
	bounded := policy.Plan{Name: policy.DefaultPlan, Limits: policy.Limits{
		Rate: policy.Rate{N: 1e6, Per: time.Second, Burst: 1e6}, Quota: policy.Quota{N: 1e6, Per: policy.Day}, Concurrent: 100,
	}}
	lease.Plan(policy.Plans{policy.DefaultPlan: &bounded})
	if n := allocations(t, g, texts[0]); n > 6 {
		t.Errorf("%v allocations of a limited request, want 6", n)
	}
}

// allocations returns how many allocations an allowed request costs.
func allocations(t *testing.T, g *Gate, text string) float64 {
	t.Helper()
	const runs = 200
	var requests []*http.Request
	for range runs + 1 {
		r := benchRequest("/v2/users/alice/apps/shop/things7/one?thing=two")
		r.Header = http.Header{"Authorization": {"Key " + text}, "User-Agent": {"bench/1.0"}, "Accept": {"*/*"}}
		r.Body = io.NopCloser(http.NoBody) // as Caddy wraps it
		requests = append(requests, r)
	}
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		if r.Body != http.NoBody {
			t.Error("a body that isn't there is handed on")
		}
		return nil
	})
	defer func() {
		if w.Body.Len() > 0 {
			t.Errorf("refused: %s", w.Body)
		}
	}()
	return testing.AllocsPerRun(runs, func() {
		r := requests[0]
		requests = requests[1:]
		if err := g.ServeHTTP(w, r, next); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkGate is an allowed request from the handler's entry to next: 500
// routes, 10,000 keys, cached. "bare" is what any handler pays that hands on a
// request with a context of its own, as a measure. "limited" has a rate and a quota,
// which all keys share.
func BenchmarkGate(b *testing.B) {
	g, texts := benchGate(b, 500, 10_000)
	const target = "/v2/users/alice/apps/shop/things127/one"
	headers := make([][]string, len(texts))
	for i, text := range texts {
		headers[i] = []string{"Key " + text}
	}
	reached := 0
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { reached++; return nil })
	const batch = 1024 // requests, made while the clock stands still
	run := func(b *testing.B, handler caddyhttp.MiddlewareHandler) {
		w := httptest.NewRecorder()
		requests := make([]*http.Request, batch)
		b.ReportAllocs()
		reached = 0
		for i := 0; b.Loop(); i++ {
			if i%batch == 0 {
				b.StopTimer()
				for j := range requests {
					requests[j] = benchRequest(target)
					requests[j].Header["Authorization"] = headers[(i+j)%len(headers)]
				}
				b.StartTimer()
			}
			if err := handler.ServeHTTP(w, requests[i%batch], next); err != nil {
				b.Fatal(err)
			}
		}
		if reached != b.N {
			b.Fatalf("%d of %d reached next: %s", reached, b.N, w.Body)
		}
	}
	b.Run("allowed", func(b *testing.B) { run(b, g) })
	b.Run("bare", func(b *testing.B) { run(b, bare{}) })
	b.Run("limited", func(b *testing.B) {
		lease := g.decider.app.lease.Load()
		lease.Plan(policy.Plans{policy.DefaultPlan: {Limits: policy.Limits{
			Rate: policy.Rate{N: 1e7, Per: time.Second, Burst: 1e9}, Quota: policy.Quota{N: 1e12, Per: policy.Month},
		}}})
		defer lease.Plan(nil)
		cacheAll(b, lease, texts)
		run(b, g)
	})
}

// BenchmarkDecision is a decision about a cached key: its route, the digest of
// the credential, and what it permits. "request" adds what has to be known of a
// request before: that it has one reading, and one credential. "digest" is the
// SHA-256 of the credential alone, as a measure.
func BenchmarkDecision(b *testing.B) {
	for _, routes := range []int{50, 490, 5000} {
		g, texts := benchGate(b, routes, 1000)
		lease := g.decider.app.lease.Load()
		const target = "/v2/users/alice/apps/shop/things7/one"
		b.Run(fmt.Sprintf("routes=%d", routes), func(b *testing.B) {
			table := g.decider.table
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				q := authz.Question{Method: "GET", Path: target, Table: table, Digest: credential.DigestOf(texts[i%len(texts)])}
				q.Rule, _ = table.Settle(table.Find("GET", false, target), "GET", false, target)
				if v := authz.Decide(b.Context(), lease.Directory, &q); v.Refused() {
					b.Fatal(v.Reason)
				}
			}
		})
		b.Run(fmt.Sprintf("request/routes=%d", routes), func(b *testing.B) {
			requests := make([]*http.Request, len(texts))
			for i, text := range texts {
				requests[i] = benchRequest(target)
				requests[i].Header["Authorization"] = []string{"Key " + text}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := requests[i%len(requests)]
				q := question{decider: g.decider, lease: lease, registry: lease.Directory}
				if o := q.ask(r); o.Refused() {
					b.Fatal(o.Reason)
				}
				if reason := q.credential(r); reason != authz.Allowed {
					b.Fatal(reason)
				}
				if v := q.decide(r.Context()); v.Refused() {
					b.Fatal(v.Reason)
				}
			}
		})
		if routes == 490 {
			b.Run("digest", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					digest = credential.DigestOf(texts[i%len(texts)])
				}
			})
		}
	}
}

var digest credential.Digest // so that the compiler doesn't leave it out

type bare struct{}

func (bare) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	delete(r.Header, "Authorization")
	return next.ServeHTTP(w, r.WithContext(ctx))
}
