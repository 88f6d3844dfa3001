package decisions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// decisions are what the log says of the requests so far, once there are n.
func decisions(server *gatetest.Server, n int) (list []shadowlog.Decision) {
	server.T.Helper()
	gatetest.Until(server.T, fmt.Sprintf("%d decisions in the log", n), func() bool {
		list = nil
		if _, err := shadowlog.Read(strings.NewReader(server.Logs.String()), func(d *shadowlog.Decision) { list = append(list, *d) }); err != nil {
			server.T.Fatal(err)
		}
		return len(list) >= n
	})
	return list
}

// Whatever would have been refused for what it may not do is handed on as it
// came; what nobody may do is refused.
func TestShadow(t *testing.T) {
	server := gatetest.Start(t, decisionSite+"\nmode shadow\ncors https://app.example.com")
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	server.AddApp("bob", "farm")
	key, pat, session := server.AppKey("alice", "shop", "Inputs:Get"), server.PAT("alice", "Keys:Get"), server.Session("alice")
	limited, _ := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop",
		Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/PostInputs"}})
	expired, e := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	server.ChangeCredential(e.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) })
	revoked, e := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(e.ID, "leaked") })

	const inputs = "/v2/users/alice/apps/shop/inputs"
	auth := func(k string) string { return "Authorization: Key " + k }
	n := 0
	for _, row := range []struct {
		name, method, target string
		lines                []string
		// want is the decision; KeyID says only whether one is known.
		want shadowlog.Decision
	}{
		{"3 no credential", "GET", "/v2/inputs", nil,
			shadowlog.Decision{Route: "GET /v2/inputs", Step: 3, Reason: "credential_missing", Status: 401, Code: 11102}},
		{"3 no credential, and no route", "GET", "/nothing", nil,
			shadowlog.Decision{Step: 3, Reason: "credential_missing", Status: 401, Code: 11102}},
		{"3 two credentials", "GET", "/v2/inputs", []string{auth(key), "X-Clarifai-Session-Token: " + session},
			shadowlog.Decision{Route: "GET /v2/inputs", Step: 3, Reason: "credential_several", Status: 400, Code: 11102}},
		{"3 malformed", "GET", "/v2/inputs", []string{"Authorization: Key  " + key},
			shadowlog.Decision{Route: "GET /v2/inputs", Step: 3, Reason: "credential_malformed", Status: 400, Code: 11102}},
		{"4 unknown", "GET", "/v2/inputs", []string{auth("0123456789abcdef0123456789abcdef")},
			shadowlog.Decision{Route: "GET /v2/inputs", Step: 4, Reason: "credential_unknown", Status: 401, Code: 11009}},
		{"4 of our form, and mistyped", "GET", "/v2/inputs", []string{auth(mistyped(key))},
			shadowlog.Decision{Route: "GET /v2/inputs", Step: 4, Reason: "credential_unknown", Status: 401, Code: 11009}},
		{"4 revoked", "GET", "/v2/inputs", []string{auth(revoked)},
			shadowlog.Decision{Route: "GET /v2/inputs", Step: 4, Reason: "credential_unknown", Status: 401, Code: 11009}},
		{"4 expired", "GET", "/v2/inputs", []string{auth(expired)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Route: "GET /v2/inputs", Step: 4, Reason: "expired", Status: 401, Code: 11008}},
		{"5 no route", "GET", "/nothing", []string{auth(key)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Step: 5, Reason: "route_unknown", Status: 404, Code: 11101}},
		{"5 another method", "PUT", "/v2/inputs", []string{auth(key)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Step: 5, Reason: "method_not_allowed", Status: 405, Code: 11103}},
		{"6 kind", "GET", "/v2/users/alice/keys", []string{auth(key)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Route: "GET /v2/users/{user_id}/keys", Step: 6, Reason: "kind", Status: 403, Code: 11007}},
		{"7 ownership", "GET", "/v2/users/bob/apps/farm/inputs", []string{auth(key)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Route: "GET /v2/users/{user_id}/apps/{app_id}/inputs", Step: 7, Reason: "owner", Status: 403, Code: 11008}},
		{"8 scopes", "POST", inputs, []string{auth(key)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Route: "POST /v2/users/{user_id}/apps/{app_id}/inputs", Step: 8, Reason: "scopes", Status: 403, Code: 11007, MissingScopes: []string{"Inputs:Add"}}},
		{"8 endpoints", "GET", inputs, []string{auth(limited)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Route: "GET /v2/users/{user_id}/apps/{app_id}/inputs", Step: 8, Reason: "scopes", Status: 403, Code: 11007, MissingEndpoints: []string{"/clarifai.api.V2/ListInputs"}}},
		{"8 a route without an endpoint", "GET", "/v2/users/alice/inputs", []string{auth(limited)},
			shadowlog.Decision{KeyID: "known", KeyType: "app_key", Route: "GET /v2/users/{user_id}/inputs", Step: 8, Reason: "scopes", Status: 403, Code: 11007, NoEndpoint: true}},
		{"8 gRPC", "POST", "/clarifai.api.V2/ListInputs", []string{auth(pat), "Content-Type: application/grpc"},
			shadowlog.Decision{KeyID: "known", KeyType: "pat", Route: "grpc /clarifai.api.V2/ListInputs", Step: 8, Reason: "scopes", Status: 403, Code: 11007, MissingScopes: []string{"Inputs:Get"}}},
		{"9 allowed", "GET", "/v2/users/me/keys", []string{auth(pat)},
			shadowlog.Decision{Decision: shadowlog.Allow, KeyID: "known", KeyType: "pat", Route: "GET /v2/users/{user_id}/keys"}},
		{"2 public", "GET", "/healthz", []string{auth(key)},
			shadowlog.Decision{Decision: shadowlog.Public, Route: "GET /healthz"}},
	} {
		for _, protocol := range gatetest.Protocols {
			t.Run(row.name+" over "+protocol, func(t *testing.T) {
				server.T = t
				status, code := fmt.Sprint(row.want.Status), fmt.Sprint(row.want.Code)
				before := gatetest.Counter(t, "caddy_api_keys_shadow_total", code, row.want.Reason, status)
				a := server.Ask(gatetest.Client(t, protocol), row.method, row.target, append(row.lines, "X-Caller-User-Id: forged", "X-Original-Url: /admin")...)
				if a.Forwarded == nil || a.StatusCode != http.StatusOK {
					t.Fatalf("answered %s %s, and the upstream saw %v", a.Status, a.Text, a.Forwarded)
				}
				n++
				got := decisions(server, n)[n-1]
				if (got.KeyID != "") != (row.want.KeyID != "") || row.want.Status != 0 && got.Details == "" {
					t.Errorf("logged %+v", got)
				}
				want := row.want
				want.Method = row.method
				if want.Decision == "" {
					want.Decision = shadowlog.Refuse
				}
				want.KeyID, want.UserID, want.Details, want.Scopes, want.Endpoints = got.KeyID, got.UserID, got.Details, got.Scopes, got.Endpoints
				if asJSON(got) != asJSON(want) {
					t.Errorf("logged\n%s\nwant\n%s", asJSON(got), asJSON(want))
				}
				refused := want.Decision == shadowlog.Refuse
				for _, line := range row.lines {
					name, value, _ := strings.Cut(line, ": ")
					if sent := slices.Contains(a.Forwarded.Header[name], value); sent != (refused || name == "Content-Type") {
						t.Errorf("the upstream saw %s: %q of %q", name, a.Forwarded.Header[name], line)
					}
				}
				told := a.Forwarded.Header["X-Caller-User-Id"]
				if want.Decision == shadowlog.Allow && !slices.Equal(told, []string{"alice"}) ||
					want.Decision != shadowlog.Allow && told != nil || a.Forwarded.Header["X-Original-Url"] != nil {
					t.Errorf("the upstream was told %v", a.Forwarded.Header)
				}
				if after := gatetest.Counter(t, "caddy_api_keys_shadow_total", code, row.want.Reason, status); refused != (after == before+1) {
					t.Errorf("the count of %s %s went from %v to %v", status, code, before, after)
				}
			})
		}
	}

	for _, row := range []struct {
		name, method, target string
		lines                []string
		status               int
	}{
		{"ambiguous target", "GET", "/v2/%2e%2e/inputs", []string{auth(key)}, 400},
		{"unknown method", "BREW", "/v2/inputs", []string{auth(key)}, 400},
		{"preflight", "OPTIONS", "/v2/inputs", []string{"Origin: https://app.example.com", "Access-Control-Request-Method: GET"}, 204},
		{"preflight of another origin", "OPTIONS", "/v2/inputs", []string{"Origin: https://evil.example.com", "Access-Control-Request-Method: GET"}, 403},
	} {
		for _, protocol := range gatetest.Protocols {
			t.Run(row.name+" over "+protocol, func(t *testing.T) {
				server.T = t
				if a := server.Ask(gatetest.Client(t, protocol), row.method, row.target, row.lines...); a.StatusCode != row.status || a.Forwarded != nil {
					t.Errorf("answered %s, and the upstream saw %v", a.Status, a.Forwarded)
				}
			})
		}
	}
	t.Run("upgrade", func(t *testing.T) {
		server.T = t
		a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/v2/inputs", auth(key), "Connection: Upgrade", "Upgrade: h2c")
		if a.StatusCode != http.StatusOK || a.Forwarded.Header["Upgrade"] != nil || a.Forwarded.Header["Connection"] != nil {
			t.Errorf("answered %s, and the upstream saw %v", a.Status, a.Forwarded)
		}
	})
	server.T = t
}

