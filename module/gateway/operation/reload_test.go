package operation

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// Fifty configurations come and go under traffic, and one of them is broken:
// no request fails, none waits for the lock of the store's file, and no
// goroutine stays.
func TestReloads(t *testing.T) {
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	t.Run("under traffic", func(t *testing.T) {
		const route = "route GET /v2/inputs Inputs:Get\n"
		server := gatetest.Start(t, route)
		server.AddUsers("alice")
		server.AddApp("alice", "shop")
		key := server.AppKey("alice", "shop", "Inputs:Get")
		revoked, record := newKeyOf(server, "Inputs:Get")

		stop := make(chan struct{})
		var requests atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			c := gatetest.Client(t, "HTTP/1.1")
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					r, _ := http.NewRequest("GET", "http://"+server.Addr+"/v2/inputs", nil)
					r.Header.Set("Authorization", "Key "+key)
					resp, err := gatetest.DoAgain(c, r)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 200 {
						t.Errorf("answered %s", resp.Status)
					}
					requests.Add(1)
				}
			})
		}
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		asker := gatetest.Client(t, "HTTP/1.1")
		for i := range 50 {
			mark := requests.Load()
			gatetest.Until(t, "traffic", func() bool { return requests.Load() > mark+20 || t.Failed() })
			switch i {
			case 20:
				// It fails when the servers start; the app may have by then.
				_, port, _ := net.SplitHostPort(taken.Addr().String())
				broken := server.Caddyfile(route) + "\nhttp://:" + port + " {\nbind 127.0.0.1\nrespond x\n}"
				if err := server.Load(broken); err == nil {
					t.Error("a broken configuration was loaded")
				}
			case 30:
				server.Update(func(tx *keys.Tx) error { return tx.Revoke(record.ID, "leaked") })
			default:
				server.Reload(route + fmt.Sprintf("route GET /v2/extra%d Inputs:Get", i))
			}
			if i > 30 {
				r, _ := http.NewRequest("GET", "http://"+server.Addr+"/v2/inputs", nil)
				r.Header.Set("Authorization", "Key "+revoked)
				resp, err := gatetest.DoAgain(asker, r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != 401 {
					t.Errorf("a revoked key is answered %s after a reload", resp.Status)
				}
			}
		}
		close(stop)
		wg.Wait()
		if requests.Load() == 0 {
			t.Error("there was no traffic")
		}
		t.Logf("%d requests", requests.Load())
	})
	t.Cleanup(func() {
		if t.Failed() {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		}
	})
	gatetest.Until(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

func newKeyOf(server *gatetest.Server, scopes ...string) (string, keys.Credential) {
	return server.AddCredential(keys.Credential{Kind: 1, UserID: "alice", AppID: "shop", Scopes: scopes})
}

// A request of the old configuration that runs on after it has gone is still
// served, and still ends by a change that comes through the new one.
func TestARequestOutlivesItsConfiguration(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, id := gatetest.NewStreamKey(server)
	inside := make(chan struct{})
	c := gatetest.Client(t, "HTTP/1.1")
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/new" {
			return
		}
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		close(inside)
		<-r.Context().Done()
	})
	conn := server.Dial("GET " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
	gatetest.Receive(t, inside, "the request at the upstream")
	loaded := make(chan error, 1)
	go func() {
		loaded <- server.Load(server.Caddyfile(gatetest.StreamRoutes + "\nroute GET /v2/new Stream:Get"))
	}()
	gatetest.Until(t, "the new configuration", func() bool {
		r, _ := http.NewRequest("GET", "http://"+server.Addr+"/v2/new", nil)
		r.Header.Set("Authorization", "Key "+text)
		resp, err := gatetest.DoAgain(c, r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	gatetest.Until(t, "the request of the old configuration alone on the list", func() bool { return server.Directory().Live() == 1 })
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	gatetest.WaitClosed(t, conn)
	if err := gatetest.Receive(t, loaded, "the reload"); err != nil {
		t.Error(err)
	}
}

// When no configuration has a store any more, its file is free at once.
func TestTheStoreIsReleased(t *testing.T) {
	server := gatetest.Start(t, "route GET /v2/inputs Inputs:Get")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	s, err := boltstore.Open(server.StorePath)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A store that can't be opened is a configuration that isn't loaded.
func TestAStoreThatCannotBeOpened(t *testing.T) {
	server := gatetest.Start(t, "route GET /v2/inputs Inputs:Get")
	other := filepath.Join(t.TempDir(), "held.db")
	held, err := boltstore.Open(other)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	broken := strings.Replace(server.Caddyfile("route GET /v2/inputs Inputs:Get"), server.StorePath, other, 1)
	if err := server.Load(broken); err == nil {
		t.Error("loaded while another holds the file")
	}
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/v2/inputs", "Authorization: Key "+server.AppKey("alice", "shop", "All")); a.StatusCode != 200 {
		t.Errorf("the configuration of before answers %s", a.Status)
	}
}
