package grpctest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// TestGRPC has grpc-go and Clarifai's published client call all kinds of
// methods.
func TestGRPC(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	cases := server.grpcCases(unary, serverStream, bidirectional)
	for _, c := range server.grpcClients() {
		for _, transport := range transports {
			for _, method := range grpcMethods {
				for _, tt := range cases {
					t.Run(strings.Join([]string{c.name, transport.name, method.name, tt.name}, "/"), func(t *testing.T) {
						before := server.grpcUpstream.count()
						a := c.client.call(t, server.at(grpcCall{TLS: transport.tls, Method: method.name, Metadata: tt.metadata, Send: method.send}))
						tt.check(t, a, method.received)
						tt.checkInfo(t, a)
						if reached := server.grpcUpstream.count() - before; reached != 0 != (tt.code == codes.OK) {
							t.Fatalf("%d calls reached the server", reached)
						}
						if tt.code != codes.OK {
							return
						}
						seen := server.grpcUpstream.last()
						if seen.method != clarifaiService+method.name || !slices.Equal(seen.metadata["x-caller-user-id"], []string{"alice"}) {
							t.Errorf("the server saw %s, of %v", seen.method, seen.metadata)
						}
						if seen.metadata["authorization"] != nil || seen.metadata["x-clarifai-session-token"] != nil {
							t.Error("the credential reached the server")
						}
						fromUpstream(t, a)
					})
				}
			}
		}
	}
}

// A call that has no route is refused in gRPC's way too.
func TestGRPCRoutes(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	client := server.goClient()
	good := map[string]string{"authorization": "Key " + server.AppKey("alice", "shop", "All")}
	for _, tt := range []struct {
		name, method string
		metadata     map[string]string
		code         codes.Code
	}{
		{"no such method", clarifaiService + "NoSuchMethod", good, codes.Unimplemented},
		{"no such service", "/pkg.Service/Method", good, codes.Unimplemented},
		{"no such method, and no key", clarifaiService + "NoSuchMethod", nil, codes.Unauthenticated},
		{"another kind of key", clarifaiService + "StreamLogEntries", good, codes.PermissionDenied},
		{"public", clarifaiService + "ListStatusCodes", nil, codes.OK},
		{"public, with a key", clarifaiService + "ListStatusCodes", good, codes.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := server.grpcUpstream.count()
			a := client.call(t, server.at(grpcCall{Method: tt.method, Metadata: tt.metadata}))
			if a.Code != tt.code || a.Error != "" {
				t.Errorf("the client saw %+v, want %v", a, tt.code)
			}
			if reached := server.grpcUpstream.count() - before; reached != 0 != (tt.code == codes.OK) {
				t.Fatalf("%d calls reached the server", reached)
			}
			if tt.code == codes.OK && server.grpcUpstream.last().metadata["authorization"] != nil {
				t.Error("the credential reached the server")
			}
		})
	}
}

// A route may need more scopes than clients take headers for: the status comes
// with its message, and with the details where there is room.
func TestGRPCManyScopes(t *testing.T) {
	scopes := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("Scope%03d:Get", i))
		}
		return list
	}
	server := startPredict(t, "route grpc "+clarifaiService+unary+" "+strings.Join(scopes(60), " ")+
		"\nroute grpc "+clarifaiService+serverStream+" "+strings.Join(scopes(250), " "))
	key := map[string]string{"authorization": "Key " + server.AppKey("alice", "shop")}
	for _, c := range server.grpcClients() {
		for _, tt := range []struct {
			method  string
			scopes  int
			details bool
		}{{unary, 60, true}, {serverStream, 250, false}} {
			t.Run(fmt.Sprintf("%s/%d", c.name, tt.scopes), func(t *testing.T) {
				a := c.client.call(t, server.at(grpcCall{Method: tt.method, Metadata: key}))
				if a.Code != codes.PermissionDenied || !strings.Contains(a.Message, strings.Join(scopes(tt.scopes), ", ")+".") {
					t.Errorf("the client saw %v %s", a.Code, a.Message)
				}
				if got := len(a.Details) > 0; got != tt.details {
					t.Errorf("details: %v, want %v", got, tt.details)
				}
			})
		}
	}
}

// TestGRPCUpstreamStatus: what the server ends a call with is what the client
// gets, behind messages and without any.
func TestGRPCUpstreamStatus(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	good := "Key " + server.AppKey("alice", "shop", predictScopes...)
	for _, c := range server.grpcClients() {
		for _, method := range grpcMethods {
			for _, when := range []string{"alone", "behind messages"} {
				t.Run(c.name+"/"+method.name+"/"+when, func(t *testing.T) {
					a := c.client.call(t, server.at(grpcCall{Method: method.name, Send: method.send,
						Metadata: map[string]string{"authorization": good, "test-status": when}}))
					if a.Code != codes.ResourceExhausted || a.Message != "upstream: 100 % ü\nenough" || a.Error != "" {
						t.Fatalf("the client saw %+v", a)
					}
					if len(a.Details) != 1 || a.Details[0].Type != "google.rpc.ErrorInfo" {
						t.Errorf("the client saw the details %v", a.Details)
					}
					if when == "behind messages" {
						fromUpstream(t, a)
					}
				})
			}
		}
	}
}

