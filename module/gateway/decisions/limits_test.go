package decisions

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const limitSite = `
	route GET  /items Items:Get
	route HEAD /head
	route POST /dear {
		cost 5
	}
	route GET /free {
		cost 0
	}
	route grpc /pkg.Service/Method
	route GET /healthz {
		accept public
	}`

// limitServer is a gate in front of which alice has keys of her app shop.
type limitServer struct{ *gatetest.Server }

func startLimits(t *testing.T, site, options string) *limitServer {
	t.Helper()
	server := gatetest.Start(t, site)
	if options != "" {
		server.Options = options
		server.Reload(site)
	}
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	return &limitServer{server}
}

// key makes a key of the app, and returns the header that presents it, and its ID.
func (s *limitServer) key(change func(*keys.Credential)) (header, id string) {
	s.T.Helper()
	c := keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}}
	change(&c)
	text, made := s.AddCredential(c)
	return "Authorization: Key " + text, made.ID
}

func limits(t *testing.T, rate, quota string) (l policy.Limits) {
	t.Helper()
	var err error
	if rate != "" {
		l.Rate, err = policy.ParseRate(rate)
	}
	if quota != "" && err == nil {
		l.Quota, err = policy.ParseQuota(quota)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A request that exceeds a limit gets 429. The answer names the limit and the time to
// wait. The request doesn't reach the upstream, and other keys still work.
func TestLimits(t *testing.T) {
	s := startLimits(t, limitSite, "")
	client := gatetest.Client(t, "HTTP/1.1")
	limited, _ := s.key(func(c *keys.Credential) { c.Limits = limits(t, "1/h burst 3", "100/month") })
	other, _ := s.key(func(*keys.Credential) {})
	for i := range 3 {
		a := s.Ask(client, "GET", "/items", limited)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("request %d is answered %s %s", i, a.Status, a.Text)
		}
		left := fmt.Sprintf(`"rate";r=%d;t=%d, "quota";r=%d;t=`, 2-i, 3600*(i+1), 99-i)
		if got := a.Header.Get("RateLimit"); !strings.HasPrefix(got, left) {
			t.Errorf("RateLimit: %s, want %s", got, left)
		}
		if got := a.Header.Get("RateLimit-Policy"); !strings.HasPrefix(got, `"rate";q=3;w=10800, "quota";q=100;w=`) {
			t.Errorf("RateLimit-Policy: %s", got)
		}
	}
	a := s.Ask(client, "GET", "/items", limited)
	if a.StatusCode != http.StatusTooManyRequests || a.Forwarded != nil {
		t.Fatalf("answered %s %s, forwarded: %v", a.Status, a.Text, a.Forwarded != nil)
	}
	if status := a.APIStatus(t); status.Code != 11005 || !strings.Contains(status.Details, "the rate of 1/h burst 3 of the key") {
		t.Errorf("answered %s", a.Text)
	}
	if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 3590 || after > 3600 {
		t.Errorf("Retry-After: %s", a.Header.Get("Retry-After"))
	}
	if got := a.Header.Get("RateLimit"); !strings.HasPrefix(got, `"rate";r=0;t=10800, "quota";r=97;t=`) {
		t.Errorf("RateLimit: %s", got)
	}
	if a := s.Ask(client, "GET", "/free", limited); a.StatusCode != http.StatusOK {
		t.Errorf("a request that costs nothing is answered %s", a.Status)
	}
	if a := s.Ask(client, "GET", "/items", other); a.StatusCode != http.StatusOK || a.Header["Ratelimit"] != nil {
		t.Errorf("another key is answered %s with %v", a.Status, a.Header)
	}
}

// A request that is refused for another reason costs nothing.
func TestRefusedRequestsCostNothing(t *testing.T) {
	s := startLimits(t, limitSite, "")
	client := gatetest.Client(t, "HTTP/1.1")
	key, _ := s.key(func(c *keys.Credential) { c.Limits, c.Scopes = limits(t, "", "1/day"), []string{"Other"} })
	for _, target := range []string{"/items", "/nothing", "/healthz", "/items/../x"} {
		s.Ask(client, "GET", target, key)
	}
	if a := s.Ask(client, "HEAD", "/head", key); a.StatusCode != http.StatusOK {
		t.Errorf("the one request is answered %s", a.Status)
	}
	if a := s.Ask(client, "HEAD", "/head", key); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one too many is answered %s", a.Status)
	}
}

