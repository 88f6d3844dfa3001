package grpctest

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A credential that is revoked ends its calls, at the client and at the
// server, and no others of the same connection.
func TestGRPCEnds(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	clients := server.grpcClients()
	for _, c := range clients {
		for _, transport := range transports {
			for _, tt := range []struct {
				name, method, ask string
			}{
				{"a server's stream", serverStream, "test-hold"},
				{"a bidirectional stream", bidirectional, "test-hold"},
				{"before the first answer", unary, "test-silent"},
				{"before the first answer of a stream", serverStream, "test-silent"},
			} {
				t.Run(c.name+"/"+transport.name+"/"+tt.name, func(t *testing.T) {
					open := func(client grpcClient) (string, grpcRun, *grpcRequest) {
						text, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: predictScopes})
						before := server.grpcUpstream.count()
						run := client(t, server.at(grpcCall{TLS: transport.tls, Method: tt.method, Hold: true,
							Metadata: map[string]string{"authorization": "Key " + text, tt.ask: "yes"}}))
						gatetest.Until(t, "the call at the server, or its end", func() bool { return server.grpcUpstream.count() > before || len(run.done) > 0 })
						if len(run.done) > 0 {
							t.Fatalf("the client saw %+v", <-run.done)
						}
						if tt.ask == "test-hold" {
							gatetest.Receive(t, run.first, "the first message")
						}
						return record.ID, run, server.grpcUpstream.last()
					}
					other, otherRun, otherSeen := open(clients[0].client)
					doomed, run, seen := open(c.client)
					server.Update(func(tx *keys.Tx) error { return tx.Revoke(doomed, "leaked") })
					if a := gatetest.Receive(t, run.done, "the client's end"); a.Code == codes.OK || a.Error != "" {
						t.Errorf("the client saw %+v", a)
					}
					gatetest.Receive(t, seen.ended, "the server's end")

					select {
					case <-otherSeen.ended:
						t.Error("another's call has ended too")
					default:
					}
					server.Update(func(tx *keys.Tx) error { return tx.Revoke(other, "leaked") })
					if a := gatetest.Receive(t, otherRun.done, "the other's end"); a.Code == codes.OK {
						t.Errorf("the other client saw %+v", a)
					}
					gatetest.Receive(t, otherSeen.ended, "the server's end of the other")
				})
			}
		}
	}
	gatetest.Until(t, "the empty list", func() bool { return server.Directory().Live() == 0 })
}

// A deadline reaches the server, and ends the call there too.
func TestGRPCDeadline(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	good := "Key " + server.AppKey("alice", "shop", predictScopes...)
	for _, c := range server.grpcClients() {
		for _, method := range grpcMethods {
			t.Run(c.name+"/"+method.name+"/in time", func(t *testing.T) {
				const given = time.Hour
				a := c.client.call(t, server.at(grpcCall{Method: method.name, Send: method.send, Timeout: given.Milliseconds(),
					Metadata: map[string]string{"authorization": good}}))
				if a.Code != codes.OK {
					t.Errorf("the client saw %+v", a)
				}
				if got := server.grpcUpstream.last().timeout; got <= given/2 || got > given {
					t.Errorf("the server was given %v", got)
				}
			})
			t.Run(c.name+"/"+method.name+"/too late", func(t *testing.T) {
				// Long enough for the call to reach the server first.
				const given = time.Second
				before := server.grpcUpstream.count()
				run := c.client(t, server.at(grpcCall{Method: method.name, Send: method.send, Timeout: given.Milliseconds(),
					Metadata: map[string]string{"authorization": good, "test-silent": "yes"}}))
				gatetest.Until(t, "the call at the server", func() bool { return server.grpcUpstream.count() > before })
				// The server ends the call at the same moment: what it resets
				// before the client does is a bad gateway.
				if a := gatetest.Receive(t, run.done, "the client's end"); a.Code != codes.DeadlineExceeded && a.Code != codes.Unavailable {
					t.Errorf("the client saw %+v", a)
				}
				gatetest.Receive(t, server.grpcUpstream.last().ended, "the server's end")
			})
		}
	}
}

// A client that goes away ends its call at the server.
func TestGRPCCancelled(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	good := "Key " + server.AppKey("alice", "shop", predictScopes...)
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			conn := server.dialGRPC(transport.tls)
			first, done := make(chan struct{}), make(chan grpcAnswer, 1)
			go func() {
				done <- callGRPC(conn, grpcCall{Method: bidirectional, Hold: true,
					Metadata: map[string]string{"authorization": good, "test-hold": "yes"}}, func() { close(first) })
			}()
			gatetest.Receive(t, first, "the first message")
			conn.Close()
			if a := gatetest.Receive(t, done, "the client's end"); a.Code != codes.Canceled {
				t.Errorf("the client saw %+v", a)
			}
			gatetest.Receive(t, server.grpcUpstream.last().ended, "the server's end")
		})
	}
	gatetest.Until(t, "the empty list", func() bool { return server.Directory().Live() == 0 })
}

// TestGRPCFlow sends more than what windows and buffers hold, both ways at
// once, in many messages and in large ones, whether they are looked into or
// not.
func TestGRPCFlow(t *testing.T) {
	for _, site := range sites {
		t.Run(site.name, func(t *testing.T) {
			server := startPredict(t, site.options)
			good := map[string]string{"authorization": "Key " + server.AppKey("alice", "shop", predictScopes...)}
			for _, c := range server.grpcClients() {
				for _, transport := range transports {
					for _, tt := range []struct {
						name       string
						send, size int
					}{
						{"many", 5000, 1 << 10},
						{"large", 10, 3 << 20},
					} {
						t.Run(c.name+"/"+transport.name+"/"+tt.name, func(t *testing.T) {
							a := c.client.call(t, server.at(grpcCall{TLS: transport.tls, Method: bidirectional, Metadata: good, Send: tt.send, Size: tt.size}))
							if a.Code != codes.OK || a.Received != tt.send || a.Error != "" {
								t.Errorf("the client saw %+v", a)
							}
						})
					}
				}
			}
		})
	}
}
