package decisions

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// hiddenNames are messages in which a stranger named alice's app main, or took
// an app back, where the gate didn't look and upstreams did.
var hiddenNames = []struct {
	name, message string
	method        string // the only one whose schema this is for, if any
}{
	{"owner and app as fixed64", "0a120905616c696365780011046d61696e7a0100", ""},
	{"the owner as fixed32", "0a0e0d0a616c6963652d636f72702064", ""},
	{"behind a number of another wire type", "120f0a0d0a05616c69636512046d61696e", "/clarifai.api.V2/ListModels"},
	{"behind an int64 of another wire type", "4a0f0a0d0a05616c69636512046d61696e", "/pkg.Service/Method"},
	{"behind an over-long length of an unknown field", "827d8080808080007a110a0f0a0d0a05616c69636512046d61696e", ""},
	{"behind an over-long varint of an unknown field", "807d808080808080000a0d0a05616c69636512046d61696e", ""},
	{"in a submessage that overruns its end", "0a030a05616c69636512046d61696e", ""},
	{"in a group", "0b0a05616c69636512046d61696e0c", ""},
	{"two messages, the second takes the app back", "0a0b0a03626f6212046661726d0a021200", ""},
	{"the owner twice", "0a0c0a03626f620a05616c696365", ""},
}

// A name in a gRPC message can't hide from the gate, with the shipped table nor
// with descriptors of one's own, in the first message nor in a later one.
func TestOwnersCannotHideInMessages(t *testing.T) {
	server := gatetest.Start(t, `
		include clarifai
		route grpc /pkg.Service/Method Inputs:Get
		owner_message /pkg.Service/Method user_app_id.user_id=1.1 user_app_id.app_id=1.2
		descriptors ../../../testdata/proto/service.binpb`)
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "main")
	server.AddApp("bob", "farm")
	key := "Authorization: Key " + server.AppKey("bob", "farm", "All")
	own := gatetest.Frame(0, gatetest.UserApp("bob", "farm"))
	for _, method := range []string{"/clarifai.api.V2/ListModels", "/clarifai.api.V2/PostInputs", "/pkg.Service/Method"} {
		for _, contentType := range []string{"application/grpc", "application/grpc-web+proto"} {
			for _, tt := range hiddenNames {
				if tt.method != "" && tt.method != method {
					continue
				}
				t.Run(method+"/"+contentType+"/"+tt.name, func(t *testing.T) {
					message, err := hex.DecodeString(tt.message)
					if err != nil {
						t.Fatal(err)
					}
					for _, before := range [][]byte{nil, own} {
						body := bytes.NewReader(append(bytes.Clone(before), gatetest.Frame(0, message)...))
						a := server.AskBody(gatetest.Client(t, "HTTP/2"), "POST", method, body, key, "Content-Type: "+contentType, "Te: trailers")
						if got := a.Header.Get("Grpc-Status"); got != "3" {
							t.Errorf("behind %d bytes: answered %s, grpc-status %q", len(before), a.Status, got)
						}
						// The upstream's view of a stream comes late.
						if a.Forwarded != nil && !strings.HasPrefix(string(own), a.Forwarded.Body) {
							t.Errorf("behind %d bytes: the upstream saw %q", len(before), a.Forwarded.Body)
						}
					}
				})
			}
		}
	}
}

// Only gRPC reaches the path of a method with watched fields, because servers
// of Connect and Twirp answer the same path.
func TestOnlyGRPCReachesAWatchedMethod(t *testing.T) {
	server := gatetest.Start(t, strings.Replace(ownerSite, "route grpc /pkg.Service/Method Inputs:Get", "route * /pkg.Service/{m} Inputs:Get", 1))
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	key := "Authorization: Key " + server.AppKey("alice", "shop", "All")
	const watched, other = "/pkg.Service/Method", "/pkg.Service/Unwatched"
	message := string(gatetest.UserApp("bob", "farm"))
	for _, tt := range []struct {
		name, method, target, contentType, body string
		status                                  int
	}{
		{"gRPC", "POST", watched, "application/grpc", string(gatetest.Frame(0, gatetest.UserApp("alice", "shop"))), 200},
		{"Connect", "POST", watched, "application/proto", message, 415},
		{"Connect, JSON", "POST", watched, "application/json", `{"userAppId":{"userId":"bob"}}`, 415},
		{"Connect, a stream", "POST", watched, "application/connect+proto", string(gatetest.Frame(0, gatetest.UserApp("bob", "farm"))), 415},
		{"Connect, a stream of JSON", "POST", watched, "application/connect+json", `{}`, 415},
		{"Connect by GET", "GET", watched + "?connect=v1&encoding=json&message=%7B%7D", "", "", 415},
		{"Connect by GET, called gRPC", "GET", watched + "?connect=v1&encoding=json&message=%7B%7D", "application/grpc", "", 415},
		{"Twirp", "POST", watched, "application/protobuf", message, 415},
		{"octet-stream", "POST", watched, "application/octet-stream", message, 415},
		{"gRPC's frames under another type", "POST", watched, "text/plain", string(gatetest.Frame(0, gatetest.UserApp("bob", "farm"))), 415},
		{"without a type", "POST", watched, "", message, 415},
		{"JSON on a path without watched fields", "POST", other, "application/json", `{}`, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := []string{key}
			if tt.contentType != "" {
				lines = append(lines, "Content-Type: "+tt.contentType)
			}
			a := server.AskBody(gatetest.Client(t, "HTTP/2"), tt.method, tt.target, strings.NewReader(tt.body), lines...)
			if a.StatusCode != tt.status || (a.Forwarded != nil) != (tt.status == http.StatusOK) {
				t.Errorf("answered %s %s, the upstream saw %+v; want %d", a.Status, a.Text, a.Forwarded, tt.status)
			}
		})
	}
}
