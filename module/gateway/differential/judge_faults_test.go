package differential

import (
	"net/http"
	"slices"
	"testing"
)

// What the differential fuzzers are for is found: an exchange in which nothing
// is wrong passes, and no other.
func TestDifferentialJudge(t *testing.T) {
	d := newDifferential(t)
	raw := []byte(d.secrets.Replace("PUT /v2/things?user_app_id.user_id=alice HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {pat}\r\nA: 1\r\nContent-Length: 5\r\n\r\nhello"))
	for _, tt := range []struct {
		name  string
		spoil func(x *exchange, h *heard)
	}{
		{"nothing", nil},
		{"never seen", func(x *exchange, _ *heard) { x.heard = nil }},
		{"seen twice", func(x *exchange, h *heard) { x.heard = append(x.heard, h) }},
		{"smuggled", func(x *exchange, h *heard) {
			other := *h
			other.Tag = ""
			x.heard = append(x.heard, &other)
		}},
		{"a guessed tag", func(x *exchange, h *heard) {
			other := *h
			other.Tag += "1"
			x.heard = append(x.heard, &other)
		}},
		{"late, of an exchange before", func(x *exchange, h *heard) {
			other := *h
			other.Tag = "0.0"
			x.heard = append(x.heard, &other)
		}},
		{"smuggled, and refused", func(x *exchange, _ *heard) { x.heard = append(x.heard, &heard{Refused: "HPE_INVALID_METHOD"}) }},
		{"left HTTP", func(_ *exchange, h *heard) { h.Error = "upgrade" }},
		{"method", func(_ *exchange, h *heard) { h.Method = "POST" }},
		{"operation", func(_ *exchange, h *heard) { h.Operation = "* /admin" }},
		{"no operation", func(_ *exchange, h *heard) { h.Operation = "" }},
		{"path", func(_ *exchange, h *heard) { h.Path = "/v2/Things" }},
		{"raw path", func(_ *exchange, h *heard) { h.Target = "/v2/%74hings" }},
		{"owner in the path", func(_ *exchange, h *heard) { h.Variables = map[string]string{"user_id": "bob"} }},
		{"app in the path", func(_ *exchange, h *heard) { h.Variables = map[string]string{"app_id": "barn"} }},
		{"owner in the query", func(_ *exchange, h *heard) { h.Query[0][1] = "bob" }},
		{"owner in the query too", func(_ *exchange, h *heard) {
			h.Query = append(h.Query, [2]string{"userAppId[userId]", "bob"}, [2]string{"user_app_id.app_id", "farm"})
		}},
		{"owner in the body", func(x *exchange, h *heard) {
			x.allowed[0].inBody = true
			h.Fields = [][2]string{{"user_app_id.user_id", "bob"}}
		}},
		{"credential in the query", func(_ *exchange, h *heard) { h.Query = append(h.Query, [2]string{"api_key", "x"}) }},
		{"credential", func(_ *exchange, h *heard) { h.Headers = append(h.Headers, [2]string{"authorization", "\tbearer\tx"}) }},
		{"session", func(_ *exchange, h *heard) {
			h.Headers = append(h.Headers, [2]string{"x-clarifai-session-token", "x"})
		}},
		{"another caller", func(_ *exchange, h *heard) {
			h.Headers = slices.DeleteFunc(h.Headers, func(f [2]string) bool { return http.CanonicalHeaderKey(f[0]) == "X-Caller-User-Id" })
			h.Headers = append(h.Headers, [2]string{"X-Caller-User-Id", "bob"})
		}},
		{"no caller", func(_ *exchange, h *heard) {
			h.Headers = slices.DeleteFunc(h.Headers, func(f [2]string) bool { return http.CanonicalHeaderKey(f[0]) == "X-Caller-User-Id" })
		}},
		{"a caller too many", func(_ *exchange, h *heard) { h.Headers = append(h.Headers, [2]string{"X_CALLER.User-Id", "alice"}) }},
		{"an app that nobody named", func(_ *exchange, h *heard) { h.Headers = append(h.Headers, [2]string{"X-Caller-App-Id", "shop"}) }},
		{"another method's header", func(_ *exchange, h *heard) {
			h.Headers = append(h.Headers, [2]string{"X-HTTP-Method_Override", "DELETE"})
		}},
		{"a header too many", func(_ *exchange, h *heard) { h.Headers = append(h.Headers, [2]string{"b", "1"}) }},
		{"a header's value", func(_ *exchange, h *heard) { h.Headers = append(h.Headers, [2]string{"a", "1"}) }},
		{"two hosts", func(_ *exchange, h *heard) { h.Headers = append(h.Headers, [2]string{"Host", "a.example.com"}) }},
		{"trailers", func(_ *exchange, h *heard) { h.Trailers = []string{"A", "b"} }},
		{"body", func(_ *exchange, h *heard) { h.Body = "hell" }},
		{"a body that was broken off", func(x *exchange, _ *heard) { x.allowed[0].whole = false }},
		{"another body to the letter", func(x *exchange, h *heard) { h.Body, x.allowed[0].text = "hullo", "hullo" }},
		{"another request to the letter", func(x *exchange, _ *heard) { x.arrived[0].target = "/v2/x" }},
		{"another's answer", func(x *exchange, _ *heard) { x.answers = []byte("HTTP/1.1 200 OK\r\nX-Upstream-Tag: 7.7\r\n\r\n") }},
		{"no answer", func(x *exchange, _ *heard) { x.answers = nil }},
		{"a scope", func(x *exchange, _ *heard) { x.allowed[0].route.Scopes = []string{"Admin:Get"} }},
	} {
		for _, e := range d.ears {
			x := d.send(t, e, e.name, slices.Clone(raw))
			if len(x.heard) != 1 || len(x.allowed) != 1 {
				t.Fatalf("%s: %d allowed, %d seen: %q", e.name, len(x.allowed), len(x.heard), x.answers)
			}
			if tt.spoil == nil {
				if err := d.judge(x, raw); err != nil {
					t.Errorf("%s: %v", e.name, err)
				}
				continue
			}
			route := *x.allowed[0].route
			x.allowed[0].route = &route
			tt.spoil(x, x.heard[0])
			if d.judge(x, raw) == nil {
				t.Errorf("%s: %s passes", e.name, tt.name)
			}
		}
	}
}
