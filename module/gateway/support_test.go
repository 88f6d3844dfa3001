package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"

	_ "github.com/caddy-api-keys/gateway/module"
)

// deadline is how long a test waits for what has to happen, before it says
// that it didn't.
const deadline = 30 * time.Second

var operator = keys.Actor{ID: keys.Operator}

// world is a running Caddy with the gate in front of an upstream.
type world struct {
	t        *testing.T
	addr     string // of the site
	store    string
	upstream *upstream
	logs     *logs
	// storeModule is the store's.
	storeModule string
	// directives of the site, beside the gate's.
	directives string
}

// start runs Caddy with a site of these api_keys options, and these directives
// beside it.
func start(t *testing.T, options string, directives ...string) *world {
	t.Helper()
	return startOn(t, "bbolt", options, directives...)
}

func startOn(t *testing.T, storeModule, options string, directives ...string) *world {
	t.Helper()
	w := &world{
		t: t, addr: machine.FreeAddress(t), storeModule: storeModule, store: filepath.Join(t.TempDir(), "keys.db"),
		upstream: newUpstream(t), logs: captureLogs(t), directives: strings.Join(directives, "\n"),
	}
	w.reload(options)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		w.logs.check(t)
	})
	return w
}

// caddyfile is the whole configuration, with options for the site's gate.
func (w *world) caddyfile(options string) string {
	_, port, _ := net.SplitHostPort(w.addr)
	return fmt.Sprintf(`{
	admin off
	persist_config off
	log {
		level DEBUG
		output net %s
		format filter {
			fields {
				request>headers>X-Clarifai-Session-Token delete
				request>headers>X-Api-Key delete
				request>uri query {
					delete api_key
				}
			}
		}
	}
	servers {
		protocols h1 h2c
	}
	api_keys {
		store %s %s
	}
}
http://:%s {
	log
	api_keys {
%s
	}
	reverse_proxy %s {
		flush_interval -1
	}
	%s
}
`, w.logs.addr, w.storeModule, w.store, port, options, w.upstream.addr, w.directives)
}

// reload gives Caddy another configuration of the same site.
func (w *world) reload(options string) {
	w.t.Helper()
	if err := w.load(w.caddyfile(options)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) load(text string) error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		return err
	}
	err = caddy.Load(config, true)
	// The old server goes on listening for a moment, and the kernel resets the
	// connections that wait for it when it ends.
	until(w.t, "the end of the old listener", func() bool { return listeners(w.addr) <= 1 })
	http.DefaultClient.CloseIdleConnections() // to the old server
	return err
}

// listeners counts the sockets that listen on an address's port, as Linux tells
// it; elsewhere it knows of none.
func listeners(addr string) (n int) {
	_, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		all, _ := os.ReadFile(file)
		for line := range strings.Lines(string(all)) {
			const local, state, listen = 1, 3, "0A"
			if f := strings.Fields(line); len(f) > state && f[state] == listen && strings.HasSuffix(f[local], fmt.Sprintf(":%04X", port)) {
				n++
			}
		}
	}
	return n
}

func (w *world) directory() *keys.Lease {
	w.t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("api_keys")
	if err != nil {
		w.t.Fatal(err)
	}
	lease, err := app.(*gateway.App).Directory()
	if err != nil {
		w.t.Fatal(err)
	}
	return lease
}

func (w *world) update(fn func(*keys.Tx) error) {
	w.t.Helper()
	if err := w.directory().Update(context.Background(), operator, fn); err != nil {
		w.t.Fatal(err)
	}
}

// user, app and credential fill the store; credential answers the text.
func (w *world) user(ids ...string) {
	w.t.Helper()
	w.update(func(tx *keys.Tx) error {
		for _, id := range ids {
			if _, err := tx.CreateUser(keys.User{ID: id}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) app(owner, id string) {
	w.t.Helper()
	w.update(func(tx *keys.Tx) error {
		_, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: owner, AppID: id}})
		return err
	})
}

func (w *world) credential(c keys.Credential) (text string, record keys.Credential) {
	w.t.Helper()
	text, c.ID = keys.Mint("ca", c.Kind)
	c.Digest = keys.DigestOf(text)
	w.logs.secret(text)
	w.update(func(tx *keys.Tx) (err error) {
		record, err = tx.CreateCredential(c)
		return err
	})
	return text, record
}

func (w *world) key(owner, app string, scopes ...string) string {
	w.t.Helper()
	text, _ := w.credential(keys.Credential{Kind: policy.AppKey, UserID: owner, AppID: app, Scopes: scopes})
	return text
}

func (w *world) pat(user string, scopes ...string) string {
	w.t.Helper()
	text, _ := w.credential(keys.Credential{Kind: policy.PAT, UserID: user, Scopes: scopes})
	return text
}

func (w *world) session(user string) string {
	w.t.Helper()
	text, _ := w.credential(keys.Credential{Kind: policy.Session, UserID: user})
	return text
}

func (w *world) change(id string, change func(*keys.Credential)) {
	w.t.Helper()
	w.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error { change(c); return nil })
		return err
	})
}

