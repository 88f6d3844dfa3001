package gateway_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
)

// A body that names someone else, or can't be looked into, is handed on byte
// for byte in shadow mode, and so is the rest of a stream.
func TestShadowOfBodies(t *testing.T) {
	w := start(t, ownerSite+"\nmode shadow")
	w.user("alice", "bob")
	w.app("alice", "shop")
	w.app("bob", "farm")
	key := "Authorization: Key " + w.key("alice", "shop", "All")
	const grpcCall, plain = "Content-Type: application/grpc", "Content-Type: application/json"
	own, other := grpcFrame(0, userApp("alice", "shop")), grpcFrame(0, userApp("bob", "farm"))
	compressed := grpcFrame(1, userApp("bob", "farm"))
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
		for _, protocol := range protocols {
			t.Run(tt.name+" over "+protocol, func(t *testing.T) {
				w.t = t
				body := struct{ io.Reader }{bytes.NewReader(tt.body)} // of unknown length, as a stream's
				a := w.askBody(client(t, protocol), "POST", tt.target, body, key, tt.contentType)
				if a.seen == nil || a.seen.body != string(tt.body) {
					t.Fatalf("answered %s %s, and the upstream saw %v", a.Status, a.body, a.seen)
				}
				if told := callers(a.seen.header)["user-id"] != ""; told != (tt.want[0] == shadowlog.Allow) {
					t.Errorf("told %v", a.seen.header)
				}
				n += len(tt.want)
				got := w.decisions(n)[n-len(tt.want) : n]
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
	w.t = t
}

// A gate on trial behind one that enforces leaves what that one looks into as
// it is: a stream that names someone else later ends all the same.
func TestShadowBehindAGate(t *testing.T) {
	w := start(t, ownerSite, `api_keys {
		route GET /nothing
		identity_headers X-Trial-
		mode shadow
	}`)
	w.user("alice", "bob")
	w.app("alice", "shop")
	key := "Authorization: Key " + w.key("alice", "shop", "All")
	own, other := grpcFrame(0, userApp("alice", "shop")), grpcFrame(0, userApp("bob", "farm"))
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			w.t = t
			body := struct{ io.Reader }{bytes.NewReader(append(bytes.Clone(own), own...))}
			a := w.askBody(client(t, protocol), "POST", "/pkg.Service/Method", body, key, "Content-Type: application/grpc")
			if a.seen == nil || a.seen.body != string(own)+string(own) || callers(a.seen.header)["user-id"] != "alice" {
				t.Fatalf("answered %s %v, the upstream saw %+v", a.Status, a.Header, a.seen)
			}
			body = struct{ io.Reader }{bytes.NewReader(append(bytes.Clone(own), other...))}
			a = w.askBody(client(t, protocol), "POST", "/pkg.Service/Method", body, key, "Content-Type: application/grpc")
			if a.Header.Get("Grpc-Status") != "7" || a.seen != nil && strings.Contains(a.seen.body, "bob") {
				t.Errorf("answered %s %v, the upstream saw %+v", a.Status, a.Header, a.seen)
			}
		})
	}
	w.t = t
}
