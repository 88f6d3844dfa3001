package gateway

import (
	"context"
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/manage/portal"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// pages is a portal on a gate's routes. Its user is alice, with the app shop.
type pages struct {
	t      *testing.T
	portal *portal.Portal
	// token is that of a form. Reviews don't use it up.
	token string
}

func newPages(t *testing.T, site *Site) *pages {
	answer := func(_ *http.Request, _, method, target string, _ any) (*manage.Answer, error) {
		a := &manage.Answer{Status: manage.Status{Code: manage.CodeOK}}
		if method != http.MethodGet {
			t.Errorf("a review changes something: %s %s", method, target)
		}
		switch target {
		case "/v2/users/me":
			a.User = &manage.User{ID: "alice"}
		case "/v2/users/me/apps/shop":
			a.App = &manage.App{ID: "shop", UserID: "alice"}
		case "/v2/users/me/scopes":
			for _, s := range site.catalogue.List() {
				if !s.Hidden {
					a.Scopes = append(a.Scopes, manage.Scope{Scope: s.Name, DependingScopes: s.Needs})
				}
			}
			a.Endpoints = site.catalogue.Endpoints()
		}
		return a, nil
	}
	p := &pages{t: t, portal: portal.New(portal.Config{
		Base: "/portal", API: "/v2", Call: answer,
		Sites:  func() []authz.Site { return operationsOf([]*Site{site}, nil) },
		Failed: func(_ *http.Request, err error) { t.Errorf("the portal failed: %v", err) },
	})}
	p.token = fields(hiddenField, p.ask("/tokens/new", nil)).Get("form")
	return p
}

// ask sends a form, or opens a page if the form is nil.
func (p *pages) ask(path string, form url.Values) string {
	p.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/portal"+path, nil)
	if form != nil {
		r = httptest.NewRequest(http.MethodPost, "/portal"+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Cookie", portal.Cookie+"=cas_of_alice")
	w := httptest.NewRecorder()
	p.portal.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		p.t.Fatalf("%s is answered %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

var (
	listedOperation = regexp.MustCompile(`data-operation="([^"]*)" data-endpoint="([^"]*)"`)
	hiddenField     = regexp.MustCompile(`<input type="hidden" name="(form|scope|endpoint)" value="([^"]*)">`)
	checkedField    = regexp.MustCompile(`<input type="checkbox" name="(scope|endpoint)" value="([^"]*)"[^>]* checked>`)
)

func fields(form *regexp.Regexp, page string) url.Values {
	values := url.Values{}
	for _, m := range form.FindAllStringSubmatch(page, -1) {
		values.Add(m[1], html.UnescapeString(m[2]))
	}
	return values
}

// selection is a key as it is selected on the form, and what its review says.
type selection struct {
	name   string
	key    *minted
	listed map[string]bool
}

// review reviews a selection, and makes the key that the review would make.
func (p *pages) review(name string, app bool, form url.Values) *selection {
	path, kind, appID := "/tokens/new", policy.PAT, ""
	if app {
		path, kind, appID = "/apps/shop/new", policy.AppKey, "shop"
	}
	form.Set("form", p.token)
	form.Set("expires", "never")
	form.Set("step", "review")
	page := p.ask(path, form)
	got := fields(hiddenField, page)
	s := &selection{name: name, key: newMinted(kind, appID, got["scope"], got["endpoint"]), listed: map[string]bool{}}
	_, list, found := strings.Cut(page, "data-callable")
	if !found {
		p.t.Fatalf("%s: no list of what can be called", name)
	}
	for _, m := range listedOperation.FindAllStringSubmatch(list, -1) {
		s.listed[html.UnescapeString(m[1])] = true
	}
	return s
}

// For every preset and for 500 selections at random, the gate permits each
// operation that the review lists, and refuses every other.
func TestReviewsListWhatTheGatePermits(t *testing.T) {
	g := &Gate{Include: []string{"clarifai"}}
	lease, err := directory.Lend(pathOpener(filepath.Join(t.TempDir(), "keys.db")), directory.DefaultCacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	makeReady(t, g, lease)
	p := newPages(t, g.decider.Site)
	presets := p.presets()
	selections := slices.Concat(presets, p.random(500))
	err = lease.Update(context.Background(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}}); err != nil {
			return err
		}
		for _, s := range selections {
			if _, err := tx.CreateCredential(s.key.record); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var routes []*routeCase
	for _, rule := range g.decider.table.Rules() {
		routes = append(routes, newRouteCase(rule))
	}
	seed := rand.New(rand.NewPCG(1, 2))
	asked, listed := 0, 0
	for i, s := range selections {
		known := 0
		for _, c := range routes {
			want := s.listed[c.rule.String()]
			if want {
				known++
			}
			// All routes for presets, and otherwise some.
			if i >= len(presets) && seed.IntN(24) > 0 && (!want || seed.IntN(6) > 0) {
				continue
			}
			asked++
			if reached, got := c.ask(g, s.key); reached != want {
				t.Fatalf("%s (%v %v): %s is listed: %v, and the gate answers %+v", s.name, s.key.record.Scopes, s.key.record.Endpoints, c.rule, want, got)
			}
		}
		if known != len(s.listed) {
			t.Fatalf("%s: %d operations are listed, and %d of them are routes", s.name, len(s.listed), known)
		}
		listed += known
	}
	t.Logf("%d presets and %d selections list %d operations; %d requests", len(presets), len(selections)-len(presets), listed, asked)
}

var presetButton = regexp.MustCompile(`name="preset" value="([^"]*)"`)

// presets selects each preset that the forms offer.
func (p *pages) presets() (list []*selection) {
	for _, app := range []bool{true, false} {
		path := map[bool]string{true: "/apps/shop/new", false: "/tokens/new"}[app]
		for _, m := range presetButton.FindAllStringSubmatch(p.ask(path, nil), -1) {
			form := fields(checkedField, p.ask(path+"?preset="+m[1], nil))
			s := p.review(path+" preset "+m[1], app, form)
			p.checkPreset(m[1], s)
			list = append(list, s)
		}
	}
	if len(list) < 8 {
		p.t.Fatalf("%d presets", len(list))
	}
	return list
}

// checkPreset checks that a preset lists what its task needs, and no other changes.
func (p *pages) checkPreset(name string, s *selection) {
	p.t.Helper()
	for route := range s.listed {
		method, path, _ := strings.Cut(route, " ")
		endpoint := path[strings.LastIndexByte(path, '/')+1:]
		changes := method != http.MethodGet && !(method == policy.MethodGRPC && regexp.MustCompile("^(Get|List|MyScopes|StreamInputs|StreamLogEntries)").MatchString(endpoint))
		prediction := regexp.MustCompile("/(outputs(/generate|/stream)?|results|(Post|Generate|Stream)ModelOutputs|PostWorkflowResults)$").MatchString(path)
		if changes && (name == "read" || name == "predict" && !prediction) {
			p.t.Errorf("%s lists %s", s.name, route)
		}
	}
	for _, route := range []string{
		"POST /v2/users/{user_id}/apps/{app_id}/models/{model_id}/outputs", "POST /v2/users/{user_id}/apps/{app_id}/workflows/{workflow_id}/results",
		"GET /v2/users/{user_id}/apps/{app_id}/models/{model_id}", "GET /v2/users/{user_id}/apps/{app_id}/inputs",
	} {
		want := name == "all" || name == "predict" && !strings.HasSuffix(route, "inputs") || name == "read" && strings.HasPrefix(route, "GET")
		if s.listed[route] != want {
			p.t.Errorf("%s lists %s: %v", s.name, route, !want)
		}
	}
}

var offeredField = regexp.MustCompile(`<input type="checkbox" name="(scope|endpoint)" value="([^"]*)"`)

// random selects scopes and endpoints at random, always the same ones.
func (p *pages) random(n int) (list []*selection) {
	seed := rand.New(rand.NewPCG(3, 4))
	offered := fields(offeredField, p.ask("/tokens/new", nil))
	for i := range n {
		form := url.Values{}
		few := 1 + seed.IntN(20) // one in so many
		for _, scope := range offered["scope"] {
			if scope != policy.ScopeAll && seed.IntN(few) == 0 {
				form.Add("scope", scope)
			}
		}
		if seed.IntN(20) == 0 {
			form.Add("scope", policy.ScopeAll)
		}
		if seed.IntN(3) == 0 {
			for _, endpoint := range offered["endpoint"] {
				if seed.IntN(8) == 0 {
					form.Add("endpoint", endpoint)
				}
			}
		}
		list = append(list, p.review(fmt.Sprintf("selection %d", i), seed.IntN(2) == 0, form))
	}
	return list
}
