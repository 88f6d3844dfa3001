package decisions

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// accessLine is a line of Caddy's access log.
type accessLine struct {
	Status    int      `json:"status"`
	Reason    string   `json:"reason"`
	Code      int      `json:"code"`
	Route     string   `json:"route"`
	UserID    string   `json:"user_id"`
	KeyID     string   `json:"key_id"`
	KeyType   string   `json:"key_type"`
	Scopes    []string `json:"missing_scopes"`
	Endpoints []string `json:"missing_endpoints"`
	Ended     string   `json:"ended"`
}

// accessed waits for the line of the request with this mark in its target.
func accessed(server *gatetest.Server, mark string) (l accessLine) {
	server.T.Helper()
	text := server.Logs.Wait(server.T, `"logger":"http.log.access`, `"msg":"handled request"`, mark)
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		server.T.Fatal(err)
	}
	return l
}

// The access log says why a request was allowed or refused, by which route,
// and who sent it, where that is known.
func TestAccessLogHasTheReason(t *testing.T) {
	server := gatetest.Start(t, decisionSite+"\ncors https://app.example.com", "api_keys_manage {\nbase /manage\n}")
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	server.AddApp("bob", "farm")
	key, pat := server.AppKey("alice", "shop", "Inputs:Get"), server.PAT("alice", "Keys:Get")
	limited, _ := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop",
		Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/PostInputs"}})
	disabled, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	server.ChangeCredential(record.ID, func(c *keys.Credential) { c.Disabled = true })
	expired, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	server.ChangeCredential(record.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) })
	suspended := server.PAT("bob", "All")
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("bob", func(u *keys.User) error { u.Suspended = true; return nil })
		return err
	})

	const inputs = "/v2/users/alice/apps/shop/inputs"
	const inputsRoute = " /v2/users/{user_id}/apps/{app_id}/inputs"
	auth := func(k string) string { return "Authorization: Key " + k }
	grpcCall := "Content-Type: application/grpc"
	for i, tt := range []struct {
		method, target string
		lines          []string
		want           accessLine // KeyID says only whether one is known
	}{
		{"GET", inputs, []string{auth(key)}, accessLine{Status: 200, Reason: "allowed", Route: "GET" + inputsRoute, UserID: "alice", KeyID: "known", KeyType: "app_key"}},
		{"GET", "/healthz", nil, accessLine{Status: 200, Reason: "public", Route: "GET /healthz"}},
		{"OPTIONS", inputs, []string{"Origin: https://app.example.com", "Access-Control-Request-Method: GET"}, accessLine{Status: 204, Reason: "preflight"}},
		{"GET", "/v2/%2e%2e/inputs", []string{auth(key)}, accessLine{Status: 400, Reason: "target", Code: 11102}},
		{"BREW", inputs, []string{auth(key)}, accessLine{Status: 400, Reason: "method_unknown", Code: 11102}},
		{"PROPFIND", inputs, []string{auth(key)}, accessLine{Status: 501, Reason: "method_unknown", Code: 11102}},
		{"GET", inputs, nil, accessLine{Status: 401, Reason: "credential_missing", Code: 11102, Route: "GET" + inputsRoute}},
		{"GET", inputs, []string{auth(key), auth(pat)}, accessLine{Status: 400, Reason: "credential_several", Code: 11102, Route: "GET" + inputsRoute}},
		{"GET", inputs, []string{auth(" " + key)}, accessLine{Status: 400, Reason: "credential_malformed", Code: 11102, Route: "GET" + inputsRoute}},
		{"GET", inputs, []string{auth(mistyped(key))}, accessLine{Status: 401, Reason: "credential_unknown", Code: 11009, Route: "GET" + inputsRoute}},
		{"GET", inputs, []string{auth(expired)}, accessLine{Status: 401, Reason: "expired", Code: 11008, Route: "GET" + inputsRoute, UserID: "alice", KeyID: "known", KeyType: "app_key"}},
		{"GET", inputs, []string{auth(disabled)}, accessLine{Status: 401, Reason: "disabled", Code: 11008, Route: "GET" + inputsRoute, UserID: "alice", KeyID: "known", KeyType: "app_key"}},
		{"GET", inputs, []string{auth(suspended)}, accessLine{Status: 401, Reason: "suspended", Code: 11008, Route: "GET" + inputsRoute, UserID: "bob", KeyID: "known", KeyType: "pat"}},
		{"GET", "/nothing", []string{auth(key)}, accessLine{Status: 404, Reason: "route_unknown", Code: 11101, UserID: "alice", KeyID: "known", KeyType: "app_key"}},
		{"PUT", inputs, []string{auth(key)}, accessLine{Status: 405, Reason: "method_not_allowed", Code: 11103, UserID: "alice", KeyID: "known", KeyType: "app_key"}},
		{"GET", "/v2/users/alice/keys", []string{auth(key)}, accessLine{Status: 403, Reason: "kind", Code: 11007, Route: "GET /v2/users/{user_id}/keys", UserID: "alice", KeyID: "known", KeyType: "app_key"}},
		{"GET", "/v2/users/bob/apps/farm/inputs", []string{auth(pat)}, accessLine{Status: 403, Reason: "owner", Code: 11008, Route: "GET" + inputsRoute, UserID: "alice", KeyID: "known", KeyType: "pat"}},
		{"POST", inputs, []string{auth(key)}, accessLine{Status: 403, Reason: "scopes", Code: 11007, Route: "POST" + inputsRoute, UserID: "alice", KeyID: "known", KeyType: "app_key", Scopes: []string{"Inputs:Add"}}},
		{"GET", inputs, []string{auth(limited)}, accessLine{Status: 403, Reason: "scopes", Code: 11007, Route: "GET" + inputsRoute, UserID: "alice", KeyID: "known", KeyType: "app_key", Endpoints: []string{"/clarifai.api.V2/ListInputs"}}},
		{"POST", "/clarifai.api.V2/ListInputs", []string{auth(pat), grpcCall}, accessLine{Status: 200, Reason: "scopes", Code: 11007, Route: "grpc /clarifai.api.V2/ListInputs", UserID: "alice", KeyID: "known", KeyType: "pat", Scopes: []string{"Inputs:Get"}}},
		// The management API.
		{"GET", "/manage/users/alice/keys", []string{auth(pat)}, accessLine{Status: 200, Reason: "allowed", Route: "GET /manage/users/{user_id}/keys", UserID: "alice", KeyID: "known", KeyType: "pat"}},
		{"GET", "/manage/users/alice/keys/cak_nothing", []string{auth(pat)}, accessLine{Status: 404, Reason: "allowed", Code: 11101, Route: "GET /manage/users/{user_id}/keys/{key_id}", UserID: "alice", KeyID: "known", KeyType: "pat"}},
		{"GET", "/manage/users/alice/keys", nil, accessLine{Status: 401, Reason: "credential_missing", Code: 11102, Route: "GET /manage/users/{user_id}/keys"}},
		{"GET", "/manage/users/bob/keys", []string{auth(pat)}, accessLine{Status: 403, Reason: "owner", Code: 11008, Route: "GET /manage/users/{user_id}/keys", UserID: "alice", KeyID: "known", KeyType: "pat"}},
		{"GET", "/manage/users/alice/apps", []string{auth(pat)}, accessLine{Status: 403, Reason: "scopes", Code: 11007, Route: "GET /manage/users/{user_id}/apps", UserID: "alice", KeyID: "known", KeyType: "pat", Scopes: []string{"Apps:Get", "Workflows:Get"}}},
	} {
		t.Run(tt.method+" "+tt.target+" "+tt.want.Reason, func(t *testing.T) {
			server.T = t
			mark := fmt.Sprintf("mark=%d.", i)
			refusals := func() float64 {
				return gatetest.Counter(t, "caddy_api_keys_refusals_total", fmt.Sprint(tt.want.Code), tt.want.Reason, statusOf(tt.want))
			}
			before := refusals()
			server.Ask(gatetest.Client(t, "HTTP/1.1"), tt.method, tt.target+"?"+mark, tt.lines...)
			got := accessed(server, mark)
			if (got.KeyID != "") != (tt.want.KeyID != "") {
				t.Errorf("logged the key %q", got.KeyID)
			}
			want := tt.want
			want.KeyID = got.KeyID
			if asJSON(got) != asJSON(want) {
				t.Errorf("logged\n%s\nwant\n%s", asJSON(got), asJSON(want))
			}
			if want.Code != 0 && want.Reason != "allowed" && refusals() != before+1 {
				t.Errorf("the refusals by reason went from %v to %v", before, refusals())
			}
		})
	}
	server.T = t
}

