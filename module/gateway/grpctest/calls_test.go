package grpctest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/protobuf/proto"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// predictScopes are what the three methods need.
var predictScopes = []string{"Apps:Get", "Concepts:Get", "Models:Get", "Predict"}

// clarifaiSite has Clarifai's table, and looks into the messages of the three
// methods.
const clarifaiSite = `
	include clarifai
	owner_message /clarifai.api.V2/PostModelOutputs     user_app_id.user_id=1.1 user_app_id.app_id=1.2
	owner_message /clarifai.api.V2/GenerateModelOutputs user_app_id.user_id=1.1 user_app_id.app_id=1.2
	owner_message /clarifai.api.V2/StreamModelOutputs   user_app_id.user_id=1.1 user_app_id.app_id=1.2
	owner_limit   8MiB`

// plainSite has the same three methods, and looks into no message.
const plainSite = `
	session_header X-Clarifai-Session-Token
	route grpc /clarifai.api.V2/PostModelOutputs     Apps:Get Concepts:Get Models:Get Predict
	route grpc /clarifai.api.V2/GenerateModelOutputs Apps:Get Concepts:Get Models:Get Predict
	route grpc /clarifai.api.V2/StreamModelOutputs   Apps:Get Concepts:Get Models:Get Predict`

// sites are both.
var sites = []struct{ name, options string }{{"looked into", clarifaiSite}, {"not looked into", plainSite}}

func startPredict(t *testing.T, options string) *grpcServer {
	t.Helper()
	server := startGRPC(t, options)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	return server
}

// grpcCase is a credential that is sent and what comes of it.
type grpcCase struct {
	name     string
	metadata map[string]string
	code     codes.Code
	message  string // that the answer's has, among others
	// info is what the details say, less req_id.
	info map[string]string
}

// grpcCases are of calls of these methods, whose needs are predictScopes.
func (server *grpcServer) grpcCases(methods ...string) []grpcCase {
	server.T.Helper()
	var endpoints []string
	for _, m := range methods {
		endpoints = append(endpoints, clarifaiService+m)
	}
	key := func(c keys.Credential) map[string]string {
		if c.Kind = policy.AppKey; c.UserID == "" {
			c.UserID, c.AppID = "alice", "shop"
		}
		text, _ := server.AddCredential(c)
		return map[string]string{"authorization": "Key " + text}
	}
	good := server.AppKey("alice", "shop", predictScopes...)
	revoked, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: predictScopes})
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(record.ID, "leaked") })
	disabled, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: predictScopes})
	server.ChangeCredential(record.ID, func(c *keys.Credential) { c.Disabled = true })
	never, _ := credential.Mint("ca", policy.AppKey)
	reason := func(code int, reason string) map[string]string {
		return map[string]string{"code": strconv.Itoa(code), "reason": reason}
	}
	lacking := func(name, value string) map[string]string {
		return map[string]string{"code": "11007", "reason": "API_KEY_HAS_INSUFFICIENT_SCOPES", name: value}
	}
	var (
		unknown = reason(11009, "API_KEY_NOT_FOUND")
		invalid = reason(11008, "API_KEY_NOT_VALID")
		bad     = reason(11102, "INVALID_REQUEST")
	)
	return []grpcCase{
		{name: "allowed", metadata: map[string]string{"authorization": "Key " + good}},
		{name: "allowed, as a bearer token", metadata: map[string]string{"authorization": "Bearer " + good}},
		{name: "allowed, by endpoint", metadata: key(keys.Credential{Scopes: predictScopes, Endpoints: endpoints})},
		{name: "allowed, a personal access token", metadata: map[string]string{"authorization": "Key " + server.PAT("alice", predictScopes...)}},
		{name: "allowed, a session", metadata: map[string]string{"x-clarifai-session-token": server.Session("alice")}},
		{name: "a missing scope", metadata: key(keys.Credential{Scopes: []string{"Apps:Get", "Concepts:Get", "Models:Get"}}),
			code: codes.PermissionDenied, message: "missing scopes Predict", info: lacking("missing_scopes", "Predict")},
		{name: "several missing scopes", metadata: key(keys.Credential{Scopes: []string{"Apps:Get", "Inputs:Get"}}),
			code: codes.PermissionDenied, message: "missing scopes Concepts:Get, Models:Get, Predict",
			info: lacking("missing_scopes", "Concepts:Get Models:Get Predict")},
		{name: "another endpoint", metadata: key(keys.Credential{Scopes: predictScopes, Endpoints: []string{clarifaiService + "ListInputs"}}),
			code: codes.PermissionDenied, message: "missing endpoints " + clarifaiService, info: lacking("missing_endpoints", clarifaiService)},
		{name: "an unknown key", metadata: map[string]string{"authorization": "Key " + never},
			code: codes.Unauthenticated, message: "There is no such credential, or it was revoked.", info: unknown},
		{name: "a revoked key", metadata: map[string]string{"authorization": "Key " + revoked},
			code: codes.Unauthenticated, message: "There is no such credential, or it was revoked.", info: unknown},
		{name: "a disabled key", metadata: map[string]string{"authorization": "Key " + disabled},
			code: codes.Unauthenticated, message: "The credential is disabled.", info: invalid},
		{name: "no key", code: codes.Unauthenticated, message: "Send the header Authorization: Key YOUR_KEY.", info: bad},
		{name: "a malformed key", metadata: map[string]string{"authorization": "Key " + good + " " + good},
			code: codes.InvalidArgument, message: "The credential is malformed.", info: bad},
		{name: "two credentials", metadata: map[string]string{"authorization": "Key " + good, "x-clarifai-session-token": good},
			code: codes.InvalidArgument, message: "More than one credential was sent.", info: bad},
	}
}