// protocols are the versions of HTTP over which a client may come.
var protocols = []string{"HTTP/1.1", "HTTP/2"}

func client(t *testing.T, protocol string) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	if protocol == "HTTP/2" {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: deadline}
}

// ask sends a request with header lines and answers what came back.
func (w *world) ask(c *http.Client, method, target string, lines ...string) *answer {
	w.t.Helper()
	return w.askBody(c, method, target, nil, lines...)
}

func (w *world) askBody(c *http.Client, method, target string, body io.Reader, lines ...string) *answer {
	w.t.Helper()
	r, err := http.NewRequest(method, "http://"+w.addr+target, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	before := w.upstream.count()
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := &answer{Response: resp, body: string(text)}
	if w.upstream.count() > before {
		a.seen = w.upstream.last()
	}
	return a
}

// answer is a response with what the upstream saw of the request, nil if
// nothing reached it.
type answer struct {
	*http.Response
	body string
	seen *seen
}

// status reads the answer's status object.
func (a *answer) status(t *testing.T) (s struct {
	Code             int
	Description      string
	Details          string
	ReqID            string   `json:"req_id"`
	MissingScopes    []string `json:"missing_scopes"`
	MissingEndpoints []string `json:"missing_endpoints"`
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &struct{ Status any }{&s}); err != nil {
		t.Errorf("%s: %v in %q", a.Status, err, a.body)
	}
	return s
}

// upstream is what stands behind the gate. It keeps what it saw.
type upstream struct {
	addr string
	mu   sync.Mutex
	all  []*seen
	// handle, where set, answers instead.
	handle http.HandlerFunc
}

type seen struct {
	method, uri, proto string
	header             http.Header
	trailer            http.Header
	body               string
}

func newUpstream(t *testing.T) *upstream {
	u := new(upstream)
	s := httptest.NewUnstartedServer(h2c.NewHandler(u, new(http2.Server)))
	s.Start()
	u.addr = s.Listener.Addr().String()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := &seen{method: r.Method, uri: r.RequestURI, proto: r.Proto, header: r.Header.Clone()}
	u.mu.Lock()
	u.all = append(u.all, s)
	handle := u.handle
	u.mu.Unlock()
	if handle != nil {
		handle(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	s.body, s.trailer = string(body), r.Trailer.Clone()
	u.mu.Unlock()
	fmt.Fprint(w, "reached")
}

func (u *upstream) answerWith(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handle = h
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.all)
}

// last is what is known by now of the last request. More of its body may be on
// the way.
func (u *upstream) last() *seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := *u.all[len(u.all)-1]
	return &s
}

// logs gathers all that Caddy logs, and knows what must not be in it.
type logs struct {
	addr    string
	mu      sync.Mutex
	text    bytes.Buffer
	secrets []string
	conns   []net.Conn
}

func captureLogs(t *testing.T) *logs {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &logs{addr: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.conns = append(l.conns, c)
			l.mu.Unlock()
			go l.read(c)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range l.conns {
			c.Close()
		}
	})
	return l
}

func (l *logs) read(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		l.mu.Lock()
		l.text.Write(buf[:n])
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (l *logs) secret(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, s)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until a line has all of the parts, and answers it.
func (l *logs) wait(t *testing.T, parts ...string) string {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		for line := range strings.Lines(l.String()) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return line
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no log line has %q", parts)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// check fails the test if a credential was logged.
func (l *logs) check(t *testing.T) {
	t.Helper()
	text := l.String()
	for _, s := range l.secrets {
		for line := range strings.Lines(text) {
			if strings.Contains(line, s) || strings.Contains(line, keys.DigestOf(s).String()) {
				t.Errorf("a credential was logged: %s", line)
			}
		}
	}
}
