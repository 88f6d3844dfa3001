package grpctest

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// grpcWebUpstream answers gRPC-Web as the upstream does gRPC: its trailers are
// the last message, and with -text all is in base64.
func grpcWebUpstream(w http.ResponseWriter, r *http.Request) {
	text := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc-web-text")
	body, err := io.ReadAll(r.Body)
	if text && err == nil {
		body, err = base64.StdEncoding.DecodeString(string(body))
	}
	if err != nil || len(body) < 5 || !bytes.Equal(gatetest.Frame(0, body[5:]), body) {
		http.Error(w, "that is no message", http.StatusBadRequest)
		return
	}
	answers := 1
	if strings.HasSuffix(r.URL.Path, serverStream) {
		answers = answersPerMessage
	}
	var out []byte
	for n := range answers {
		out = append(out, gatetest.Frame(0, newAnswer(n+1, sumOf(body[5:])))...)
	}
	out = append(out, gatetest.Frame(0x80, []byte("grpc-status: 0\r\nafter: upstream\r\n"))...)
	if text {
		out = []byte(base64.StdEncoding.EncodeToString(out))
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	_, _ = w.Write(out)
}

// TestGRPCWeb has published gRPC-Web clients call: connect-web, and grpc-web
// in a page of another origin, which reads no more than CORS shows it.
func TestGRPCWeb(t *testing.T) {
	server := startPredict(t, plainSite+"\ncors https://app.example.com")
	server.Upstream.AnswerWith(grpcWebUpstream)
	clients := server.nodeClients()
	cases := server.grpcCases(unary, serverStream)
	for _, c := range []struct {
		name    string
		methods []string
		// page: the client runs in a page of another origin, and asks first.
		page        bool
		contentType string
	}{
		{"connect-web", []string{unary, serverStream}, false, "application/grpc-web+proto"},
		{"grpc-web", []string{unary}, true, "application/grpc-web+proto"},
		{"grpc-web-text", []string{unary, serverStream}, true, "application/grpc-web-text"},
	} {
		client := clients(c.name)
		for _, transport := range transports {
			for _, method := range c.methods {
				for _, tt := range cases {
					t.Run(strings.Join([]string{c.name, transport.name, method, tt.name}, "/"), func(t *testing.T) {
						before := server.Upstream.Count()
						a := client.call(t, server.at(grpcCall{TLS: transport.tls, Method: method, Metadata: tt.metadata}))
						messages := 1
						if method == serverStream {
							messages = answersPerMessage
						}
						tt.check(t, a, messages)
						if !c.page {
							tt.checkInfo(t, a)
						}
						if reached := server.Upstream.Count() - before; reached != 0 != (tt.code == codes.OK) {
							t.Fatalf("%d calls reached the upstream", reached)
						}
						if tt.code != codes.OK {
							return
						}
						seen := server.Upstream.Last()
						if seen.URI != clarifaiService+method || seen.Header.Get("Content-Type") != c.contentType {
							t.Errorf("the upstream saw %s of type %s", seen.URI, seen.Header.Get("Content-Type"))
						}
						if seen.Header.Get("X-Caller-User-Id") != "alice" || seen.Header["Authorization"] != nil || seen.Header["X-Clarifai-Session-Token"] != nil {
							t.Errorf("the upstream saw %v", seen.Header)
						}
						if origin := seen.Header.Get("Origin"); c.page && origin != "https://app.example.com" {
							t.Errorf("the upstream saw the origin %q", origin)
						}
					})
				}
			}
		}
	}
}

// A page of an origin that isn't allowed gets nothing through, with a good
// key too, and is shown nothing.
func TestGRPCWebOtherOrigin(t *testing.T) {
	server := startPredict(t, plainSite+"\ncors https://other.example.com")
	server.Upstream.AnswerWith(grpcWebUpstream)
	clients := server.nodeClients()
	good := map[string]string{"authorization": "Key " + server.AppKey("alice", "shop", predictScopes...)}
	for _, name := range []string{"grpc-web", "grpc-web-text"} {
		t.Run(name, func(t *testing.T) {
			a := clients(name).call(t, server.at(grpcCall{Method: unary, Metadata: good}))
			if a.Code == codes.OK || a.Code == codes.PermissionDenied || server.Upstream.Count() != 0 {
				t.Errorf("the page saw %+v; %d calls reached the upstream", a, server.Upstream.Count())
			}
		})
	}
}

// TestGRPCWebRefusals is what is in a refusal, whichever form of gRPC-Web and
// version of HTTP the client speaks: the trailers are headers, and there is no
// body.
func TestGRPCWebRefusals(t *testing.T) {
	server := startPredict(t, clarifaiSite)
	lacking := "Authorization: Key " + server.AppKey("alice", "shop", "Apps:Get", "Concepts:Get", "Models:Get")
	for _, protocol := range gatetest.Protocols {
		c := gatetest.Client(t, protocol)
		for _, tt := range []struct{ sent, answered string }{
			{"application/grpc-web", "application/grpc-web"},
			{"application/grpc-web+proto", "application/grpc-web"},
			{"application/grpc-web+json", "application/grpc-web"},
			{"application/grpc-web-text", "application/grpc-web-text"},
			{"application/grpc-web-text+proto", "application/grpc-web-text"},
			{"application/grpc", "application/grpc"},
			{"application/grpc+proto", "application/grpc"},
		} {
			t.Run(protocol+"/"+tt.sent, func(t *testing.T) {
				for _, refused := range []struct {
					lines  []string
					status codes.Code
				}{
					{[]string{lacking}, codes.PermissionDenied},
					{[]string{"Authorization: Key"}, codes.InvalidArgument},
					{nil, codes.Unauthenticated},
				} {
					body := bytes.NewReader(gatetest.Frame(0, nil))
					a := server.AskBody(c, "POST", clarifaiService+unary, body, append(refused.lines, "Content-Type: "+tt.sent, "X-Grpc-Web: 1")...)
					if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != tt.answered || a.Text != "" || a.Forwarded != nil {
						t.Errorf("answered %s %v %q", a.Status, a.Header, a.Text)
					}
					if got := a.Header.Get("Grpc-Status"); got != strconv.Itoa(int(refused.status)) {
						t.Errorf("grpc-status %s, want %d", got, refused.status)
					}
					if a.Header.Get("Grpc-Message") == "" {
						t.Error("there is no grpc-message")
					}
				}
			})
		}
	}
}

// Messages in base64 can't be looked into, and a client is told so.
func TestGRPCWebTextLookedInto(t *testing.T) {
	server := startPredict(t, clarifaiSite+"\ncors https://app.example.com")
	server.Upstream.AnswerWith(grpcWebUpstream)
	clients := server.nodeClients()
	good := map[string]string{"authorization": "Key " + server.AppKey("alice", "shop", predictScopes...)}
	for name, code := range map[string]codes.Code{
		"connect-web": codes.OK, "grpc-web": codes.OK, "grpc-web-text": codes.InvalidArgument,
	} {
		t.Run(name, func(t *testing.T) {
			a := clients(name).call(t, server.at(grpcCall{Method: unary, Metadata: good}))
			if a.Code != code || a.Error != "" {
				t.Errorf("the client saw %+v, want %v", a, code)
			}
			a = clients(name).call(t, server.at(grpcCall{Method: unary, Metadata: good, Other: 1}))
			if a.Code == codes.OK || a.Error != "" {
				t.Errorf("about another's app the client saw %+v", a)
			}
		})
	}
}
