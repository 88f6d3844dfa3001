//go:build linux

package fleettest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

// caddies are three Caddys of the real program on hosts of their own, with three
// members of etcd.
type caddies struct {
	t       *testing.T
	net     *etcdtest.Net
	etcd    *etcdtest.Cluster
	hosts   []*etcdtest.Host
	program string
	folder  string
	list    []*caddy
}

// caddy is one of the three.
type caddy struct {
	all  *caddies
	host *etcdtest.Host
	*etcdtest.Process
	file   string
	client http.Client
}

// someInputs is a path that requires the scope Inputs:Get.
const someInputs = "/v2/users/alice/apps/shop/inputs"

func startCaddies(t *testing.T) *caddies {
	t.Helper()
	c := &caddies{t: t, net: etcdtest.NewNet(t), folder: t.TempDir()}
	c.program = filepath.Join(c.folder, "caddy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", c.program, "../../../cmd/caddy") //nolint:gosec // this project
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i := range members {
		c.hosts = append(c.hosts, c.net.Host(fmt.Sprintf("etcd%d", i)))
	}
	c.etcd = etcdtest.Start(t, members, etcdtest.On(c.hosts...), etcdtest.UnsafeNoFsync())
	upstream := c.startUpstream()
	for i := range gates {
		c.list = append(c.list, c.newCaddy(i, upstream))
	}
	return c
}

// startUpstream starts an upstream that answers at once, or writes until its client
// has gone.
func (c *caddies) startUpstream() (address string) {
	c.t.Helper()
	ln, err := c.net.Test().Listen(0)
	if err != nil {
		c.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: deadline, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.URL.Query().Has("endless") && r.Context().Err() == nil {
			if _, err := io.WriteString(w, "more\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush() // the next write fails, too
			<-time.After(10 * time.Millisecond)
		}
	})}
	go func() { _ = server.Serve(ln) }()       // until it is closed
	c.t.Cleanup(func() { _ = server.Close() }) // its clients have ended
	return ln.Addr().String()
}

func (c *caddies) newCaddy(i int, upstream string) *caddy {
	c.t.Helper()
	name := fmt.Sprintf("caddy%d", i)
	g := &caddy{all: c, host: c.net.Host(name), file: filepath.Join(c.folder, name+".caddyfile")}
	config := fmt.Sprintf(`{
	admin %[1]s:2019
	storage file_system %[2]q
	api_keys {
		store etcd`, g.host.Addr(), filepath.Join(c.folder, name))
	for _, url := range c.etcd.Endpoints() {
		config += " " + url
	}
	config += fmt.Sprintf(` {
			mirror %[2]q
			max_staleness 1s
		}
	}
}
http://%[1]s:8080 {
	api_keys {
		route GET /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Get
	}
	reverse_proxy %[3]s {
		flush_interval -1
	}
}
`, g.host.Addr(), filepath.Join(c.folder, name+".db"), upstream)
	if err := os.WriteFile(g.file, []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
	g.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: c.net.Test().DialContext}
	g.run()
	return g
}

// run starts the program, and waits until it may decide.
func (g *caddy) run() {
	t := g.all.t
	t.Helper()
	cmd := g.host.Command(g.all.program, "run", "--adapter", "caddyfile", "--config", g.file)
	cmd.Env = append(os.Environ(), "HOME="+g.all.folder)
	g.Process = etcdtest.Run(t, cmd, g.file+".log")
	g.waitFresh()
}

func (g *caddy) waitFresh() {
	t := g.all.t
	t.Helper()
	for end := time.Now().Add(deadline); ; <-time.After(20 * time.Millisecond) {
		status, err := g.get(t.Context(), ":2019/api_keys/health", "")
		if err == nil && status == http.StatusOK {
			return
		}
		if !g.Running() || time.Now().After(end) {
			t.Fatalf("%s is not well: %d %v", g.host.Name, status, err)
		}
	}
}

// get returns the status of the answer, or 0 if there was no answer.
func (g *caddy) get(ctx context.Context, where, key string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := g.send(ctx, where, key)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (g *caddy) send(ctx context.Context, where, key string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.host.Addr()+where, http.NoBody)
	if err != nil {
		return nil, err
	}
	if key != "" {
		r.Header.Set("Authorization", "Key "+key)
	}
	return g.client.Do(r)
}