func TestCosts(t *testing.T) {
	s := startLimits(t, limitSite, "")
	client := gatetest.Client(t, "HTTP/1.1")
	key, _ := s.key(func(c *keys.Credential) { c.Limits = limits(t, "", "11/day") })
	for _, row := range []struct {
		method, target string
		status         int
	}{{"POST", "/dear", 200}, {"POST", "/dear", 200}, {"POST", "/dear", 429}, {"GET", "/items", 200}, {"GET", "/items", 429}, {"GET", "/free", 200}} {
		if a := s.Ask(client, row.method, row.target, key); a.StatusCode != row.status {
			t.Errorf("%s %s is answered %s", row.method, row.target, a.Status)
		}
	}
}

// gRPC clients get the status RESOURCE_EXHAUSTED.
func TestLimitsOfGRPC(t *testing.T) {
	s := startLimits(t, limitSite, "")
	client := gatetest.Client(t, "h2c")
	key, _ := s.key(func(c *keys.Credential) { c.Limits = limits(t, "1/h", "") })
	s.Ask(client, "GET", "/items", key)
	a := s.Ask(client, "POST", "/pkg.Service/Method", key, "Content-Type: application/grpc")
	if a.StatusCode != http.StatusOK || a.Header.Get("Grpc-Status") != "8" || !strings.Contains(a.Header.Get("Grpc-Message"), "rate of 1/h") || a.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s %v", a.Status, a.Header)
	}
}

// The plans of a user, an app and a key apply together. They change with the
// configuration, and the counts stay.
func TestPlans(t *testing.T) {
	const small = `
		plan default {
			quota 4/day
		}
		plan one {
			quota 1/day
		}`
	s := startLimits(t, limitSite, small)
	client := gatetest.Client(t, "HTTP/1.1")
	first, _ := s.key(func(c *keys.Credential) { c.Plan = "one" })
	second, _ := s.key(func(*keys.Credential) {})
	token := "Authorization: Key " + s.PAT("alice", "All")
	others := "Authorization: Key " + s.PAT("bob", "All")
	want := func(header string, status int, says string) {
		t.Helper()
		if a := s.Ask(client, "GET", "/items", header); a.StatusCode != status || !strings.Contains(a.Text, says) {
			t.Errorf("answered %s %s", a.Status, a.Text)
		}
	}
	want(first, 200, "")
	want(first, 429, "the quota of 1/day of the key (plan one)")
	want(second, 200, "")
	want(token, 200, "")
	want(second, 200, "")
	want(token, 429, "the quota of 4/day of the user (plan default)")
	want(second, 429, "the user (plan default)")
	want(others, 200, "")
	s.Options = strings.Replace(small, "4/day", "6/day", 1)
	s.Reload(limitSite)
	want(second, 200, "")
	want(token, 200, "")
	want(token, 429, "the quota of 6/day")
	s.Options = ""
	s.Reload(limitSite)
	want(token, 200, "")
	want(first, 503, "") // whose plan is gone
	s.Logs.Wait(t, "no such plan is configured")
}

// However many requests arrive at the same time, on any number of connections, exactly
// as many as the quota permits reach the upstream.
func TestLimitsUnderLoad(t *testing.T) {
	s := startLimits(t, limitSite, "")
	key, _ := s.key(func(c *keys.Credential) { c.Limits = limits(t, "", "150/day") })
	var allowed, refused atomic.Int64
	var wg sync.WaitGroup
	for _, protocol := range gatetest.Protocols {
		client := gatetest.Client(t, protocol)
		for range 8 {
			wg.Go(func() {
				for range 25 {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/items", http.NoBody)
					if err != nil {
						t.Error(err)
						return
					}
					name, value, _ := strings.Cut(key, ": ")
					r.Header.Set(name, value)
					resp, err := client.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					switch resp.StatusCode {
					case http.StatusOK:
						allowed.Add(1)
					case http.StatusTooManyRequests:
						refused.Add(1)
					default:
						t.Errorf("answered %s", resp.Status)
					}
				}
			})
		}
	}
	wg.Wait()
	if allowed.Load() != 150 || s.Upstream.Count() != 150 {
		t.Errorf("%d were allowed, %d refused, %d reached the upstream; want 150", allowed.Load(), refused.Load(), s.Upstream.Count())
	}
}

