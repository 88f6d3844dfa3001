package decisions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// gates are those of a Caddyfile, as a query has them.
func gates(t *testing.T, caddyfile string) []manage.ExplainGate {
	t.Helper()
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []manage.ExplainGate
	for _, place := range config.Sites(text) {
		list = append(list, manage.ExplainGate{Hosts: place.Hosts, Gate: place.Gate})
	}
	return list
}

// decidedAt is the step that settles an explanation, 10 where it is forwarded.
func decidedAt(x manage.Explanation) int {
	for _, s := range x.Steps {
		if s.Decided == manage.StepRefused {
			return s.Step
		}
	}
	return 10
}

// An explanation agrees with the decision of the same request.
func TestExplanationsAreTrue(t *testing.T) {
	server := gatetest.Start(t, decisionSite+"\nowner_query user_app_id.user_id user_app_id.app_id")
	server.AddUsers("alice", "bob", "carol")
	server.AddApp("alice", "shop")
	server.AddApp("bob", "farm")
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"}, Scopes: []string{"Inputs:Get"}})
		return err
	})
	type holder struct{ text, id string }
	made := func(c keys.Credential) holder {
		text, record := server.AddCredential(c)
		return holder{text, record.ID}
	}
	callers := map[string]holder{
		"key":          made(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Inputs:Get"}}),
		"limited":      made(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/ListInputs"}}),
		"pat":          made(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"Keys:Get"}}),
		"collaborator": made(keys.Credential{Kind: policy.PAT, UserID: "bob", Scopes: []string{"All"}}),
		"other":        made(keys.Credential{Kind: policy.PAT, UserID: "carol", Scopes: []string{"All"}}),
		"session":      made(keys.Credential{Kind: policy.Session, UserID: "alice"}),
		"off":          made(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}}),
	}
	server.ChangeCredential(callers["off"].id, func(c *keys.Credential) { c.Disabled = true })
	const inputs = "/v2/users/alice/apps/shop/inputs"
	requests := []struct {
		method, target string
		lines          []string
	}{
		{"GET", inputs, nil},
		{"HEAD", inputs, nil},
		{"POST", inputs, nil},
		{"PUT", inputs, nil},
		{"GET", "/v2/users/me/inputs", nil},
		{"GET", "/v2/users/bob/apps/farm/inputs", nil},
		{"GET", "/v2/apps/farm/inputs", nil},
		{"GET", "/v2/inputs?userAppId.userId=bob", nil},
		{"GET", "/v2/inputs?user_app_id.user_id=alice&user_app_id.user_id=bob", nil},
		{"GET", "/v2/users/alice/keys", nil},
		{"GET", "/v2/closed", nil},
		{"GET", "/healthz", nil},
		{"GET", "/nothing", nil},
		{"GET", "/v2//inputs", nil},
		{"GET", "/v2/whoami", []string{"Upgrade: h2c", "Connection: Upgrade"}},
		{"POST", "/clarifai.api.V2/ListInputs", []string{"Content-Type: application/grpc"}},
		{"POST", "/clarifai.api.V2/ListInputs", []string{"Content-Type: application/json"}},
	}
	site := gates(t, server.Caddyfile(decisionSite+"\nowner_query user_app_id.user_id user_app_id.app_id"))
	c := gatetest.Client(t, "HTTP/1.1")
	for _, name := range []string{"", "key", "limited", "pat", "collaborator", "other", "session", "off"} {
		for _, r := range requests {
			t.Run(fmt.Sprintf("%s %s by %q", r.method, r.target, name), func(t *testing.T) {
				server.T = t
				lines := r.lines
				if name != "" {
					lines = append(slices.Clone(lines), "Authorization: Key "+callers[name].text)
				}
				a := server.Ask(c, r.method, r.target, lines...)
				list, err := gateway.Explain(context.Background(), server.Directory().Directory, nil, manage.ExplainQuery{
					Method: r.method, Target: r.target, Headers: r.lines, Key: callers[name].id, Gates: site,
				})
				if err != nil || len(list) != 1 {
					t.Fatalf("got %v, %v", list, err)
				}
				x := list[0]
				if forwarded := x.Outcome == manage.OutcomeAllowed || x.Outcome == manage.OutcomePublic; forwarded != (a.Forwarded != nil) {
					t.Errorf("answered %s %s, explained %+v", a.Status, a.Text, x)
				}
				status := x.Status
				if x.Outcome != manage.OutcomeRefused || a.Header.Get("Grpc-Status") != "" {
					status = http.StatusOK
				}
				if status != a.StatusCode {
					t.Errorf("answered %s %s, explained %+v", a.Status, a.Text, x)
				}
				if a.Header.Get("Content-Type") == "application/json" && r.method != "HEAD" {
					if s := a.APIStatus(t); s.Code != int(x.Code) || s.Details != x.Details {
						t.Errorf("answered %s, explained %+v", a.Text, x)
					}
				}
				if len(x.Steps) != 10 {
					t.Errorf("told %d steps", len(x.Steps))
				}
				for i, s := range x.Steps {
					if s.Step != i+1 || s.Decided == manage.StepRefused && (s.Saw == "" || s.Change == "") {
						t.Errorf("told %+v", s)
					}
				}
			})
		}
	}
	server.T = t
}

