package decisions

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/manage"
)

const gateLine = "api_keys %s {\nroute GET /api/v1/items Predict\n}\n"

var placements = []struct {
	name, site string
	matcher    string // that the warning names, "-" for no warning
}{
	{"no matcher", fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1", "-"},
	{"every path", fmt.Sprintf(gateLine, "*") + "reverse_proxy 127.0.0.1:1", "-"},
	{"every path by name", "@all path /*\n" + fmt.Sprintf(gateLine, "@all") + "reverse_proxy 127.0.0.1:1", "-"},
	{"a matcher", fmt.Sprintf(gateLine, "/api/*") + "reverse_proxy 127.0.0.1:1", "path /api/*"},
	{"a named matcher", "@get {\nmethod GET\npath /api/*\n}\n" + fmt.Sprintf(gateLine, "@get") + "reverse_proxy 127.0.0.1:1", "method GET and path /api/*"},
	{"a handle", "handle /api/* {\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1\n}\nhandle {\nreverse_proxy 127.0.0.1:2\n}", "path /api/*"},
	{"a handle_path", "handle_path /api/* {\n" + fmt.Sprintf(gateLine, "") + "}\nreverse_proxy 127.0.0.1:1", "path /api/*"},
	{"a route", "route /api/* {\n" + fmt.Sprintf(gateLine, "") + "}\nreverse_proxy 127.0.0.1:1", "path /api/*"},
	{"a route without a matcher", "route {\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1\n}", "-"},
	{"a handle without a matcher", "handle {\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1\n}", "-"},
	{"a gate in every handle", "handle /api/* {\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1\n}\nhandle {\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:2\n}", "-"},
	{"files outside", "handle /api/* {\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1\n}\nhandle {\nfile_server\n}", "-"},
	{"an answer before", "respond /healthz ok\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1", "-"},
	{"a proxy before", "route {\nreverse_proxy /ws 127.0.0.1:1\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:2\n}", ""},
	{"a proxy of some paths", fmt.Sprintf(gateLine, "") + "reverse_proxy /a/* 127.0.0.1:1\nreverse_proxy 127.0.0.1:2", "-"},
	{"another host", "@a host a.localhost\nhandle @a {\n" + fmt.Sprintf(gateLine, "") + "reverse_proxy 127.0.0.1:1\n}\nhandle {\nrespond no\n}", "-"},
	{"no gate", "reverse_proxy 127.0.0.1:1", "-"},
}

// A matcher on the gate, or around it, leaves requests undecided. Where they
// reach an upstream, loading and validating say so, with site and matcher.
func TestUndecidedRequestsAreWarnedOf(t *testing.T) {
	for _, row := range placements {
		t.Run(row.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			caddyfile := fmt.Sprintf("{\nadmin off\nauto_https off\nlog {\noutput file %s\n}\n}\nhttp://localhost:18330 {\n%s\n}\nhttp://localhost:18331 {\nreverse_proxy 127.0.0.1:3\n}\n", log, row.site)
			text := gatetest.Validate(t, caddyfile)
			found, err := config.UndecidedRequests(text)
			if err != nil {
				t.Fatal(err)
			}
			logged, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Count(string(logged), "requests reach an upstream undecided")
			if row.matcher == "-" {
				if len(found) != 0 || lines != 0 {
					t.Errorf("found %+v, logged %s", found, logged)
				}
				return
			}
			if len(found) != 1 || found[0].Matcher != row.matcher || len(found[0].Site) != 1 || found[0].Site[0] != "localhost:18330" || !strings.Contains(found[0].Text(), "accept public") {
				t.Fatalf("found %+v", found)
			}
			if lines != 1 || !strings.Contains(string(logged), "localhost:18330") || !strings.Contains(string(logged), "accept public") {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

// explain says when a request never reaches the gate, and tells sites apart
// that differ by their port.
func TestExplainOfUnreachedGates(t *testing.T) {
	const site = "http://localhost:%d {\nhandle_path /pre/* {\n" + "api_keys {\nroute GET /items Predict\n}\nreverse_proxy 127.0.0.1:1\n}\n@read {\nmethod GET\npath /api/*\n}\napi_keys @read {\nroute GET /api/v1/items Predict\n}\nreverse_proxy 127.0.0.1:2\n}\n"
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(fmt.Sprintf(site+site, 18330, 18331)), nil)
	if err != nil {
		t.Fatal(err)
	}
	sites, err := gateway.Sites(text)
	if err != nil || len(sites) != 4 {
		t.Fatalf("got %v, %v", sites, err)
	}
	for _, row := range []struct {
		method, target string
		reached        int // how many of a site's gates
	}{
		{"GET", "/api/v1/items", 1},
		{"POST", "/api/v1/items", 0},
		{"GET", "/other", 0},
		{"GET", "/pre/items", 1},
	} {
		list, err := gateway.Explain(t.Context(), nil, sites, manage.ExplainQuery{Method: row.method, Target: row.target, Site: "localhost:18331"})
		if err != nil || len(list) != 2 {
			t.Fatalf("got %v, %v", list, err)
		}
		reached := 0
		for _, x := range list {
			if x.Hosts[0] != "localhost:18331" {
				t.Errorf("the site is %q", x.Hosts)
			}
			if x.Outcome != manage.OutcomeUndecided {
				reached++
			} else if !strings.Contains(x.Details, "never reaches the gate") {
				t.Errorf("%+v", x)
			}
		}
		if reached != row.reached {
			t.Errorf("%s %s reaches %d gates, want %d: %+v", row.method, row.target, reached, row.reached, list)
		}
	}
}
