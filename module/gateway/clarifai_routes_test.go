package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// minted is a credential that a test makes beforehand, all of them in one
// transaction.
type minted struct {
	text   string
	record keys.Credential
}

func newMinted(kind policy.Kind, app string, scopes, endpoints []string) *minted {
	text, id := credential.Mint("ca", kind)
	return &minted{text, keys.Credential{
		Digest: credential.DigestOf(text), ID: id, Kind: kind, UserID: "alice", AppID: app, Scopes: scopes, Endpoints: endpoints,
	}}
}

// routeCase is a route of the table with a request for it, and credentials
// that have all it demands, or all but one thing.
type routeCase struct {
	rule             *policy.Rule
	path             string
	exact            map[policy.Kind]*minted
	otherApp         *minted
	without          map[string]*minted // by the scope that is missing
	withoutEndpoints *minted
}

func newRouteCase(rule *policy.Rule) *routeCase {
	c := &routeCase{rule: rule, exact: map[policy.Kind]*minted{}, without: map[string]*minted{}}
	p := rule.Parsed()
	segments := slices.Clone(p.Segments)
	for _, v := range p.Variables {
		value := map[string]string{"user_id": "alice", "app_id": "shop"}[v.Name]
		if value == "" {
			value = "x"
		}
		segments[v.First] = value
	}
	c.path = "/" + strings.Join(segments, "/")
	if p.Verb != "" {
		c.path += ":" + p.Verb
	}
	for _, kind := range policy.Kinds() {
		app := ""
		if kind == policy.AppKey {
			app = "shop"
		}
		c.exact[kind] = newMinted(kind, app, rule.Scopes, nil)
	}
	c.otherApp = newMinted(policy.AppKey, "other", rule.Scopes, nil)
	kind, app := policy.PAT, ""
	if rule.Accepts().Kind(policy.AppKey) {
		kind, app = policy.AppKey, "shop"
	}
	for i, scope := range rule.Scopes {
		c.without[scope] = newMinted(kind, app, slices.Delete(slices.Clone(rule.Scopes), i, i+1), nil)
	}
	c.withoutEndpoints = newMinted(kind, app, rule.Scopes, []string{"/clarifai.api.V2/None"})
	return c
}

func (c *routeCase) all() []*minted {
	list := []*minted{c.otherApp, c.withoutEndpoints}
	for _, m := range c.exact {
		list = append(list, m)
	}
	for _, m := range c.without {
		list = append(list, m)
	}
	return list
}

// Every route of Clarifai's API lets through what has exactly its scopes, and
// refuses each one missing by its name, another app, another kind, and no
// credential. That the routes demand what the API's description says is
// checked where it is imported.
func TestEveryRouteOfClarifai(t *testing.T) {
	g := &Gate{Include: []string{"clarifai"}}
	lease, err := directory.Lend(pathOpener(filepath.Join(t.TempDir(), "keys.db")), directory.DefaultCacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	makeReady(t, g, lease)
	cases := make([]*routeCase, 0, len(g.decider.table.Rules()))
	for _, rule := range g.decider.table.Rules() {
		cases = append(cases, newRouteCase(rule))
	}
	err = lease.Update(context.Background(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		for _, app := range []string{"shop", "other"} {
			if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: app}}); err != nil {
				return err
			}
		}
		for _, c := range cases {
			for _, m := range c.all() {
				if _, err := tx.CreateCredential(m.record); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		c.check(t, g)
	}
	t.Logf("%d routes", len(cases))
}

func (c *routeCase) check(t *testing.T, g *Gate) {
	accepts := c.rule.Accepts()
	if accepts.Public() {
		if reached, got := c.ask(g, nil); !reached {
			t.Errorf("%s without a credential: %+v", c.rule, got)
		}
		return
	}
	expect := func(what string, m *minted, code manage.Code, scopes, endpoints []string) {
		t.Helper()
		reached, got := c.ask(g, m)
		if reached || got.Code != code || !slices.Equal(got.MissingScopes, scopes) || !slices.Equal(got.MissingEndpoints, endpoints) {
			t.Errorf("%s with %s: reached %v, answered %+v, want %d, missing %q %q", c.rule, what, reached, got, code, scopes, endpoints)
		}
	}
	expect("no credential", nil, manage.CodeInvalid, nil, nil)
	for _, kind := range policy.Kinds() {
		if !accepts.Kind(kind) {
			expect(kind.String(), c.exact[kind], manage.CodeInsufficientScopes, nil, nil)
		} else if reached, got := c.ask(g, c.exact[kind]); !reached {
			t.Errorf("%s with exactly its scopes, %s: %+v", c.rule, kind, got)
		}
	}
	if accepts == policy.AcceptNone || !accepts.Kind(policy.AppKey) && !accepts.Kind(policy.PAT) {
		return // what a session grants is everything
	}
	if accepts.Kind(policy.AppKey) && c.rule.App(c.path) != "" {
		expect("another app's key", c.otherApp, manage.CodeKeyInvalid, nil, nil)
	}
	for scope, m := range c.without {
		expect("all but "+scope, m, manage.CodeInsufficientScopes, []string{scope}, nil)
	}
	expect("other endpoints", c.withoutEndpoints, manage.CodeInsufficientScopes, nil, c.rule.Endpoint)
}

// ask sends the request with a credential, nil for none.
func (c *routeCase) ask(g *Gate, m *minted) (reached bool, got manage.Status) {
	method := c.rule.Method
	if method == policy.MethodGRPC {
		method = http.MethodPost
	}
	r := httptest.NewRequest(method, c.path, nil)
	if c.rule.Method == policy.MethodGRPC {
		r.Header.Set("Content-Type", "application/grpc")
	}
	if m != nil {
		r.Header.Set("Authorization", "Key "+m.text)
	}
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
	err := g.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		reached = true
		return nil
	}))
	if err != nil {
		return reached, manage.Status{Details: err.Error()}
	}
	if c.rule.Method == policy.MethodGRPC && !reached {
		return reached, c.statusOfGRPC(w, m)
	}
	_ = json.Unmarshal(w.Body.Bytes(), &struct {
		Status *manage.Status `json:"status"`
	}{&got})
	return reached, got
}

// statusOfGRPC reads out of a gRPC refusal what a JSON one says in fields.
func (c *routeCase) statusOfGRPC(w *httptest.ResponseRecorder, m *minted) (got manage.Status) {
	message := w.Header().Get("Grpc-Message")
	switch {
	case m == nil && w.Header().Get("Grpc-Status") == "16":
		got.Code = manage.CodeInvalid
	case w.Header().Get("Grpc-Status") == "7" && strings.HasPrefix(message, manage.CodeInsufficientScopes.Description()):
		got.Code = manage.CodeInsufficientScopes
	case w.Header().Get("Grpc-Status") == "7":
		got.Code = manage.CodeKeyInvalid
	}
	named := strings.FieldsFunc(message, func(c rune) bool { return strings.ContainsRune(" ,;", c) })
	for _, word := range named {
		word = strings.TrimSuffix(word, ".")
		if slices.Contains(c.rule.Scopes, word) {
			got.MissingScopes = append(got.MissingScopes, word)
		}
		if slices.Contains(c.rule.Endpoint, word) {
			got.MissingEndpoints = append(got.MissingEndpoints, word)
		}
	}
	return got
}