// Trailers are dropped from what would have been refused, too.
func TestShadowDropsTrailers(t *testing.T) {
	server := gatetest.Start(t, "route POST /v2/inputs Inputs:Add\nmode shadow")
	for _, protocol := range gatetest.Protocols {
		t.Run(protocol, func(t *testing.T) {
			r, err := http.NewRequest("POST", "http://"+server.Addr+"/v2/inputs", io.MultiReader(strings.NewReader("body")))
			if err != nil {
				t.Fatal(err)
			}
			r.Trailer = http.Header{"X-Caller-User-Id": {"forged"}}
			resp, err := gatetest.Client(t, protocol).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if s := server.Upstream.Last(); s.Body != "body" || len(s.Trailer) > 0 {
				t.Errorf("the upstream saw %q and the trailer %v", s.Body, s.Trailer)
			}
		})
	}
}

// A store that can't answer would have been a refusal.
func TestShadowWithoutStore(t *testing.T) {
	server := gatetest.StartFaulty(t, "route GET /v2/inputs Inputs:Get\nmode shadow")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := server.AppKey("alice", "shop", "Inputs:Get")
	broken := func() error { return errors.New("the disk is gone") }
	gatetest.BeforeReads(broken)
	defer gatetest.BeforeReads(nil)
	a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/v2/inputs", "Authorization: Key "+key)
	if a.Forwarded == nil || a.Forwarded.Header.Get("Authorization") != "Key "+key {
		t.Errorf("answered %s, and the upstream saw %v", a.Status, a.Forwarded)
	}
	if d := decisions(server, 1)[0]; d.Status != http.StatusServiceUnavailable || d.Code != 40031 || d.Step != 4 || d.Reason != "store_unavailable" {
		t.Errorf("logged %+v", d)
	}
	server.Logs.Wait(t, "the disk is gone")
}