// A supposed caller needs no store, and is whom the request names.
func TestExplainSupposed(t *testing.T) {
	site := gates(t, ":80 {\napi_keys {\n"+decisionSite+"\ncors https://app.example.com\n}\n}")
	shadow := gates(t, ":80 {\napi_keys {\n"+decisionSite+"\nmode shadow\n}\n}")
	const inputs = "/v2/users/alice/apps/shop/inputs"
	caller := func(kind, user string, scopes ...string) *manage.ExplainCaller {
		return &manage.ExplainCaller{Kind: kind, UserID: user, Scopes: scopes}
	}
	for _, tt := range []struct {
		name    string
		query   manage.ExplainQuery
		outcome string
		step    int
		reason  string
		// change is a part of what would change it.
		change string
	}{
		{"nobody", manage.ExplainQuery{Method: "GET", Target: inputs}, manage.OutcomeRefused, 3, "credential_missing", "a credential"},
		{"enough", manage.ExplainQuery{Method: "GET", Target: inputs, Caller: caller("", "", "Inputs:Get")}, manage.OutcomeAllowed, 10, "allowed", ""},
		{"too little", manage.ExplainQuery{Method: "POST", Target: inputs, Caller: caller("", "", "Inputs:Get")}, manage.OutcomeRefused, 8, "scopes", "grant Inputs:Add to the credential"},
		{"endpoints", manage.ExplainQuery{Method: "POST", Target: inputs, Caller: &manage.ExplainCaller{Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/ListInputs"}}}, manage.OutcomeRefused, 8, "scopes", "grant /clarifai.api.V2/PostInputs"},
		{"no endpoint", manage.ExplainQuery{Method: "GET", Target: "/v2/whoami", Caller: &manage.ExplainCaller{Endpoints: []string{"/a/b"}}}, manage.OutcomeRefused, 8, "scopes", "an endpoint of the route"},
		{"a session", manage.ExplainQuery{Method: "POST", Target: inputs, Caller: caller("session", "")}, manage.OutcomeAllowed, 10, "allowed", ""},
		{"another user", manage.ExplainQuery{Method: "GET", Target: "/v2/users/alice/inputs", Caller: caller("pat", "bob", "All")}, manage.OutcomeRefused, 7, "owner", "a credential of user alice"},
		{"another's app", manage.ExplainQuery{Method: "GET", Target: inputs, Caller: caller("pat", "bob", "All")}, manage.OutcomeRefused, 7, "owner", "user bob as a collaborator on app shop of user alice"},
		{"another's app, by a key", manage.ExplainQuery{Method: "GET", Target: inputs, Caller: caller("", "bob", "All")}, manage.OutcomeRefused, 7, "owner", "a key of app shop of user alice"},
		{"kind", manage.ExplainQuery{Method: "GET", Target: "/v2/users/alice/keys", Caller: caller("app_key", "")}, manage.OutcomeRefused, 6, "kind", "pat or session"},
		{"closed", manage.ExplainQuery{Method: "GET", Target: "/v2/closed", Caller: caller("pat", "", "All")}, manage.OutcomeRefused, 6, "kind", "closed to every kind"},
		{"no route", manage.ExplainQuery{Method: "GET", Target: "/nothing", Caller: caller("", "")}, manage.OutcomeRefused, 5, "route_unknown", "route GET /nothing SCOPE"},
		{"no such method", manage.ExplainQuery{Method: "PUT", Target: inputs, Caller: caller("", "")}, manage.OutcomeRefused, 5, "method_not_allowed", "GET, HEAD, POST"},
		{"gRPC", manage.ExplainQuery{Method: "grpc", Target: "/clarifai.api.V2/ListInputs", Caller: caller("", "", "Inputs:Get")}, manage.OutcomeAllowed, 10, "allowed", ""},
		{"public", manage.ExplainQuery{Method: "GET", Target: "/healthz"}, manage.OutcomePublic, 10, "public", ""},
		{"preflight", manage.ExplainQuery{Method: "OPTIONS", Target: inputs, Headers: []string{"Origin: https://app.example.com", "Access-Control-Request-Method: GET"}}, manage.OutcomePreflight, 10, "preflight", ""},
		{"preflight of another origin", manage.ExplainQuery{Method: "OPTIONS", Target: inputs, Headers: []string{"Origin: https://evil.example.com", "Access-Control-Request-Method: GET"}}, manage.OutcomePreflight, 10, "preflight", ""},
		{"target", manage.ExplainQuery{Method: "GET", Target: "/a%2fb", Headers: []string{"X-Caller-User-Id: x"}}, manage.OutcomeRefused, 1, "target", "another request"},
		{"no HTTP", manage.ExplainQuery{Method: "GE/T", Target: "/"}, manage.OutcomeRefused, 1, "target", "another method"},
		{"absolute form", manage.ExplainQuery{Method: "GET", Target: "http://a/v2/inputs"}, manage.OutcomeRefused, 1, "target", "another request"},
		{"shadow", manage.ExplainQuery{Method: "POST", Target: inputs, Caller: caller("", ""), Gates: shadow}, manage.OutcomeRefused, 8, "scopes", "grant Inputs:Add, Inputs:Get"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.query.Gates == nil {
				tt.query.Gates = site
			}
			list, err := gateway.Explain(context.Background(), nil, nil, tt.query)
			if err != nil {
				t.Fatal(err)
			}
			x := list[0]
			if x.Outcome != tt.outcome || x.Reason != tt.reason || decidedAt(x) != tt.step || len(x.Steps) != 10 {
				t.Fatalf("got %+v", x)
			}
			if change := x.Steps[decidedAt(x)-1].Change; !strings.Contains(change, tt.change) {
				t.Errorf("it would change by %q", change)
			}
			if last := x.Steps[9]; tt.name == "shadow" && (x.Mode != "shadow" || last.Decided != manage.StepPassed) {
				t.Errorf("got %+v", x)
			}
		})
	}
}

// Addresses refuse a request whose address is given, and nothing else.
func TestExplainAddresses(t *testing.T) {
	server := gatetest.Start(t, decisionSite)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := func(addresses ...string) string {
		list, err := policy.ParseAddresses(addresses)
		if err != nil {
			t.Fatal(err)
		}
		_, c := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Inputs:Get"}, Addresses: list})
		return c.ID
	}
	site := gates(t, server.Caddyfile(decisionSite))
	for _, tt := range []struct {
		name, key, address string
		outcome            string
		saw                string
	}{
		{"any, unknown", key(), "", manage.OutcomeAllowed, "the credential may be used from any address"},
		{"any", key(), "192.0.2.7", manage.OutcomeAllowed, "the request comes from 192.0.2.7"},
		{"unknown", key("192.0.2.0/24", "2001:db8::/32"), "", manage.OutcomeAllowed, "may be used from 192.0.2.0/24, 2001:db8::/32, and the address of the request isn't known here"},
		{"among them", key("192.0.2.0/24"), "192.0.2.7", manage.OutcomeAllowed, "may be used from 192.0.2.0/24"},
		{"an allowed address in IPv6 form", key("192.0.2.0/24"), "::ffff:192.0.2.7", manage.OutcomeAllowed, "may be used from 192.0.2.0/24"},
		{"elsewhere", key("192.0.2.0/24"), "198.51.100.7", manage.OutcomeRefused, "the request comes from 198.51.100.7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := gateway.Explain(t.Context(), server.Directory().Directory, nil, manage.ExplainQuery{
				Method: "GET", Target: "/v2/users/alice/apps/shop/inputs", Key: tt.key, Address: tt.address, Gates: site,
			})
			if err != nil {
				t.Fatal(err)
			}
			x := list[0]
			if x.Outcome != tt.outcome || x.Steps[8].Name != "limits" || !strings.Contains(x.Steps[8].Saw, tt.saw) {
				t.Errorf("got %+v", x)
			}
			if x.Outcome == manage.OutcomeRefused && (x.Reason != "address" || x.Status != http.StatusForbidden || decidedAt(x) != 9 || x.Steps[8].Change == "") {
				t.Errorf("got %+v", x)
			}
		})
	}
}