// statusOf is the HTTP status by which a refusal is counted, which gRPC calls
// aren't answered with.
func statusOf(l accessLine) string {
	if l.Status == http.StatusOK {
		return "403"
	}
	return fmt.Sprint(l.Status)
}

// The placeholders say who was refused, to error routes too.
func TestErrorRoutesKnowWhoWasRefused(t *testing.T) {
	server := gatetest.Start(t, "route POST /v2/inputs Inputs:Add\nerrors caddy",
		"handle_errors {\nrespond \"{http.auth.user.id} {http.auth.user.key_type}\" {err.status_code}\n}")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "POST", "/v2/inputs?mark", "Authorization: Key "+server.AppKey("alice", "shop", "All")+"x"); a.StatusCode != 401 || strings.Contains(a.Text, "alice") {
		t.Errorf("nobody known is called %q", a.Text)
	}
	if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "POST", "/v2/inputs?mark", "Authorization: Key "+server.AppKey("alice", "shop")); a.StatusCode != 403 || a.Text != "alice app_key" {
		t.Errorf("answered %s %q", a.Status, a.Text)
	}
}

// A stream that a revocation ended doesn't look like a success in the access
// log, whichever handler served it.
func TestAccessLogOfEndedRequests(t *testing.T) {
	for name, directives := range map[string]string{
		"by the gate's own next": "",
		"by error routes":        "@failing query failing=1\nreverse_proxy @failing 127.0.0.1:1\nhandle_errors {\nreverse_proxy UPSTREAM {\nflush_interval -1\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			server := gatetest.Start(t, gatetest.StreamRoutes)
			server.Directives = strings.ReplaceAll(directives, "UPSTREAM", server.Upstream.Addr)
			server.Reload(gatetest.StreamRoutes)
			server.AddUsers("alice")
			server.AddApp("alice", "shop")
			text, id := gatetest.NewStreamKey(server)
			inside := make(chan struct{})
			server.Upstream.AnswerWith(func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(rw, "first")
				_ = http.NewResponseController(rw).Flush()
				close(inside)
				<-r.Context().Done()
			})
			conn := server.Dial("GET " + gatetest.StreamPath + "?failing=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
			gatetest.Receive(t, inside, "the request at the upstream")
			server.Update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
			gatetest.WaitClosed(t, conn)
			got := accessed(server, "failing=1")
			if got.Ended != "credential_unknown" || got.Reason != "allowed" || got.UserID != "alice" || got.KeyID != id {
				t.Errorf("logged %+v", got)
			}
		})
	}
}