// A change ends nothing in shadow mode: it says what it would have ended.
func TestShadowEndsNothing(t *testing.T) {
	server := gatetest.Start(t, "route GET /v2/stream Inputs:Get\nmode shadow")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	text, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Inputs:Get"}})
	goOn := make(chan struct{})
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(rw, "one")
		rw.(http.Flusher).Flush()
		<-goOn
		fmt.Fprint(rw, "two")
	})
	r, err := http.NewRequest("GET", "http://"+server.Addr+"/v2/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Key "+text)
	resp, err := gatetest.Client(t, "HTTP/1.1").Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(record.ID, "leaked") })
	got := decisions(server, 2)
	close(goOn)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "onetwo" {
		t.Errorf("got %q, %v", body, err)
	}
	if d := got[1]; d.Decision != shadowlog.End || d.Status != 401 || d.Code != 11009 || d.Reason != "credential_unknown" {
		t.Errorf("logged %+v", d)
	}
}

func asJSON(v any) string {
	text, _ := json.Marshal(v) // of strings and numbers
	return string(text)
}

// mistyped is a credential with a character changed, so that its checksum is
// wrong.
func mistyped(key string) string {
	for _, c := range "AB" {
		if other := key[:len(key)-1] + string(c); credential.FormOf(other) == credential.Forged {
			return other
		}
	}
	return key
}
