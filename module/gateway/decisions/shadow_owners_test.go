package decisions

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
)

// A body that names someone else, or can't be looked into, is handed on byte
// for byte in shadow mode, and so is the rest of a stream.
func TestShadowOfBodies(t *testing.T) {
	server := gatetest.Start(t, ownerSite+"\nmode shadow")
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	server.AddApp("bob", "farm")
	key := "Authorization: Key " + server.AppKey("alice", "shop", "All")
	const grpcCall, plain = "Content-Type: application/grpc", "Content-Type: application/json"
	own, other := gatetest.Frame(0, gatetest.UserApp("alice", "shop")), gatetest.Frame(0, gatetest.UserApp("bob", "farm"))
	compressed := gatetest.Frame(1, gatetest.UserApp("bob", "farm"))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	n := 0
	for _, tt := range []struct {
		name, target, contentType string
		body                      []byte
		want                      []string // decisions
		status                    int      // of the last
	}{
		{"JSON, own", "/v2/inputs", plain, []byte(`{"user_app_id":{"user_id":"alice"}}`), []string{shadowlog.Allow}, 0},
		{"JSON, another's", "/v2/inputs", plain, []byte(` {"user_app_id":{"user_id":"bob"}} `), []string{shadowlog.Refuse}, 403},
		{"no JSON", "/v2/inputs", plain, []byte(`<inputs/>`), []string{shadowlog.Refuse}, 400},
		{"too large", "/v2/inputs", plain, []byte(`"` + strings.Repeat("x", 2000) + `"`), []string{shadowlog.Refuse}, 413},
		{"a stream, own", "/pkg.Service/Method", grpcCall, join(own, own), []string{shadowlog.Allow}, 0},
		{"a stream, another's", "/pkg.Service/Method", grpcCall, join(other, own, other), []string{shadowlog.Refuse}, 403},
		{"a stream, compressed", "/pkg.Service/Method", grpcCall, join(compressed, own), []string{shadowlog.Refuse}, 415},
		{"a stream, another's later", "/pkg.Service/Method", grpcCall, join(own, other, other, own), []string{shadowlog.Allow, shadowlog.End}, 403},
		{"a stream, compressed later", "/pkg.Service/Method", grpcCall, join(own, compressed, other), []string{shadowlog.Allow, shadowlog.End}, 415},
		{"a stream, cut off", "/pkg.Service/Method", grpcCall, own[:len(own)-2], []string{shadowlog.Refuse}, 400},
		{"a stream of text", "/pkg.Service/Method", "Content-Type: application/grpc-web-text", []byte("AAAAAAA="), []string{shadowlog.Refuse}, 415},
	} {
		for _, protocol := range gatetest.Protocols {
			t.Run(tt.name+" over "+protocol, func(t *testing.T) {
				server.T = t
				body := struct{ io.Reader }{bytes.NewReader(tt.body)} // of unknown length, as a stream's
				a := server.AskBody(gatetest.Client(t, protocol), "POST", tt.target, body, key, tt.contentType)
				if a.Forwarded == nil || a.Forwarded.Body != string(tt.body) {
					t.Fatalf("answered %s %s, and the upstream saw %v", a.Status, a.Text, a.Forwarded)
				}
				if told := gatetest.IdentityHeaders(a.Forwarded.Header)["user-id"] != ""; told != (tt.want[0] == shadowlog.Allow) {
					t.Errorf("told %v", a.Forwarded.Header)
				}
				n += len(tt.want)
				got := decisions(server, n)[n-len(tt.want) : n]
				for i, d := range got {
					if d.Decision != tt.want[i] {
						t.Errorf("logged %+v, want %s", d, tt.want[i])
					}
				}
				want := "target" // it has more than one reading
				switch tt.status {
				case 0:
					want = ""
				case 403:
					want = "owner"
				}
				if last := got[len(got)-1]; last.Status != tt.status || last.Reason != want {
					t.Errorf("logged %+v, want status %d and reason %q", last, tt.status, want)
				}
			})
		}
	}
	server.T = t
}

// A gate on trial behind one that enforces leaves what that one looks into as
// it is: a stream that names someone else later ends all the same.
func TestShadowBehindAGate(t *testing.T) {
	server := gatetest.Start(t, ownerSite, `api_keys {
		route GET /nothing
		identity_headers X-Trial-
		mode shadow
	}`)
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	key := "Authorization: Key " + server.AppKey("alice", "shop", "All")
	own, other := gatetest.Frame(0, gatetest.UserApp("alice", "shop")), gatetest.Frame(0, gatetest.UserApp("bob", "farm"))
	for _, protocol := range gatetest.Protocols {
		t.Run(protocol, func(t *testing.T) {
			server.T = t
			body := struct{ io.Reader }{bytes.NewReader(append(bytes.Clone(own), own...))}
			a := server.AskBody(gatetest.Client(t, protocol), "POST", "/pkg.Service/Method", body, key, "Content-Type: application/grpc")
			if a.Forwarded == nil || a.Forwarded.Body != string(own)+string(own) || gatetest.IdentityHeaders(a.Forwarded.Header)["user-id"] != "alice" {
				t.Fatalf("answered %s %v, the upstream saw %+v", a.Status, a.Header, a.Forwarded)
			}
			body = struct{ io.Reader }{bytes.NewReader(append(bytes.Clone(own), other...))}
			a = server.AskBody(gatetest.Client(t, protocol), "POST", "/pkg.Service/Method", body, key, "Content-Type: application/grpc")
			if a.Header.Get("Grpc-Status") != "7" || a.Forwarded != nil && strings.Contains(a.Forwarded.Body, "bob") {
				t.Errorf("answered %s %v, the upstream saw %+v", a.Status, a.Header, a.Forwarded)
			}
		})
	}
	server.T = t
}
