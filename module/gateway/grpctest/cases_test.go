package grpctest

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/caddy-api-keys/gateway/module/credential"
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

// fromUpstream checks the metadata that the upstream gives.
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