// command runs caddy api-keys on the host of the Caddy.
func (g *caddy) command(v any, args ...string) {
	g.all.t.Helper()
	cmd := g.host.Command(g.all.program, append([]string{"api-keys", "--address", g.host.Addr() + ":2019", "-o", "json"}, args...)...)
	out, err := cmd.Output()
	if err == nil && v != nil {
		err = json.Unmarshal(out, v)
	}
	if err != nil {
		g.all.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// makeAlice makes the user and the app that requests address.
func (c *caddies) makeAlice(password string) {
	c.t.Helper()
	if err := os.WriteFile(password, []byte("correct horse battery staple"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.list[0].command(nil, "user", "create", "alice", "--email", "alice@example.com", "--password-file", password)
	c.list[0].command(nil, "app", "create", "shop", "--user", "alice")
}

// attempts records how all Caddys answer clients with one key.
type attempts struct {
	key    string
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu sync.Mutex
	// passed has, for each Caddy, when the last request that passed began. answered
	// has when the last request that got any answer began.
	passed, answered map[*caddy]time.Time
	// live are the requests that were admitted and have not ended.
	live map[*caddy]bool
}

// attempt begins to use a key at every Caddy.
func (c *caddies) attempt(key string) *attempts {
	ctx, cancel := context.WithCancel(c.t.Context())
	a := &attempts{key: key, cancel: cancel, passed: map[*caddy]time.Time{}, answered: map[*caddy]time.Time{}, live: map[*caddy]bool{}}
	for _, g := range c.list {
		a.all.Go(func() {
			for ctx.Err() == nil {
				a.once(ctx, g)
			}
		})
		resp, err := g.send(ctx, ":8080"+someInputs+"?endless", key)
		if err != nil || resp.StatusCode != http.StatusOK {
			c.t.Fatalf("an endless request at %s: %v %v", g.host.Name, resp, err)
		}
		a.live[g] = true
		a.all.Go(func() {
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() { //nolint:revive // until it ends
			}
			_ = resp.Body.Close() // it was only read
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.live, g)
		})
	}
	return a
}

func (a *attempts) once(ctx context.Context, g *caddy) {
	begin := time.Now()
	status, err := g.get(ctx, ":8080"+someInputs, a.key)
	if err != nil {
		<-time.After(10 * time.Millisecond) // the Caddy may have been killed
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered[g] = begin
	if status == http.StatusOK {
		a.passed[g] = begin
	}
}

// havePassed reports whether a request has passed at each Caddy.
func (a *attempts) havePassed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.passed) == gates
}

// refused reports whether a Caddy has answered a request that began later than a
// time, and has ended the endless request.
func (a *attempts) refused(g *caddy, later time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answered[g].After(later) && !a.live[g]
}

// caddyFaults happen to the Caddys while one of them revokes a key. away is one of the
// other Caddys. end ends the fault.
var caddyFaults = []struct {
	name  string
	begin func(c *caddies, away *caddy) (end func())
}{
	{"nothing", func(*caddies, *caddy) func() { return nothing }},
	{"a Caddy is cut from etcd", func(c *caddies, away *caddy) func() {
		c.net.Cut(away.host, c.hosts...)
		return c.net.Heal
	}},
	{"nothing from etcd reaches a Caddy", func(c *caddies, away *caddy) func() {
		for _, h := range c.hosts {
			c.net.CutOneWay(h, away.host)
		}
		return c.net.Heal
	}},
	{"a Caddy is stopped", func(_ *caddies, away *caddy) func() {
		away.Pause()
		return away.Resume
	}},
	{"a Caddy is killed", func(_ *caddies, away *caddy) func() {
		away.Kill()
		return away.run
	}},
	{"packets are late and lost", func(c *caddies, away *caddy) func() {
		c.net.Delay(away.host, 5*time.Millisecond, 50*time.Millisecond, 0.05)
		return c.net.Heal
	}},
	{"the leader is killed", func(c *caddies, _ *caddy) func() {
		leader := c.etcd.Leader()
		leader.Kill()
		return func() {
			leader.Start()
			leader.WaitReady()
		}
	}},
	{"a member is replaced", func(c *caddies, _ *caddy) func() {
		c.etcd.Replace(c.etcd.Member(0))
		return nothing
	}},
}

// When the command that revokes a key has returned, no Caddy lets it through,
// whatever fails.
func TestCaddies(t *testing.T) {
	c := startCaddies(t)
	r := seeded(t)
	c.makeAlice(filepath.Join(c.folder, "password"))
	for _, fault := range caddyFaults {
		t.Run(fault.name, func(t *testing.T) {
			order := r.Perm(len(c.list))
			first, second, away := c.list[order[0]], c.list[order[1]], c.list[order[2]]
			var made madeKeys
			first.command(&made, "key", "create", "--user", "alice", "--app", "shop", "--scopes", "Inputs:Get")
			key := made.Keys[0]
			tried := c.attempt(key.ID)
			defer tried.all.Wait()
			defer tried.cancel()
			waitUntil(t, tried.havePassed)
			end := fault.begin(c, away)
			second.command(nil, "key", "revoke", key.KeyID)
			revoked := time.Now()
			waitUntil(t, func() bool { return tried.refused(first, revoked) && tried.refused(second, revoked) })
			end()
			for _, g := range c.list {
				g.waitFresh()
				since := time.Now()
				waitUntil(t, func() bool { return tried.refused(g, since) })
			}
			tried.mu.Lock()
			defer tried.mu.Unlock()
			for g, last := range tried.passed {
				if last.After(revoked) {
					t.Errorf("%s let the key through in a request that began %s after the revocation had returned", g.host.Name, last.Sub(revoked))
				}
			}
		})
	}
}

// waitUntil waits until done is true.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !done(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it takes too long")
		}
	}
}
