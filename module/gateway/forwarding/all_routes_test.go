package forwarding

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// Connection says nothing about headers but what is the connection's own.
func TestConnectionRemovesNothing(t *testing.T) {
	server := gatetest.Start(t, "route * /v2/inputs", "request_header X-Tenant {http.auth.user.owner_id}")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	auth := "Authorization: Key " + server.AppKey("alice", "shop")
	for _, name := range []string{"X-Tenant", "Content-Type", "X-Forwarded-For", "x-caller-app-id", "keep-alive, X-Tenant"} {
		server.Raw("POST /v2/inputs HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n" + auth + "\r\nConnection: " + name + "\r\n\r\n")
		h := server.Upstream.Last().Header
		if h.Get("X-Tenant") != "alice" || h.Get("Content-Type") != "text/plain" || h.Get("X-Forwarded-For") == "" || h.Get("X-Caller-App-Id") != "shop" {
			t.Errorf("Connection: %s removed something: %v", name, h)
		}
	}
}

// Preflights of gRPC methods and of escaped slashes are answered like others,
// and every refusal to an allowed origin can be read.
func TestCORSOfAllRoutes(t *testing.T) {
	server := gatetest.Start(t, `
		route grpc /pkg.Service/Method
		route GET /v2/files/{name} {
			allow encoded_slash
		}
		errors caddy
		cors https://app.example.com`, "handle_errors {\nrespond \"handled\"\n}")
	const origin = "Origin: https://app.example.com"
	for _, tt := range []struct {
		method, target string
		lines          []string
		status         int
	}{
		{"OPTIONS", "/pkg.Service/Method", []string{"Access-Control-Request-Method: POST"}, 204},
		{"OPTIONS", "/v2/files/a%2Fb", []string{"Access-Control-Request-Method: GET"}, 204},
		{"OPTIONS", "/v2/files/a%2F..%2Fb", []string{"Access-Control-Request-Method: GET"}, 400},
		{"GET", "/v2//files", nil, 400},
		{"GET", "/v2/files/x", nil, 401},
	} {
		a := server.Ask(gatetest.Client(t, "HTTP/1.1"), tt.method, tt.target, append(tt.lines, origin)...)
		if a.StatusCode != tt.status || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("%s %s is answered %s %v", tt.method, tt.target, a.Status, a.Header)
		}
	}
}
