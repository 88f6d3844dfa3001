package gateway_test

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

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// decisions are what the log says of the requests so far, once there are n.
func (w *world) decisions(n int) (list []shadowlog.Decision) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("%d decisions in the log", n), func() bool {
		list = nil
		if _, err := shadowlog.Read(strings.NewReader(w.logs.String()), func(d *shadowlog.Decision) { list = append(list, *d) }); err != nil {
			w.t.Fatal(err)
		}
		return len(list) >= n
	})
	return list
}

// counted is the value of a counter with these labels, in their order.
func counted(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(values, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// Whatever would have been refused for what it may not do is handed on as it
// came; what nobody may do is refused.
func TestShadow(t *testing.T) {
	w := start(t, decisionSite+"\nmode shadow\ncors https://app.example.com")
	w.user("alice", "bob")
	w.app("alice", "shop")
	w.app("bob", "farm")
	key, pat, session := w.key("alice", "shop", "Inputs:Get"), w.pat("alice", "Keys:Get"), w.session("alice")
	limited, _ := w.credential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop",
		Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/PostInputs"}})
	expired, e := w.credential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	w.change(e.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) })
	revoked, e := w.credential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	w.update(func(tx *keys.Tx) error { return tx.Revoke(e.ID, "leaked") })

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
		for _, protocol := range protocols {
			t.Run(row.name+" over "+protocol, func(t *testing.T) {
				w.t = t
				status, code := fmt.Sprint(row.want.Status), fmt.Sprint(row.want.Code)
				before := counted(t, "caddy_api_keys_shadow_total", code, row.want.Reason, status)
				a := w.ask(client(t, protocol), row.method, row.target, append(row.lines, "X-Caller-User-Id: forged", "X-Original-Url: /admin")...)
				if a.seen == nil || a.StatusCode != http.StatusOK {
					t.Fatalf("answered %s %s, and the upstream saw %v", a.Status, a.body, a.seen)
				}
				n++
				got := w.decisions(n)[n-1]
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
					if sent := slices.Contains(a.seen.header[name], value); sent != (refused || name == "Content-Type") {
						t.Errorf("the upstream saw %s: %q of %q", name, a.seen.header[name], line)
					}
				}
				told := a.seen.header["X-Caller-User-Id"]
				if want.Decision == shadowlog.Allow && !slices.Equal(told, []string{"alice"}) ||
					want.Decision != shadowlog.Allow && told != nil || a.seen.header["X-Original-Url"] != nil {
					t.Errorf("the upstream was told %v", a.seen.header)
				}
				if after := counted(t, "caddy_api_keys_shadow_total", code, row.want.Reason, status); refused != (after == before+1) {
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
		for _, protocol := range protocols {
			t.Run(row.name+" over "+protocol, func(t *testing.T) {
				w.t = t
				if a := w.ask(client(t, protocol), row.method, row.target, row.lines...); a.StatusCode != row.status || a.seen != nil {
					t.Errorf("answered %s, and the upstream saw %v", a.Status, a.seen)
				}
			})
		}
	}
	t.Run("upgrade", func(t *testing.T) {
		w.t = t
		a := w.ask(client(t, "HTTP/1.1"), "GET", "/v2/inputs", auth(key), "Connection: Upgrade", "Upgrade: h2c")
		if a.StatusCode != http.StatusOK || a.seen.header["Upgrade"] != nil || a.seen.header["Connection"] != nil {
			t.Errorf("answered %s, and the upstream saw %v", a.Status, a.seen)
		}
	})
	w.t = t
}

// Trailers are dropped from what would have been refused, too.
func TestShadowDropsTrailers(t *testing.T) {
	w := start(t, "route POST /v2/inputs Inputs:Add\nmode shadow")
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			r, err := http.NewRequest("POST", "http://"+w.addr+"/v2/inputs", io.MultiReader(strings.NewReader("body")))
			if err != nil {
				t.Fatal(err)
			}
			r.Trailer = http.Header{"X-Caller-User-Id": {"forged"}}
			resp, err := client(t, protocol).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if s := w.upstream.last(); s.body != "body" || len(s.trailer) > 0 {
				t.Errorf("the upstream saw %q and the trailer %v", s.body, s.trailer)
			}
		})
	}
}

// A store that can't answer would have been a refusal.
func TestShadowWithoutStore(t *testing.T) {
	w := startOn(t, "meddler", "route GET /v2/inputs Inputs:Get\nmode shadow")
	w.user("alice")
	w.app("alice", "shop")
	key := w.key("alice", "shop", "Inputs:Get")
	broken := func() error { return errors.New("the disk is gone") }
	meddle.Store(&broken)
	defer meddle.Store(nil)
	a := w.ask(client(t, "HTTP/1.1"), "GET", "/v2/inputs", "Authorization: Key "+key)
	if a.seen == nil || a.seen.header.Get("Authorization") != "Key "+key {
		t.Errorf("answered %s, and the upstream saw %v", a.Status, a.seen)
	}
	if d := w.decisions(1)[0]; d.Status != http.StatusServiceUnavailable || d.Code != 40031 || d.Step != 4 || d.Reason != "store_unavailable" {
		t.Errorf("logged %+v", d)
	}
	w.logs.wait(t, "the disk is gone")
}

// A change ends nothing in shadow mode: it says what it would have ended.
func TestShadowEndsNothing(t *testing.T) {
	w := start(t, "route GET /v2/stream Inputs:Get\nmode shadow")
	w.user("alice")
	w.app("alice", "shop")
	text, record := w.credential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Inputs:Get"}})
	goOn := make(chan struct{})
	w.upstream.answerWith(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(rw, "one")
		rw.(http.Flusher).Flush()
		<-goOn
		fmt.Fprint(rw, "two")
	})
	r, err := http.NewRequest("GET", "http://"+w.addr+"/v2/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Key "+text)
	resp, err := client(t, "HTTP/1.1").Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w.update(func(tx *keys.Tx) error { return tx.Revoke(record.ID, "leaked") })
	got := w.decisions(2)
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
		if other := key[:len(key)-1] + string(c); keys.FormOf(other) == keys.Forged {
			return other
		}
	}
	return key
}
