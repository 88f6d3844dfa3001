package attacks

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// A content type that resembles gRPC without being gRPC is refused.
func TestContentTypesThatResembleGRPC(t *testing.T) {
	server := gatetest.Start(t, "route grpc /pkg.Service/Method Weak\nroute POST /pkg.Service/{rest=**} Strong")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	auth := "Authorization: Key " + server.AppKey("alice", "shop", "Weak")
	for _, tt := range []struct {
		contentType string
		reached     bool
	}{
		{"application/grpc", true},
		{"application/grpc+proto", true},
		{"application/grpc; charset=utf-8", true},
		{"application/grpc\t;x=y", true},
		{"Application/GRPC", true},
		{"application/grpc-web-text", true},
		{"application/grpcfoo", false},
		{"application/grpc/x", false},
		{"application/grpc-we", false},
		{"application/json", false},
	} {
		before := server.Upstream.Count()
		server.Raw("POST /pkg.Service/Method HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + auth + "\r\nContent-Type: " + tt.contentType + "\r\n\r\n")
		if reached := server.Upstream.Count() > before; reached != tt.reached {
			t.Errorf("%q: reached %v", tt.contentType, reached)
		}
	}
}

// A gRPC refusal is HTTP 200, so no client gets one that asks otherwise: one
// that put the gate behind a sub-request would let all in.
func TestOnlyCallsAreRefusedAsGRPC(t *testing.T) {
	server := gatetest.Start(t, "route GET /check Admin")
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} {
		if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), method, "/check", "Content-Type: application/grpc"); a.StatusCode != 401 {
			t.Errorf("%s is answered %s", method, a.Status)
		}
	}
}

// Error routes may lead to an upstream too. No credential and no trailer gets
// there.
func TestErrorRoutes(t *testing.T) {
	var mu sync.Mutex
	var saw []string
	third := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		saw = append(saw, fmt.Sprint(r.RequestURI, r.Header, r.Trailer))
	}))
	defer third.Close()
	server := gatetest.Start(t, "route * /v2/inputs Inputs:Get\nerrors caddy\nsession_header X-Clarifai-Session-Token\ncredential query api_key\ncredential header X-Api-Key",
		"handle_errors {\nreverse_proxy "+third.Listener.Addr().String()+"\n}")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	good, lacking := server.AppKey("alice", "shop", "Inputs:Get"), server.AppKey("alice", "shop")
	c := gatetest.Client(t, "HTTP/1.1")
	server.Ask(c, "GET", "/v2/inputs", "Authorization: Key "+lacking)
	server.Ask(c, "GET", "/v2/inputs", "X-Api-Key: "+lacking)
	server.Ask(c, "GET", "/v2/inputs", "X-Clarifai-Session-Token: "+lacking)
	server.Ask(c, "GET", "/v2/inputs?api_key="+lacking)
	server.Raw("POST /v2/inputs HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + lacking + "\r\nTrailer: X-Caller-User-Id\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Caller-User-Id: evil\r\n\r\n")
	server.SendHTTP2("POST", "/v2/inputs", []byte("hello"), "authorization: Key "+lacking, "trailer: x-caller-user-id", "", "x-caller-user-id: evil")
	// An upstream that fails leads there as well.
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	server.Ask(c, "GET", "/v2/inputs", "Authorization: Key "+good)
	server.Ask(c, "GET", "/v2/inputs?api_key="+good+"&page=1")
	mu.Lock()
	defer mu.Unlock()
	if len(saw) != 8 {
		t.Errorf("%d requests came to the error route", len(saw))
	}
	for _, s := range saw {
		if strings.Contains(s, good) || strings.Contains(s, lacking) || strings.Contains(s, "evil") {
			t.Errorf("the error route was shown %s", s)
		}
	}
}
