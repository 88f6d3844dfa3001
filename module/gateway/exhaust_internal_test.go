package gateway

import (
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// heap is what is in use once all that can be is collected.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Random credentials without end take no more memory than the cache may have,
// and don't push those out of it that are in use. EXHAUST_CREDENTIALS says how
// many there are.
func TestRandomCredentials(t *testing.T) {
	const good, every = 1000, 10
	g, texts := benchGate(t, 5, good)
	lease := g.decider.app.lease.Load()
	n := 30_000
	if text := os.Getenv("EXHAUST_CREDENTIALS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	ask := func(text string, want int) time.Duration {
		r, w := benchRequest("/v2/users/alice/apps/shop/things0/one"), httptest.NewRecorder()
		r.Header["Authorization"] = []string{"Key " + text}
		begun := time.Now()
		if err := g.ServeHTTP(w, r, next); err != nil || w.Code != want {
			t.Fatalf("answered %d, %v, want %d", w.Code, err, want)
		}
		return time.Since(begun)
	}
	goods := 0
	askGood := func() time.Duration { goods++; return ask(texts[goods%good], http.StatusOK) }
	var quiet, busy []time.Duration
	for range max(n/every, 10*good) {
		quiet = append(quiet, askGood())
	}
	memory, goroutines, loads := heap(), runtime.NumGoroutine(), lease.Loads()
	var asked uint64 // of the store, for those that are unknown
	for i := range n {
		text, _ := credential.Mint("ca", policy.AppKey)
		switch i % 4 {
		case 0: // minted elsewhere, for all one can tell
			text = credential.DigestOf(text).String()
			asked++
		case 1: // a wrong checksum
			text = text[:len(text)-1] + string("01"[text[len(text)-1]&1^1])
			if credential.FormOf(text) != credential.Forged {
				asked++
			}
		default:
			asked++
		}
		ask(text, http.StatusUnauthorized)
		if i%every == 0 {
			busy = append(busy, askGood())
		}
	}
	again := lease.Loads() - loads - asked
	grown := heap() - memory
	slices.Sort(quiet)
	slices.Sort(busy)
	at := func(all []time.Duration, q float64) time.Duration { return all[int(float64(len(all)-1)*q)] }
	t.Logf("%d unknown credentials, %d of them looked up; %d good requests among them, %d looked up again (%.2f %% hits); "+
		"the heap grew by %d KiB; good ones, quiet: p50 %v, p99 %v; among the others: p50 %v, p99 %v",
		n, asked, len(busy), again, 100-100*float64(again)/float64(len(busy)), grown>>10,
		at(quiet, .5), at(quiet, .99), at(busy, .5), at(busy, .99))
	if again > uint64(len(busy))/20 {
		t.Errorf("%d of %d requests with good credentials had them looked up again", again, len(busy))
	}
	if grown > 2*directory.DefaultCacheBytes {
		t.Errorf("the heap grew by %d bytes; the cache may have %d", grown, directory.DefaultCacheBytes)
	}
	if now := runtime.NumGoroutine(); now > goroutines+10 {
		t.Errorf("%d goroutines, and %d before", now, goroutines)
	}
	if live := lease.Live(); live != 0 {
		t.Errorf("%d on the list of live requests", live)
	}
}

// Sites that say the same share what is large in them, in configurations that
// come later too.
func TestSitesShareTheirTable(t *testing.T) {
	build := func(own ...policy.Route) *policy.Table {
		t.Helper()
		g := &Gate{Include: []string{"clarifai"}, Route: own}
		site, err := Compile(g)
		if err != nil {
			t.Fatal(err)
		}
		return site.table
	}
	first := build()
	if build() != first {
		t.Error("two sites have a table each")
	}
	if build(policy.Route{Method: "GET", Pattern: "/own", Scopes: []string{"Apps:Get"}}) == first {
		t.Error("a site with a route of its own has the same table")
	}
}