// A live request counts until it is over, however it ends.
func TestConcurrentRequests(t *testing.T) {
	s := startLimits(t, limitSite, "")
	client := gatetest.Client(t, "HTTP/1.1")
	key, _ := s.key(func(c *keys.Credential) { c.Limits.Concurrent = 1 })
	arrived, leave := make(chan struct{}), make(chan struct{})
	s.Upstream.AnswerWith(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-leave
		w.WriteHeader(http.StatusNoContent)
	})
	done := make(chan int)
	go func() { done <- s.Ask(client, "GET", "/items", key).StatusCode }()
	gatetest.Receive(t, arrived, "the first request reaches the upstream")
	a := s.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/items", key)
	if a.StatusCode != http.StatusTooManyRequests || a.APIStatus(t).Code != 11005 || a.Header.Get("Retry-After") != "1" ||
		!strings.Contains(a.Text, "the limit of 1 on concurrent requests") {
		t.Errorf("the second is answered %s %s", a.Status, a.Text)
	}
	close(leave)
	if status := gatetest.Receive(t, done, "the first request is answered"); status != http.StatusNoContent {
		t.Errorf("the first is answered %d", status)
	}
	s.Upstream.AnswerWith(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for range 3 {
		if a := s.Ask(client, "GET", "/items", key); a.StatusCode != http.StatusBadGateway {
			t.Errorf("after the first is over: %s", a.Status)
		}
	}
}

// The usage that a response reports replaces the cost.
func TestUsage(t *testing.T) {
	for _, row := range []struct{ name, option, kind, header, body string }{
		{"a header", "usage header X-Usage", "text/plain", "7", "text"},
		{"JSON", "usage json usage.total_tokens", "application/json", "", `{"choices":[],"usage":{"total_tokens":7}}`},
		{"server-sent events", "usage json usage.total_tokens", "text/event-stream", "", "data: {\"usage\":null}\n\ndata: {\"usage\":{\"total_tokens\":7}}\n\ndata: [DONE]\n\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startLimits(t, limitSite+"\n"+row.option, "")
			client := gatetest.Client(t, "HTTP/1.1")
			key, _ := s.key(func(c *keys.Credential) { c.Limits = limits(t, "", "10/day") })
			s.Upstream.AnswerWith(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", row.kind)
				if row.header != "" {
					w.Header().Set("X-Usage", row.header)
				}
				_, _ = io.WriteString(w, row.body)
			})
			for i, want := range []int{200, 200, 429} {
				a := s.Ask(client, "GET", "/items", key, "Accept-Encoding: gzip")
				if a.StatusCode != want || want == 200 && a.Text != row.body || a.Header["X-Usage"] != nil {
					t.Errorf("request %d is answered %s %v %s", i, a.Status, a.Header, a.Text)
				}
			}
			if a := s.Ask(client, "GET", "/healthz"); a.StatusCode != 200 || a.Header["X-Usage"] != nil {
				t.Errorf("a public route is answered %s with %v", a.Status, a.Header)
			}
		})
	}
}

// Clients don't see the header in mode shadow either, and it may be a trailer.
func TestUsageIsHidden(t *testing.T) {
	s := startLimits(t, limitSite+"\nusage header X-Usage\nmode shadow", "")
	key, _ := s.key(func(c *keys.Credential) { c.Limits = limits(t, "", "10/day") })
	s.Upstream.AnswerWith(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set(http.TrailerPrefix+"X-Usage", "8")
		} else {
			w.Header().Set("X-Usage", "1")
		}
		_, _ = io.WriteString(w, "text")
	})
	for _, protocol := range gatetest.Protocols {
		for _, row := range []struct{ method, target, key string }{{"GET", "/items", ""}, {"GET", "/healthz", ""}, {"POST", "/dear", key}, {"POST", "/dear", ""}} {
			r, err := http.NewRequestWithContext(t.Context(), row.method, "http://"+s.Addr+row.target, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if name, value, ok := strings.Cut(row.key, ": "); ok {
				r.Header.Set(name, value)
			}
			resp, err := gatetest.Client(t, protocol).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(text) != "text" || resp.Header["X-Usage"] != nil || resp.Trailer["X-Usage"] != nil {
				t.Errorf("%s: %s %s is answered %s with %v and the trailer %v, %v", protocol, row.method, row.target, text, resp.Header, resp.Trailer, err)
			}
		}
	}
	if a := s.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/free", key); !strings.HasPrefix(a.Header.Get("RateLimit"), `"quota";r=2;`) {
		t.Errorf("after the trailers: %s", a.Header.Get("RateLimit"))
	}
}

