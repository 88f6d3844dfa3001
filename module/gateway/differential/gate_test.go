package differential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func init() {
	caddy.RegisterModule(new(differentialProbe))
	httpcaddyfile.RegisterHandlerDirective("differential_probe", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		p := new(differentialProbe)
		return p, p.UnmarshalCaddyfile(h.Dispenser)
	})
}

// differential is a running gate, with a site in front of each upstream.
type differential struct {
	upstreams []*upstream
	secrets   *strings.Replacer // what names in braces stand for
	texts     []string          // of all credentials
	// holders are by key ID.
	holders map[string]keys.Credential
	// sent counts what was sent, to tell the requests of one from another's.
	sent atomic.Int64
}

// inBody is the site whose gate looks into bodies, which have to be JSON.
const inBody = " (bodies)"

// differentialSite is the gate of the corpus's sites, with all places in which
// credentials and owners may stand.
const differentialSite = `
	route {
		differential_probe before
		api_keys {
			import routes
			route * /v2/things Public:Get
			owner_query user_app_id.user_id user_app_id.app_id
			credential header X-Api-Key
			credential query api_key
			%s
		}
		differential_probe behind
		reverse_proxy %s
	}
`

var routeLine = regexp.MustCompile(`(?m)^\troute (\S+ \S+)`)

func newDifferential(f testing.TB) *differential {
	f.Helper()
	snippets := corpus.Read(f).Caddyfile
	operations := []string{"* /v2/things"}
	for _, found := range routeLine.FindAllStringSubmatch(snippets, -1) {
		operations = append(operations, found[1])
	}
	d := &differential{
		upstreams: []*upstream{newGoUpstream(f, operations), newNodeUpstream(f, operations)},
		holders:   map[string]keys.Credential{},
	}
	var servers, sites strings.Builder
	for _, e := range d.upstreams {
		for name, option := range map[string]string{e.name: "", e.name + inBody: "owner_body user_app_id.user_id user_app_id.app_id"} {
			_, port, _ := net.SplitHostPort(machine.FreeAddress(f))
			fmt.Fprintf(&servers, "servers 127.0.0.1:%s {\nprotocols h1\nlistener_wrappers {\ndifferential %q\n}\n}\n", port, name)
			fmt.Fprintf(&sites, "http://:%s {\nbind 127.0.0.1\n"+differentialSite+"}\n", port, option, e.addr)
		}
	}
	text := fmt.Sprintf("{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput discard\n}\n%s\napi_keys {\nstore bbolt %s\n}\n}\n%s\n%s",
		servers.String(), filepath.Join(f.TempDir(), "keys.db"), snippets, sites.String())
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		f.Fatal(err)
	}
	if routes, err = routesOf(config); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			f.Error(err)
		}
	})
	if err := d.populate(); err != nil {
		f.Fatal(err)
	}
	return d
}

// routes are those of the gates, which are alike.
var routes *policy.Table

// routesOf reads the routes of the gates in a configuration, in JSON.
func routesOf(config []byte) (*policy.Table, error) {
	var all any
	if err := json.Unmarshal(config, &all); err != nil {
		return nil, err
	}
	found := findGate(all)
	if found == nil {
		return nil, errors.New("the configuration has no gate")
	}
	text, err := json.Marshal(found["route"])
	if err != nil {
		return nil, err
	}
	var list []policy.Route
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	return policy.NewTable(list, "user_id", "app_id")
}

// findGate finds the handler of a gate in decoded JSON.
func findGate(value any) map[string]any {
	var parts []any
	switch v := value.(type) {
	case map[string]any:
		if v["handler"] == "api_keys" {
			return v
		}
		parts = slices.Collect(maps.Values(v))
	case []any:
		parts = v
	}
	for _, part := range parts {
		if gate := findGate(part); gate != nil {
			return gate
		}
	}
	return nil
}

// populate makes the records that the corpus names in braces: alice with her
// app shop, bob with his, and bob's farm, of which alice is a collaborator.
func (d *differential) populate() error {
	lease, err := gatetest.Directory()
	if err != nil {
		return err
	}
	get := []string{"Public:Get"}
	pairs := []string{"{host}", "a.example.com", "{smuggled}", "56"}
	return errors.Join(lease.Update(context.Background(), gatetest.Operator, func(tx *keys.Tx) error {
		_, err1 := tx.CreateUser(keys.User{ID: "alice"})
		_, err2 := tx.CreateUser(keys.User{ID: "bob"})
		all := []error{err1, err2}
		for _, ref := range []keys.AppRef{{OwnerID: "alice", AppID: "shop"}, {OwnerID: "bob", AppID: "barn"}, {OwnerID: "bob", AppID: "farm"}} {
			_, err := tx.CreateApp(keys.App{AppRef: ref})
			all = append(all, err)
		}
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "bob", AppID: "farm"}, UserID: "alice"}, Scopes: get})
		all = append(all, err)
		for name, c := range map[string]keys.Credential{
			"key":      {Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: get},
			"other":    {Kind: policy.AppKey, UserID: "bob", AppID: "barn", Scopes: get},
			"pat":      {Kind: policy.PAT, UserID: "alice", Scopes: get},
			"limited":  {Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: get, Resources: policy.Values{"model": {"llama-3*"}, "input": {"own*"}}},
			"session":  {Kind: policy.Session, UserID: "alice"},
			"expired":  {Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}},
			"disabled": {Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}, Disabled: true},
		} {
			var text string
			text, c.ID = credential.Mint("ca", c.Kind)
			c.Digest = credential.DigestOf(text)
			_, err := tx.CreateCredential(c)
			all = append(all, err)
			d.texts, d.holders[c.ID] = append(d.texts, text), c
			pairs = append(pairs, "{"+name+"}", text)
			if name == "expired" {
				c.ExpiresAt = time.Now().Add(-time.Hour)
				d.holders[c.ID] = c
				_, err = tx.ChangeCredential(c.ID, func(was *keys.Credential) error { was.ExpiresAt = c.ExpiresAt; return nil })
				all = append(all, err)
			}
		}
		d.secrets = strings.NewReplacer(pairs...)
		return errors.Join(all...)
	}))
}

// send sends bytes over a connection to a site in front of an upstream, and
// answers all that happened until the server ended it.
func (d *differential) send(t *testing.T, e *upstream, site string, raw []byte) *exchange {
	t.Helper()
	x := &exchange{number: d.sent.Add(1), site: site}
	exchanges.Store(x)
	defer exchanges.Store(nil)
	conn := newPipeConn(raw)
	ln, _ := pipes.Load(site)
	late := time.NewTimer(gatetest.Deadline)
	defer late.Stop()
	select {
	case ln.(*pipeListener).conns <- conn:
	case <-late.C:
		t.Fatal("nobody takes the connection")
	}
	select {
	case <-conn.done:
	case <-late.C:
		t.Fatalf("the connection isn't ended; answered was %q", conn.answered())
	}
	x.answers = conn.answered()
	if len(x.allowed) > 0 {
		if err := e.sync(); err != nil {
			t.Fatal(err)
		}
	}
	x.readings = e.take(func(all []*reading) bool {
		came := 0
		for _, h := range all {
			if h.Whole || h.Refused != "" {
				came++
			}
		}
		want := 0
		for _, a := range x.allowed {
			if a.whole {
				want++
			}
		}
		return came >= want
	})
	return x
}

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*differentialProbe)(nil)
	_ caddyfile.Unmarshaler       = (*differentialProbe)(nil)
)
