package operation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

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
			server := gatetest.StartFaulty(t, "route GET /v2/inputs Inputs:Get\nroute grpc /pkg.Service/Method")
			server.AddUsers("alice")
			server.AddApp("alice", "shop")
			auth := "Authorization: Key " + server.AppKey("alice", "shop", "Inputs:Get")
			gatetest.BeforeReads(tt.fail)
			for _, protocol := range gatetest.Protocols {
				c := gatetest.Client(t, protocol)
				a := server.Ask(c, "GET", "/v2/inputs", auth)
				if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.APIStatus(t).Code != 40031 || a.Forwarded != nil {
					t.Errorf("answered %s %v %s", a.Status, a.Header, a.Text)
				}
				if strings.Contains(a.Text, "page 7") || strings.Contains(a.Text, "input/output") {
					t.Errorf("the client is told the cause: %s", a.Text)
				}
				a = server.Ask(c, "POST", "/pkg.Service/Method", auth, "Content-Type: application/grpc")
				if a.Header.Get("Grpc-Status") != "14" || a.Forwarded != nil {
					t.Errorf("gRPC answered %s %v", a.Status, a.Header)
				}
			}
			server.Logs.Wait(t, `"level":"error"`, "the key store can't answer", `"uuid"`)
			gatetest.BeforeReads(nil)
			if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/v2/inputs", auth); a.StatusCode != 200 {
				t.Errorf("answered %s after the store had come back", a.Status)
			}
		})
	}
}

// A task in the background that fails is logged and counted.
func TestAFailingTaskIsLoggedAndCounted(t *testing.T) {
	server := gatetest.StartFaulty(t, "route GET /v2/inputs Inputs:Get")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	fail := func() error { return errors.New("the disk is gone") }
	gatetest.BeforeReads(fail)
	server.Update(func(tx *keys.Tx) error { return tx.DeleteApp(keys.AppRef{OwnerID: "alice", AppID: "shop"}) })
	server.Logs.Wait(t, `"level":"error"`, "task of the key store failed", `"task":"deletions"`, "the disk is gone")
	if n := gatetest.Counter(t, "caddy_api_keys_task_failures_total", "deletions"); n < 1 {
		t.Errorf("counted %v failures", n)
	}
}

// Every change has taken effect when it is acknowledged: under many clients,
// with a slow store, no request that starts later is decided by what was
// before.
func TestNoDecisionIsMadeByOutdatedData(t *testing.T) {
	const clients, rounds = 64, 8
	server := gatetest.StartFaulty(t, "route GET /v2/inputs Inputs:Get")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	slow := func() error {
		if rand.IntN(3) == 0 {
			<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
		}
		return nil
	}
	gatetest.BeforeReads(slow)

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
		c := gatetest.Client(t, "HTTP/1.1")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := current.Load()
				r, _ := http.NewRequest("GET", "http://"+server.Addr+"/v2/inputs", nil)
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
		gatetest.Until(t, "requests", func() bool { return asked.Load() > mark+100 })
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
		text, c.ID = credential.Mint("ca", c.Kind)
		c.Digest = credential.DigestOf(text)
		server.Logs.AddSecret(text)
		settle(text, 401)
		change := func(status int, do func(*keys.Tx) error) {
			current.Store(&state{text: text})
			server.Update(do)
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