// Malformed queries are refused, and no credential is repeated.
func TestExplainRefuses(t *testing.T) {
	site := gates(t, "a.example.com {\napi_keys {\nroute GET /v2/inputs\ncredential query k\n}\n}\nb.example.com {\napi_keys {\nroute GET /v2/outputs\n}\n}")
	text, _ := credential.Mint("ca", policy.AppKey)
	for _, tt := range []struct {
		name  string
		query manage.ExplainQuery
		want  string
	}{
		{"no method", manage.ExplainQuery{Target: "/"}, "method: "},
		{"no target", manage.ExplainQuery{Method: "GET"}, "target: "},
		{"two requests", manage.ExplainQuery{Method: "GET", Target: "/ HTTP/1.1\r\nA: b"}, "target: "},
		{"no header", manage.ExplainQuery{Method: "GET", Target: "/", Headers: []string{"x"}}, "headers[0]: "},
		{"two headers", manage.ExplainQuery{Method: "GET", Target: "/", Headers: []string{"A: b\r\nC: d"}}, "headers[0]: "},
		{"credential in the target", manage.ExplainQuery{Method: "GET", Target: "/v2/keys/" + text}, "there is a credential in it"},
		{"credential in a header", manage.ExplainQuery{Method: "GET", Target: "/", Headers: []string{"Authorization: Key " + text}}, "there is a credential in it"},
		{"foreign credential in a header", manage.ExplainQuery{Method: "GET", Target: "/", Headers: []string{"Authorization: Key 0123"}}, "leave it out"},
		{"two credentials", manage.ExplainQuery{Method: "GET", Target: "/", Headers: []string{"Authorization: Basic x", "Authorization: Basic y"}}, "leave it out"},
		{"credential in the query", manage.ExplainQuery{Method: "GET", Target: "/?k=0123"}, "leave it out"},
		{"address", manage.ExplainQuery{Method: "GET", Target: "/", Address: "192.0.2.7:80"}, "address: "},
		{"key and caller", manage.ExplainQuery{Method: "GET", Target: "/", Key: "cak_1", Caller: &manage.ExplainCaller{}}, "not both"},
		{"key without a store", manage.ExplainQuery{Method: "GET", Target: "/", Key: "cak_1"}, "no store"},
		{"kind", manage.ExplainQuery{Method: "GET", Target: "/", Caller: &manage.ExplainCaller{Kind: "kex"}}, "caller.kind: "},
		{"app of a PAT", manage.ExplainQuery{Method: "GET", Target: "/", Caller: &manage.ExplainCaller{Kind: "pat", AppID: "shop"}}, "caller.app_id: "},
		{"site", manage.ExplainQuery{Method: "GET", Target: "/", Site: "c.example.com"}, "there are a.example.com, b.example.com"},
		{"gate", manage.ExplainQuery{Method: "GET", Target: "/", Gates: []manage.ExplainGate{{Gate: []byte(`{"mode":"maybe"}`)}}}, "gates[0].gate: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.query.Gates == nil {
				tt.query.Gates = site
			}
			_, err := gateway.Explain(context.Background(), nil, nil, tt.query)
			var e *manage.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "0123") {
				t.Errorf("got %v", err)
			}
		})
	}
	list, err := gateway.Explain(context.Background(), nil, nil, manage.ExplainQuery{Method: "GET", Target: "/", Gates: site})
	if err != nil || len(list) != 2 {
		t.Errorf("each site is asked, got %v %v", list, err)
	}
	if _, err := gateway.Explain(context.Background(), nil, nil, manage.ExplainQuery{Method: "GET", Target: "/"}); err == nil {
		t.Error("there is no gate to ask")
	}
}

