package gateway_test

import (
	"bytes"
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
)

// inUse is what the heap has once all that can be is collected.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// forget drops what the test itself keeps of the requests so far.
func (w *world) forget() {
	w.t.Helper()
	w.logs.check(w.t)
	w.logs.mu.Lock()
	w.logs.text = bytes.Buffer{}
	w.logs.mu.Unlock()
	w.upstream.mu.Lock()
	w.upstream.all = nil
	w.upstream.mu.Unlock()
}

const exhaustSite = `
	route * /v2/inputs Inputs:Get`

// latency asks again and again with a good key.
func (w *world) latency(c *http.Client, key string, n int) (took []time.Duration) {
	w.t.Helper()
	for range n {
		r, _ := http.NewRequest("GET", "http://"+w.addr+"/v2/inputs", nil)
		r.Header.Set("Authorization", "Key "+key)
		begun := time.Now()
		resp, err := c.Do(r)
		if err != nil {
			w.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		took = append(took, time.Since(begun))
		if resp.StatusCode != http.StatusOK {
			w.t.Fatalf("a good key is answered %s", resp.Status)
		}
	}
	return took
}

// What is large is refused or passes through; it isn't kept.
func TestLargeRequests(t *testing.T) {
	w := start(t, exhaustSite)
	w.user("alice")
	w.app("alice", "shop")
	key := w.key("alice", "shop", "Inputs:Get")
	const size = 100 << 20
	var got, most atomic.Int64
	memory := inUse()
	w.upstream.answerWith(func(_ http.ResponseWriter, r *http.Request) {
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
	c := client(t, "HTTP/1.1")
	r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+w.addr+"/v2/inputs", io.LimitReader(zeros{}, size))
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

	before := w.upstream.count()
	large := strings.Repeat("x", 2<<20)
	for _, line := range []string{"X-Large: " + large, "Authorization: Key " + large} {
		if status := w.raw("GET /v2/inputs HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n"); status < 400 || status >= 500 {
			t.Errorf("a header of 2 MiB is answered %d", status)
		}
	}
	if w.upstream.count() != before {
		t.Error("it reached the upstream")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Many sites that are loaded again and again under traffic leave no goroutine
// and no memory behind, and fail no request. EXHAUST_RELOADS says how often,
// and EXHAUST_SITES how many.
func TestManySitesAndReloads(t *testing.T) {
	sites, reloads := figures(t, "EXHAUST_SITES", 10), figures(t, "EXHAUST_RELOADS", 10)
	w := start(t, exhaustSite)
	w.user("alice")
	w.app("alice", "shop")
	key := w.key("alice", "shop", "Inputs:Get")
	config := func(round int) string {
		var b strings.Builder
		b.WriteString(w.caddyfile(exhaustSite))
		_, port, _ := net.SplitHostPort(w.addr)
		for i := range sites {
			fmt.Fprintf(&b, "\nhttp://site%d.test:%s {\napi_keys {\ninclude clarifai\nroute GET /extra/%d Apps:Get\n}\nreverse_proxy %s\n}", i, port, round, w.upstream.addr)
		}
		return b.String()
	}
	load := func(round int) {
		if err := w.load(config(round)); err != nil {
			t.Fatal(err)
		}
	}
	// A configuration that goes under traffic may leave a connection to the
	// upstream behind, by which Caddy keeps all of it for two minutes. It is
	// the upstream that closes them here.
	w.upstream.answerWith(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Connection", "close") })
	load(0)
	load(1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	c := client(t, "HTTP/1.1")
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			r, _ := http.NewRequest("GET", "http://"+w.addr+"/v2/inputs", nil)
			r.Header.Set("Authorization", "Key "+key)
			resp, err := getAgain(c, r)
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
		w.forget()
	}
	stop()
	requests := receive(t, ended, "the end of the traffic")
	until(t, "the end of the old configurations", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	w.forget()
	grown := inUse() - memory
	t.Logf("%d sites, loaded %d times, %d requests meanwhile: the heap grew by %d KiB, %d goroutines are more", sites, reloads, requests, grown>>10, runtime.NumGoroutine()-goroutines)
	if grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
