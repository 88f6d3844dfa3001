package differential

import (
	"net/http"
	"slices"
	"testing"
)

// The judge finds the faults that the differential fuzzers look for, and passes
// an exchange without faults.
func TestDifferentialJudge(t *testing.T) {
	d := newDifferential(t)
	raw := []byte(d.secrets.Replace("PUT /v2/things?user_app_id.user_id=alice HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {pat}\r\nA: 1\r\nContent-Length: 5\r\n\r\nhello"))
	for _, tt := range []struct {
		name  string
		spoil func(x *exchange, h *reading)
	}{
		{"nothing", nil},
		{"never seen", func(x *exchange, _ *reading) { x.readings = nil }},
		{"seen twice", func(x *exchange, h *reading) { x.readings = append(x.readings, h) }},
		{"smuggled", func(x *exchange, h *reading) {
			other := *h
			other.Tag = ""
			x.readings = append(x.readings, &other)
		}},
		{"a guessed tag", func(x *exchange, h *reading) {
			other := *h
			other.Tag += "1"
			x.readings = append(x.readings, &other)
		}},
		{"late, of an exchange before", func(x *exchange, h *reading) {
			other := *h
			other.Tag = "0.0"
			x.readings = append(x.readings, &other)
		}},
		{"smuggled, and refused", func(x *exchange, _ *reading) {
			x.readings = append(x.readings, &reading{Refused: "HPE_INVALID_METHOD"})
		}},
		{"left HTTP", func(_ *exchange, h *reading) { h.Error = "upgrade" }},
		{"method", func(_ *exchange, h *reading) { h.Method = "POST" }},
		{"operation", func(_ *exchange, h *reading) { h.Operation = "* /admin" }},
		{"no operation", func(_ *exchange, h *reading) { h.Operation = "" }},
		{"path", func(_ *exchange, h *reading) { h.Path = "/v2/Things" }},
		{"raw path", func(_ *exchange, h *reading) { h.Target = "/v2/%74hings" }},
		{"owner in the path", func(_ *exchange, h *reading) { h.Variables = map[string]string{"user_id": "bob"} }},
		{"app in the path", func(_ *exchange, h *reading) { h.Variables = map[string]string{"app_id": "barn"} }},
		{"owner in the query", func(_ *exchange, h *reading) { h.Query[0][1] = "bob" }},
		{"owner in the query too", func(_ *exchange, h *reading) {
			h.Query = append(h.Query, [2]string{"userAppId[userId]", "bob"}, [2]string{"user_app_id.app_id", "farm"})
		}},
		{"owner in the body", func(x *exchange, h *reading) {
			x.allowed[0].inBody = true
			h.Fields = [][2]string{{"user_app_id.user_id", "bob"}}
		}},
		{"credential in the query", func(_ *exchange, h *reading) { h.Query = append(h.Query, [2]string{"api_key", "x"}) }},
		{"credential", func(_ *exchange, h *reading) {
			h.Headers = append(h.Headers, [2]string{"authorization", "\tbearer\tx"})
		}},
		{"session", func(_ *exchange, h *reading) {
			h.Headers = append(h.Headers, [2]string{"x-clarifai-session-token", "x"})
		}},
		{"another caller", func(_ *exchange, h *reading) {
			h.Headers = slices.DeleteFunc(h.Headers, func(f [2]string) bool { return http.CanonicalHeaderKey(f[0]) == "X-Caller-User-Id" })
			h.Headers = append(h.Headers, [2]string{"X-Caller-User-Id", "bob"})
		}},
		{"no caller", func(_ *exchange, h *reading) {
			h.Headers = slices.DeleteFunc(h.Headers, func(f [2]string) bool { return http.CanonicalHeaderKey(f[0]) == "X-Caller-User-Id" })
		}},
		{"a caller too many", func(_ *exchange, h *reading) { h.Headers = append(h.Headers, [2]string{"X_CALLER.User-Id", "alice"}) }},
		{"an app that nobody named", func(_ *exchange, h *reading) { h.Headers = append(h.Headers, [2]string{"X-Caller-App-Id", "shop"}) }},
		{"another method's header", func(_ *exchange, h *reading) {
			h.Headers = append(h.Headers, [2]string{"X-HTTP-Method_Override", "DELETE"})
		}},
		{"a header too many", func(_ *exchange, h *reading) { h.Headers = append(h.Headers, [2]string{"b", "1"}) }},
		{"a header's value", func(_ *exchange, h *reading) { h.Headers = append(h.Headers, [2]string{"a", "1"}) }},
		{"two hosts", func(_ *exchange, h *reading) { h.Headers = append(h.Headers, [2]string{"Host", "a.example.com"}) }},
		{"trailers", func(_ *exchange, h *reading) { h.Trailers = []string{"A", "b"} }},
		{"body", func(_ *exchange, h *reading) { h.Body = "hell" }},
		{"a body that was broken off", func(x *exchange, _ *reading) { x.allowed[0].whole = false }},
		{"another body to the letter", func(x *exchange, h *reading) { h.Body, x.allowed[0].text = "hullo", "hullo" }},
		{"another request to the letter", func(x *exchange, _ *reading) { x.arrived[0].target = "/v2/x" }},
		{"another's answer", func(x *exchange, _ *reading) { x.answers = []byte("HTTP/1.1 200 OK\r\nX-Upstream-Tag: 7.7\r\n\r\n") }},
		{"no answer", func(x *exchange, _ *reading) { x.answers = nil }},
		{"a scope", func(x *exchange, _ *reading) { x.allowed[0].route.Scopes = []string{"Admin:Get"} }},
	} {
		for _, e := range d.upstreams {
			x := d.send(t, e, e.name, slices.Clone(raw))
			if len(x.readings) != 1 || len(x.allowed) != 1 {
				t.Fatalf("%s: %d allowed, %d seen: %q", e.name, len(x.allowed), len(x.readings), x.answers)
			}
			if tt.spoil == nil {
				if err := d.judge(x, raw); err != nil {
					t.Errorf("%s: %v", e.name, err)
				}
				continue
			}
			route := *x.allowed[0].route
			x.allowed[0].route = &route
			tt.spoil(x, x.readings[0])
			if d.judge(x, raw) == nil {
				t.Errorf("%s: %s passes", e.name, tt.name)
			}
		}
	}
}