// The running configuration is asked on the admin endpoint, site by site.
func TestAdminExplains(t *testing.T) {
	site := func(host, route string) string {
		return fmt.Sprintf(`{"match":[{"host":[%q]}],"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"api_keys","route":[%s]}]}]}]}`, host, route)
	}
	e := gatetest.StartAdmin(t, gatetest.StoreApp(filepath.Join(t.TempDir(), "keys.db"))+fmt.Sprintf(
		`,"http":{"servers":{"s":{"listen":[%q],"automatic_https":{"disable":true},"routes":[%s,%s,{"handle":[{"handler":"api_keys","route":[{"method":"GET","pattern":"/v2/all"}]}]}]}}}`,
		machine.FreeAddress(t), site("a.example.com", `{"method":"GET","pattern":"/v2/inputs","scopes":["Inputs:Get"]}`), site("b.example.com", `{"method":"GET","pattern":"/v2/inputs","accept":["public"]}`)))
	status, a := e.Call("POST", "/api_keys/routes/explain", `{"method":"GET","target":"/v2/inputs","caller":{"scopes":["Inputs:Get"]}}`)
	if status != http.StatusOK || len(a.Explanations) != 3 {
		t.Fatalf("answered %d %+v", status, a)
	}
	for i, want := range []struct{ host, outcome string }{
		{"a.example.com", manage.OutcomeAllowed}, {"b.example.com", manage.OutcomePublic}, {"127.0.0.1", manage.OutcomeRefused},
	} {
		x := a.Explanations[i]
		if x.Outcome != want.outcome || len(x.Hosts) != 1 || !strings.HasPrefix(x.Hosts[0], want.host+":") {
			t.Errorf("got %+v, want %+v", x, want)
		}
	}
	for body, want := range map[string]int{
		`{"method":"GET","target":"/v2/inputs","site":"b.example.com"}`:                                                                http.StatusOK,
		`{"method":"GET","target":"/v2/inputs","site":"c.example.com"}`:                                                                http.StatusBadRequest,
		`{"method":"GET","target":"/v2/inputs","key":"cak_0123456789AB"}`:                                                              http.StatusNotFound,
		`{"method":"GET","target":"/v2/inputs","secret":"x"}`:                                                                          http.StatusBadRequest,
		`{"method":"GET","target":"/v2/inputs","caller":{"scope":"x"}}`:                                                                http.StatusBadRequest,
		`{"method":"GET","target":"/x","gates":[{"hosts":["c.example.com"],"gate":{"route":[{"method":"GET","pattern":"/x"}]}}]}`:      http.StatusOK,
		`{"method":"GET","target":"/x","gates":[{"hosts":["c.example.com"],"gate":{"route":[{"method":"GET","pattern":"no path"}]}}]}`: http.StatusBadRequest,
	} {
		if status, a := e.Call("POST", "/api_keys/routes/explain", body); status != want {
			t.Errorf("%s answered %d %+v, want %d", body, status, a.Status, want)
		}
	}
	if status, _ := e.Call("GET", "/api_keys/routes/explain", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET answered %d", status)
	}
}

func FuzzExplain(f *testing.F) {
	gate := []manage.ExplainGate{{Gate: []byte(`{"route":[{"method":"*","pattern":"/v2/{user_id}/{rest=**}","scopes":["A"]}],"cors":{"origins":["*"]},"owner_query":[{"owner":"u","app":"a"}]}`)}}
	f.Add("GET", "/v2/alice/x?u=bob", "Origin: https://a", "pat")
	f.Add("grpc", "/%2e", "Connection: x", "")
	f.Fuzz(func(t *testing.T, method, target, header, kind string) {
		list, err := gateway.Explain(context.Background(), nil, nil, manage.ExplainQuery{
			Method: method, Target: target, Headers: []string{header}, Caller: &manage.ExplainCaller{Kind: kind, Scopes: []string{"A"}}, Gates: gate,
		})
		if err == nil && (len(list) != 1 || len(list[0].Steps) != 10 || list[0].Outcome == "") {
			t.Errorf("got %+v", list)
		}
	})
}
