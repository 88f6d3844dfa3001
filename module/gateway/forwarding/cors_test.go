package forwarding

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// Scripts can read what the gate answers with, what the site's expose names,
// and what the upstream and Caddy's directive header expose, each of it once.
func TestExposedHeaders(t *testing.T) {
	always := []string{"WWW-Authenticate", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "RateLimit", "RateLimit-Policy", "Retry-After"}
	server := gatetest.Start(t, "route GET /p {\naccept public\n}\ncors https://app.example.com")
	for _, row := range []struct {
		name, expose, directive string
		upstream                []string
		more                    []string
	}{
		{name: "nothing else"},
		{name: "expose", expose: "expose X-Request-Id ETag", more: []string{"X-Request-Id", "ETag"}},
		{name: "the upstream's", upstream: []string{"X-Total-Count, ETag", "x-total-count,,grpc-STATUS, X-More"}, more: []string{"X-Total-Count", "ETag", "X-More"}},
		{name: "the upstream's star", upstream: []string{"*"}, more: []string{"*"}},
		{name: "what is no name", upstream: []string{"X-A, b c, é"}, more: []string{"X-A"}},
		{name: "header", directive: "header Access-Control-Expose-Headers X-Total-Count", more: []string{"X-Total-Count"}},
		{name: "header, deferred", directive: "header >Access-Control-Expose-Headers X-Total-Count", more: []string{"X-Total-Count"}},
		{name: "header, deferred twice", directive: "header >Access-Control-Expose-Headers X-Total-Count\nheader /p {\n+Access-Control-Expose-Headers \"x-total-count, X-Other\"\ndefer\n}", more: []string{"X-Total-Count", "X-Other"}},
		{name: "all at once", expose: "expose X-Mine", directive: "header +Access-Control-Expose-Headers X-Total-Count", upstream: []string{"X-Theirs"}, more: []string{"X-Mine", "X-Total-Count", "X-Theirs"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			server.T = t
			server.Upstream.AnswerWith(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header()["Access-Control-Expose-Headers"] = row.upstream
				rw.Header().Set("Access-Control-Allow-Credentials", "true")
			})
			server.Directives = row.directive + "\nheader >Access-Control-Allow-Origin *"
			server.Reload("route GET /p {\naccept public\n}\ncors https://app.example.com {\nheaders X-In\n" + row.expose + "\n}")
			for _, protocol := range gatetest.Protocols {
				a := server.Ask(gatetest.Client(t, protocol), "GET", "/p", "Origin: https://app.example.com")
				lines := a.Header["Access-Control-Expose-Headers"]
				if len(lines) != 1 {
					t.Fatalf("answered %s %v", a.Status, a.Header)
				}
				got, want := strings.Split(lines[0], ", "), slices.Concat(always, row.more)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%s exposes %q, want %q", protocol, got, want)
				}
				if a.Header["Access-Control-Allow-Credentials"] != nil || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
					t.Errorf("others' CORS headers came through: %v", a.Header)
				}
				other := server.Ask(gatetest.Client(t, protocol), "GET", "/p", "Origin: https://evil.example.com")
				if other.Header["Access-Control-Expose-Headers"] != nil || other.Header["Access-Control-Allow-Origin"] != nil {
					t.Errorf("another origin is shown %v", other.Header)
				}
			}
		})
	}
	server.T = t
}

// A script needn't be allowed by name to send the header that the site reads
// its credential from.
func TestPreflightsAllowCredentialHeaders(t *testing.T) {
	for _, row := range []struct{ options, want string }{
		{"credential header X-API-Key", "X-Api-Key"},
		{"credential header X-API-Key\ncredential header X-Other\ncredential query api_key", "X-Api-Key, X-Other"},
		{"session_header X-Session\ncredential header X-API-Key", "X-Session, X-Api-Key"},
	} {
		server := gatetest.Start(t, "route GET /p\n"+row.options+"\ncors https://app.example.com {\nheaders x-api-key X-Trace\n}")
		a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "OPTIONS", "/p", "Origin: https://app.example.com", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-api-key")
		want := "Authorization, Content-Type, X-Grpc-Web, X-User-Agent, Grpc-Timeout, " + row.want + ", X-Trace"
		if got := a.Header.Get("Access-Control-Allow-Headers"); a.StatusCode != 204 || got != want {
			t.Errorf("%s: answered %s and allows %q, want %q", row.options, a.Status, got, want)
		}
	}
}