// Compressed messages pass unchanged if the gate doesn't read messages, and are
// refused if it does.
func TestGRPCCompressed(t *testing.T) {
	for _, site := range sites {
		t.Run(site.name, func(t *testing.T) {
			server := startPredict(t, site.options)
			good := map[string]string{"authorization": "Key " + server.AppKey("alice", "shop", predictScopes...)}
			conn := server.dialGRPC(false)
			for _, method := range grpcMethods {
				a := callGRPC(conn, grpcCall{Method: method.name, Metadata: good, Send: method.send, Size: 64 << 10}, nil, grpc.UseCompressor(gzip.Name))
				if site.options == plainSite {
					if a.Code != codes.OK || a.Received != method.received || a.Error != "" {
						t.Errorf("%s: the client saw %+v", method.name, a)
					}
				} else if a.Code != codes.InvalidArgument || !strings.Contains(a.Message, "Send it uncompressed.") {
					t.Errorf("%s: the client saw %+v", method.name, a)
				}
			}
		})
	}
}

// A message about what the caller has no right to ends a stream, the first
// with the reason, and one that comes when the server has begun to answer.
func TestGRPCOtherOwner(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	good := map[string]string{"authorization": "Key " + server.AppKey("alice", "shop", predictScopes...)}
	for _, c := range server.grpcClients() {
		for _, transport := range transports {
			for _, method := range grpcMethods {
				t.Run(c.name+"/"+transport.name+"/"+method.name+"/the first", func(t *testing.T) {
					before := server.grpcUpstream.count()
					a := c.client.call(t, server.at(grpcCall{TLS: transport.tls, Method: method.name, Metadata: good, Send: method.send, Other: 1}))
					if a.Code != codes.PermissionDenied || !strings.Contains(a.Message, "no right to what the request addresses") || a.Received != 0 {
						t.Errorf("the client saw %+v", a)
					}
					if server.grpcUpstream.count() != before {
						t.Error("it reached the server")
					}
				})
			}
			t.Run(c.name+"/"+transport.name+"/"+bidirectional+"/a later", func(t *testing.T) {
				a := c.client.call(t, server.at(grpcCall{TLS: transport.tls, Method: bidirectional, Metadata: good, Send: 3, Other: 2, Await: true}))
				if a.Code == codes.OK || a.Received > 1 || a.Error != "" {
					t.Errorf("the client saw %+v", a)
				}
				gatetest.Receive(t, server.grpcUpstream.last().ended, "the server's end")
			})
		}
	}
}

// TestGRPCHeaders is what only a server of HTTP sees of a call.
func TestGRPCHeaders(t *testing.T) {
	server := startPredict(t, "route grpc /raw.Service/Method Raw:Get")
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := rw.Header()
		h.Set("Content-Type", "application/grpc")
		_, _ = rw.Write(gatetest.Frame(0, newAnswer(1, "")))
		h.Set(http.TrailerPrefix+"Grpc-Status", "9")
		h.Set(http.TrailerPrefix+"Grpc-Message", "not now")
	})
	text, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Raw:Get"}})
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			conn := server.dialGRPC(transport.tls)
			a := callGRPC(conn, grpcCall{Method: "/raw.Service/Method", Timeout: time.Hour.Milliseconds(), Metadata: map[string]string{
				"authorization": "Key " + text, "x-caller-user-id": "forged", "x_caller.app-id": "forged", "some": "value", "some-bin": "AP8=",
			}}, nil, grpc.UseCompressor(gzip.Name))
			if a.Code != codes.FailedPrecondition || a.Message != "not now" || a.Received != 1 {
				t.Fatalf("the client saw %+v", a)
			}
			seen := server.Upstream.Last()
			if seen.Proto != "HTTP/2.0" || seen.Method != http.MethodPost || seen.URI != "/raw.Service/Method" {
				t.Errorf("the upstream saw %s %s %s", seen.Method, seen.URI, seen.Proto)
			}
			for name, want := range map[string]string{
				"Te": "trailers", "Content-Type": "application/grpc", "Grpc-Encoding": "gzip", "Some": "value", "Some-Bin": "AP8",
				"X-Caller-User-Id": "alice", "X-Caller-App-Id": "shop", "X-Caller-Key-Id": record.ID, "Authorization": "", "X_caller.app-Id": "",
			} {
				if got := strings.Join(seen.Header[name], "|"); got != want {
					t.Errorf("the upstream saw %s %q, want %q", name, got, want)
				}
			}
			if got := seen.Header.Get("Grpc-Timeout"); got == "" {
				t.Error("the deadline didn't reach the upstream")
			}
			if got := seen.Header.Get("User-Agent"); !strings.HasPrefix(got, "grpc-go/") {
				t.Errorf("the upstream saw the user agent %q", got)
			}
		})
	}
}