// Refusals that shadow mode enforces are logged and counted.
func TestShadowLogsRefusals(t *testing.T) {
	server := gatetest.Start(t, "route GET /v2/inputs Inputs:Get\nroute POST /v2/inputs Inputs:Add\nmode shadow")
	for i, tt := range []struct{ method, target, line, reason string }{
		{"GET", "/v2//inputs", "Accept: */*", "target"},
		{"GET", "/v2/inputs?a;b", "Accept: */*", "target"},
		{"POST", "/v2/inputs", "Content-Type: application/grpcx", "target"},
		{"BREW", "/v2/inputs", "Accept: */*", "method_unknown"},
	} {
		before := gatetest.Counter(t, "caddy_api_keys_refusals_total", "11102", tt.reason, "400")
		if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), tt.method, tt.target, tt.line); a.StatusCode != 400 || a.Forwarded != nil {
			t.Fatalf("answered %s, and the upstream saw %v", a.Status, a.Forwarded)
		}
		d := decisions(server, i+1)[i]
		if d.Decision != shadowlog.Refuse || !d.Enforced || d.Reason != tt.reason || d.Status != 400 || d.Code != 11102 || d.Details == "" {
			t.Errorf("logged %+v", d)
		}
		if known := slices.Contains([]string{"GET", "POST"}, tt.method); known != (d.Method != "") {
			t.Errorf("logged the method %q of %s", d.Method, tt.method)
		}
		if n := gatetest.Counter(t, "caddy_api_keys_refusals_total", "11102", tt.reason, "400") - before; n != 1 {
			t.Errorf("%v were counted", n)
		}
	}
}