// check compares what a client saw with what was to come of it.
func (c *grpcCase) check(t *testing.T, a grpcAnswer, messages int) {
	t.Helper()
	if a.Error != "" || a.Code != c.code || !strings.Contains(a.Message, c.message) {
		t.Fatalf("the client saw %+v, want %v %s", a, c.code, c.message)
	}
	if c.code != codes.OK {
		messages = 0
	}
	if a.Received != messages {
		t.Errorf("the client got %d messages, want %d", a.Received, messages)
	}
}

// checkInfo compares the details.
func (c *grpcCase) checkInfo(t *testing.T, a grpcAnswer) {
	t.Helper()
	if c.info == nil {
		if len(a.Details) > 0 {
			t.Errorf("the client saw the details %v", a.Details)
		}
		return
	}
	var info errdetails.ErrorInfo
	if len(a.Details) != 1 || a.Details[0].Type != "google.rpc.ErrorInfo" || proto.Unmarshal(a.Details[0].Value, &info) != nil {
		t.Fatalf("the client saw the details %v", a.Details)
	}
	got := info.Metadata
	if got["req_id"] == "" || info.Domain != "caddy-api-keys" {
		t.Errorf("the details are %v", &info)
	}
	delete(got, "req_id")
	got["reason"] = info.Reason
	want := c.info
	if want["missing_endpoints"] != "" {
		want = maps.Clone(want)
		want["missing_endpoints"] = got["missing_endpoints"]
		if !strings.HasPrefix(got["missing_endpoints"], clarifaiService) {
			t.Errorf("the missing endpoints are %q", got["missing_endpoints"])
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the details are %v, want %v", got, want)
	}
}

// transports are the ways to a site.
var transports = []struct {
	name string
	tls  bool
}{{"h2c", false}, {"TLS", true}}

// grpcMethods are the kinds of calls, and how many messages come of one.
var grpcMethods = []struct {
	name           string
	send, received int
}{{unary, 1, 1}, {serverStream, 1, answersPerMessage}, {bidirectional, 5, 5}}

type namedClient struct {
	name   string
	client grpcClient
}

func (server *grpcServer) grpcClients() []namedClient {
	server.T.Helper()
	return []namedClient{{"grpc-go", server.goClient()}, {"clarifai-nodejs-grpc", server.nodeClients()("clarifai")}}
}

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

// fromUpstream checks the metadata that the stand-in gives.
func fromUpstream(t *testing.T, a grpcAnswer) {
	t.Helper()
	binary := encodeBinary([]byte("\x00\xff,"))
	if a.Header["from"] != "upstream" || a.Header["from-bin"] != binary {
		t.Errorf("the header is %v", a.Header)
	}
	if a.Trailer["after"] != "upstream" || a.Trailer["after-bin"] != binary {
		t.Errorf("the trailer is %v", a.Trailer)
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
					open := func(client grpcClient) (string, grpcRun, *grpcSeen) {
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

// What is compressed passes as it is where it isn't looked into, and is
// refused where it is.
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