// A key for some networks is refused from elsewhere. A live request ends when the key
// may no longer be used from the request's address.
func TestAddresses(t *testing.T) {
	const elsewhere = `
		plan elsewhere {
			addresses 192.0.2.0/24
		}
		plan here {
			addresses 127.0.0.0/8
		}`
	s := startLimits(t, limitSite, elsewhere)
	client := gatetest.Client(t, "HTTP/1.1")
	networks := func(list ...string) policy.Addresses {
		t.Helper()
		a, err := policy.ParseAddresses(list)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for name, row := range map[string]struct {
		change func(*keys.Credential)
		status int
	}{
		"here":          {func(c *keys.Credential) { c.Addresses = networks("127.0.0.0/8") }, 200},
		"elsewhere":     {func(c *keys.Credential) { c.Addresses = networks("192.0.2.0/24", "::1") }, 403},
		"nowhere":       {func(c *keys.Credential) { c.Addresses = policy.Addresses{} }, 403},
		"a plan here":   {func(c *keys.Credential) { c.Plan = "here" }, 200},
		"a plan's":      {func(c *keys.Credential) { c.Plan = "elsewhere" }, 403},
		"both disagree": {func(c *keys.Credential) { c.Plan, c.Addresses = "elsewhere", networks("127.0.0.0/8") }, 403},
	} {
		key, _ := s.key(row.change)
		a := s.Ask(client, "GET", "/items", key, "X-Forwarded-For: 192.0.2.1")
		if a.StatusCode != row.status || row.status != 200 && (a.Forwarded != nil || a.APIStatus(t).Code != 11008) {
			t.Errorf("%s: answered %s %s", name, a.Status, a.Text)
		}
	}
	key, id := s.key(func(c *keys.Credential) { c.Addresses = networks("127.0.0.1") })
	arrived := make(chan struct{})
	s.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ended := make(chan error)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/items", http.NoBody)
		if err == nil {
			name, value, _ := strings.Cut(key, ": ")
			r.Header.Set(name, value)
			var resp *http.Response
			if resp, err = client.Do(r); err == nil {
				resp.Body.Close()
				err = fmt.Errorf("answered %s", resp.Status)
			}
		}
		ended <- err
	}()
	gatetest.Receive(t, arrived, "the request reaches the upstream")
	s.ChangeCredential(id, func(c *keys.Credential) { c.Addresses = networks("192.0.2.7") })
	if err := gatetest.Receive(t, ended, "the request ends"); err == nil || strings.Contains(err.Error(), "answered 200") {
		t.Errorf("ended with %v", err)
	}
}

// A live request ends when its plan is no longer configured, because new requests are
// refused then. It also ends when the plan excludes its address.
func TestPlanOfALiveRequest(t *testing.T) {
	const here = `
		plan here {
			addresses 127.0.0.0/8
		}`
	for name, options := range map[string]string{
		"gone":  strings.Replace(here, "here", "there", 1),
		"moved": strings.Replace(here, "127.0.0.0/8", "192.0.2.0/24", 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := startLimits(t, limitSite, here)
			key, _ := s.key(func(c *keys.Credential) { c.Plan = "here" })
			arrived, ended, asked := make(chan struct{}), make(chan struct{}), make(chan struct{})
			s.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				<-r.Context().Done()
				close(ended)
			})
			client := gatetest.Client(t, "HTTP/1.1")
			go func() {
				defer close(asked)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/items", http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				field, value, _ := strings.Cut(key, ": ")
				r.Header.Set(field, value)
				if resp, err := client.Do(r); err == nil {
					resp.Body.Close()
				}
			}()
			gatetest.Receive(t, arrived, "the request reaches the upstream")
			s.Options = options
			s.Reload(limitSite)
			gatetest.Receive(t, ended, "the request ends at the upstream")
			gatetest.Receive(t, asked, "the request ends at the client")
		})
	}
}

// In mode shadow, a request that exceeds a limit is logged and forwarded.
func TestLimitsInShadow(t *testing.T) {
	s := startLimits(t, limitSite+"\nmode shadow", "")
	client := gatetest.Client(t, "HTTP/1.1")
	key, _ := s.key(func(c *keys.Credential) {
		c.Limits = limits(t, "1/h", "")
		c.Addresses = policy.Addresses{netip.MustParsePrefix("127.0.0.0/8")}
	})
	for range 2 {
		if a := s.Ask(client, "GET", "/items", key); a.StatusCode != 200 || a.Forwarded == nil {
			t.Errorf("answered %s", a.Status)
		}
	}
	s.Logs.Wait(t, `"reason":"rate"`)
}
