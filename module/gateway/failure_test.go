package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func init() { caddy.RegisterModule(new(meddlerModule)) }

// meddlerModule is a store that a test holds up or breaks: the bbolt store
// with a hand in between.
type meddlerModule struct {
	Path string `json:"path"`
}

func (*meddlerModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "api_keys.stores.meddler", New: func() caddy.Module { return new(meddlerModule) }}
}

func (m *meddlerModule) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&m.Path) {
		return d.ArgErr()
	}
	return nil
}

func (m *meddlerModule) Key() (string, error) { return "meddler:" + m.Path, nil }

func (m *meddlerModule) Open() (keys.Store, error) {
	s, err := boltstore.Open(m.Path)
	return meddler{s}, err
}

// meddle is called before each read; its error, or panic, is the store's.
var meddle atomic.Pointer[func() error]

type meddler struct{ keys.Store }

func (m meddler) View(ctx context.Context, fn func(keys.Reader) error) error {
	if f := meddle.Load(); f != nil {
		if err := (*f)(); err != nil {
			return err
		}
	}
	return m.Store.View(ctx, fn)
}

func startMeddled(t *testing.T, options string) *world {
	t.Helper()
	t.Cleanup(func() { meddle.Store(nil) })
	return startOn(t, "meddler", options)
}

// A store that fails is a 503, in every form, and never a pass.
func TestAFailingStore(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func() error
	}{
		{"input or output error", func() error { return errors.New("input/output error") }},
		{"corrupt record", func() error { return fmt.Errorf("%w: unexpected end", keys.ErrCorrupt) }},
		{"panic", func() error { panic("page 7: invalid freelist") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := startMeddled(t, "route GET /v2/inputs Inputs:Get\nroute grpc /pkg.Service/Method")
			w.user("alice")
			w.app("alice", "shop")
			auth := "Authorization: Key " + w.key("alice", "shop", "Inputs:Get")
			meddle.Store(&tt.fail)
			for _, protocol := range protocols {
				c := client(t, protocol)
				a := w.ask(c, "GET", "/v2/inputs", auth)
				if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.status(t).Code != 40031 || a.seen != nil {
					t.Errorf("answered %s %v %s", a.Status, a.Header, a.body)
				}
				if strings.Contains(a.body, "page 7") || strings.Contains(a.body, "input/output") {
					t.Errorf("the client is told the cause: %s", a.body)
				}
				a = w.ask(c, "POST", "/pkg.Service/Method", auth, "Content-Type: application/grpc")
				if a.Header.Get("Grpc-Status") != "14" || a.seen != nil {
					t.Errorf("gRPC answered %s %v", a.Status, a.Header)
				}
			}
			w.logs.wait(t, `"level":"error"`, "the key store can't answer", `"uuid"`)
			meddle.Store(nil)
			if a := w.ask(client(t, "HTTP/1.1"), "GET", "/v2/inputs", auth); a.StatusCode != 200 {
				t.Errorf("answered %s after the store had come back", a.Status)
			}
		})
	}
}

// A task in the background that fails is logged and counted.
func TestAFailingTaskIsLoggedAndCounted(t *testing.T) {
	w := startMeddled(t, "route GET /v2/inputs Inputs:Get")
	w.user("alice")
	w.app("alice", "shop")
	fail := func() error { return errors.New("the disk is gone") }
	meddle.Store(&fail)
	w.update(func(tx *keys.Tx) error { return tx.DeleteApp(keys.AppRef{OwnerID: "alice", AppID: "shop"}) })
	w.logs.wait(t, `"level":"error"`, "task of the key store failed", `"task":"deletions"`, "the disk is gone")
	if n := counted(t, "caddy_api_keys_task_failures_total", "deletions"); n < 1 {
		t.Errorf("counted %v failures", n)
	}
}

// Every change has taken effect when it is acknowledged: under many clients,
// with a slow store, no request that starts later is decided by what was
// before.
func TestNoRequestIsDecidedByWhatWasBefore(t *testing.T) {
	const clients, rounds = 64, 8
	w := startMeddled(t, "route GET /v2/inputs Inputs:Get")
	w.user("alice")
	w.app("alice", "shop")
	slow := func() error {
		if rand.IntN(3) == 0 {
			<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
		}
		return nil
	}
	meddle.Store(&slow)

	// state is which key the clients use, and what the last acknowledged
	// change left of it: the status of an answer, or 0 while one is under way.
	type state struct {
		text   string
		status int
	}
	var current atomic.Pointer[state]
	current.Store(&state{text: "nothing"})
	var asked, wrong atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range clients {
		c := client(t, "HTTP/1.1")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := current.Load()
				r, _ := http.NewRequest("GET", "http://"+w.addr+"/v2/inputs", nil)
				r.Header.Set("Authorization", "Key "+before.text)
				resp, err := c.Do(r)
				if err != nil {
					continue // ended by a change while it was served
				}
				resp.Body.Close()
				asked.Add(1)
				if before.status != 0 && current.Load() == before && resp.StatusCode != before.status {
					wrong.Add(1)
				}
			}
		})
	}
	// settle says what holds from here on, and lets the clients see it.
	settle := func(text string, status int) {
		current.Store(&state{text, status})
		mark := asked.Load()
		until(t, "requests", func() bool { return asked.Load() > mark+100 })
	}
	changes := []struct {
		status int
		do     func(*keys.Credential)
	}{
		{401, func(c *keys.Credential) { c.Disabled = true }},
		{200, func(c *keys.Credential) { c.Disabled = false }},
		{403, func(c *keys.Credential) { c.Scopes = []string{"Other:Get"} }},
		{200, func(c *keys.Credential) { c.Scopes = []string{"Inputs:Get", "Other:Get"} }},
		{401, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Second) }},
		{200, func(c *keys.Credential) { c.ExpiresAt = time.Time{} }},
	}
	for range rounds {
		// Asked for before it is created, so that its absence is cached.
		c := keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Inputs:Get"}}
		var text string
		text, c.ID = keys.Mint("ca", c.Kind)
		c.Digest = keys.DigestOf(text)
		w.logs.secret(text)
		settle(text, 401)
		change := func(status int, do func(*keys.Tx) error) {
			current.Store(&state{text: text})
			w.update(do)
			settle(text, status)
		}
		change(200, func(tx *keys.Tx) error { _, err := tx.CreateCredential(c); return err })
		for _, ch := range changes {
			change(ch.status, func(tx *keys.Tx) error {
				_, err := tx.ChangeCredential(c.ID, func(c *keys.Credential) error { ch.do(c); return nil })
				return err
			})
		}
		change(401, func(tx *keys.Tx) error { return tx.Revoke(c.ID, "leaked") })
	}
	close(stop)
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d requests were decided by what was before", n, asked.Load())
	}
	t.Logf("%d requests, %d changes", asked.Load(), rounds*(len(changes)+2))
}
