package exhaustion

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// inUse is what the heap has once all that can be is collected.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const exhaustSite = `
	route * /v2/inputs Inputs:Get`

// latency asks again and again with a good key.
func latency(server *gatetest.Server, c *http.Client, key string, n int) (took []time.Duration) {
	server.T.Helper()
	for range n {
		r, _ := http.NewRequest("GET", "http://"+server.Addr+"/v2/inputs", nil)
		r.Header.Set("Authorization", "Key "+key)
		begun := time.Now()
		resp, err := c.Do(r)
		if err != nil {
			server.T.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		took = append(took, time.Since(begun))
		if resp.StatusCode != http.StatusOK {
			server.T.Fatalf("a good key is answered %s", resp.Status)
		}
	}
	return took
}

// Large parts are refused or passed through, and not kept.
func TestLargeRequests(t *testing.T) {
	server := gatetest.Start(t, exhaustSite)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := server.AppKey("alice", "shop", "Inputs:Get")
	const size = 100 << 20
	var got, most atomic.Int64
	memory := inUse()
	server.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 1<<20)
		for {
			n, err := r.Body.Read(buf)
			if before := got.Add(int64(n)) - int64(n); before>>24 != got.Load()>>24 {
				most.Store(max(most.Load(), inUse()-memory))
			}
			if err != nil {
				return
			}
		}
	})
	c := gatetest.Client(t, "HTTP/1.1")
	r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+server.Addr+"/v2/inputs", io.LimitReader(zeros{}, size))
	r.Header.Set("Authorization", "Key "+key)
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Logf("a body of %d MiB: the heap grew by %d KiB at the most", size>>20, most.Load()>>10)
	if resp.StatusCode != http.StatusOK || got.Load() != size {
		t.Errorf("answered %s; %d bytes reached the upstream", resp.Status, got.Load())
	}
	if most.Load() > 16<<20 {
		t.Errorf("the heap grew by %d bytes", most.Load())
	}

	before := server.Upstream.Count()
	large := strings.Repeat("x", 2<<20)
	for _, line := range []string{"X-Large: " + large, "Authorization: Key " + large} {
		if status := server.Raw("GET /v2/inputs HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n"); status < 400 || status >= 500 {
			t.Errorf("a header of 2 MiB is answered %d", status)
		}
	}
	if server.Upstream.Count() != before {
		t.Error("it reached the upstream")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Many sites that are loaded again and again under traffic leave no goroutine
// and no memory behind, and fail no request. EXHAUST_RELOADS says how often,
// and EXHAUST_SITES how many.
func TestManySitesAndReloads(t *testing.T) {
	sites, reloads := gatetest.Repetitions(t, "EXHAUST_SITES", 10), gatetest.Repetitions(t, "EXHAUST_RELOADS", 10)
	server := gatetest.Start(t, exhaustSite)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := server.AppKey("alice", "shop", "Inputs:Get")
	config := func(round int) string {
		var b strings.Builder
		b.WriteString(server.Caddyfile(exhaustSite))
		_, port, _ := net.SplitHostPort(server.Addr)
		for i := range sites {
			fmt.Fprintf(&b, "\nhttp://site%d.test:%s {\napi_keys {\ninclude clarifai\nroute GET /extra/%d Apps:Get\n}\nreverse_proxy %s\n}", i, port, round, server.Upstream.Addr)
		}
		return b.String()
	}
	load := func(round int) {
		if err := server.Load(config(round)); err != nil {
			t.Fatal(err)
		}
	}
	// A configuration that goes under traffic may leave a connection to the
	// upstream behind, by which Caddy keeps all of it for two minutes. It is
	// the upstream that closes them here.
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Connection", "close") })
	load(0)
	load(1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	c := gatetest.Client(t, "HTTP/1.1")
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			r, _ := http.NewRequest("GET", "http://"+server.Addr+"/v2/inputs", nil)
			r.Header.Set("Authorization", "Key "+key)
			resp, err := gatetest.DoAgain(c, r)
			if err != nil {
				t.Error(err)
				break
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("answered %s", resp.Status)
			}
		}
		ended <- n
	}()
	memory, goroutines := inUse(), runtime.NumGoroutine()
	for round := range reloads {
		load(2 + round)
		server.Forget()
	}
	stop()
	requests := gatetest.Receive(t, ended, "the end of the traffic")
	gatetest.Until(t, "the end of the old configurations", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	server.Forget()
	grown := inUse() - memory
	t.Logf("%d sites, loaded %d times, %d requests meanwhile: the heap grew by %d KiB, %d goroutines are more", sites, reloads, requests, grown>>10, runtime.NumGoroutine()-goroutines)
	if grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
