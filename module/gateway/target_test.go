package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTargets sends what other gateways were got past with, as the bytes are
// written here. The key may all of /public and nothing else.
func TestTargets(t *testing.T) {
	w := start(t, `
		route GET /public/{rest=**} Public:Get
		route GET /admin Admin:Get
		route GET /v2/inputs/status Status:Get
		route GET /v2/inputs/{input_id} Public:Get
		route GET /v2/files/{name} Public:Get {
			allow encoded_slash
		}`)
	w.user("alice")
	w.app("alice", "shop")
	key := w.key("alice", "shop", "Public:Get")

	for _, tt := range []struct {
		class, target string
		status        int
	}{
		// The class and the advisory that told of it.
		{"no normalisation (CVE-2019-9901)", "/public/../admin", 400},
		{"no normalisation (CVE-2019-9901)", "/public/%2e%2e/admin", 400},
		{"no normalisation", "/public/%2E%2e/admin", 400},
		{"no normalisation", "/public/./x", 400},
		{"no normalisation", "/public/..", 400},
		{"escaped slash (CVE-2021-29492)", "/public/..%2fadmin", 400},
		{"escaped slash (CVE-2021-29492)", "/public%2f..%2fadmin", 400},
		{"escaped slash", "/public/a%2Fb", 400},
		{"escaped slash, where it is allowed", "/v2/files/a%2Fb", 200},
		{"escaped slash, where it is allowed", "/v2/files/a%2f..%2fb", 400},
		{"escaped slash, where it is allowed", "/v2/files/..%2fadmin", 400},
		{"escaped slash, where it is allowed", "/v2/files/a%2f%2fb", 400},
		{"escaped slash, where it is allowed", "/v2/files/%2fadmin", 400},
		{"escaped slash, where it is allowed", "/v2/files/a%2f%EF%BC%8Fb", 400},
		{"slash merge (CVE-2021-43557)", "//admin", 400},
		{"slash merge (CVE-2021-43557)", "/public//admin", 400},
		{"double decoding", "/%2561dmin", 400},
		{"double decoding", "/public/%252e%252e/admin", 400},
		{"path parameters (CVE-2020-1957)", "/admin;x=1", 400},
		{"path parameters (CVE-2020-1957)", "/;/admin", 400},
		{"path parameters (CVE-2020-1957)", "/public/..;/admin", 400},
		{"path parameters, escaped", "/public/..%3b/admin", 400},
		{"NUL", "/admin%00", 400},
		{"newline", "/admin/%0a", 400},
		{"newline", "/public/x%0d%0aX-Caller-User-Id:%20evil", 400},
		{"DEL", "/public/%7f", 400},
		{"C1 control", "/public/%c2%85", 400},
		{"backslash", `/\admin`, 400},
		{"backslash (CVE-2026-27585)", "/public%5c..%5cadmin", 400},
		{"case", "/ADMIN", 404},
		{"escaped letter", "/%41dmin", 400},
		{"escaped letter", "/v2/inputs/%73tatus", 400},
		{"suffix", "/admin/", 404},
		{"suffix", "/admin.", 404},
		{"suffix", "/admin%20", 404},
		{"invalid UTF-8", "/public/%c0%afadmin", 400},
		{"invalid UTF-8", "/public/%ff", 400},
		{"invalid escape", "/public/%zz", 400},
		{"invalid escape", "/public/%2", 400},
		{"absolute form", "http://a@b/public/x", 400},
		{"absolute form", "http://127.0.0.1/public/x", 400},
		{"asterisk form", "*", 400},
		{"no slash", "public/x", 400},
		{"query in the path", "/public/a%3fb", 400},
		{"fragment in the path", "/public/a%23b", 400},
		{"fragment in the path", "/public/a#b", 400},
		{"colon in the path", "/public/a%3ab", 400},
		{"query parsed differently", "/public/x?a=1;b=2", 400},
		{"query parsed differently", "/public/x?a=1#b", 400},
		{"lookalike of ..", "/public/%E2%80%A5/admin", 400},
		{"lookalike of .", "/public/%EF%BC%8E%EF%BC%8E/admin", 400},
		{"lookalike of /", "/public/%EF%BC%8Fadmin", 400},
		{`lookalike of \`, "/public/%EF%BC%BCadmin", 400},
		{".. among spaces", "/public/%20..%20/admin", 400},
		{".. among no-break spaces", "/public/..%C2%A0/admin", 400},
		{".. among invisible characters", "/public/.%E2%80%8B./admin", 400},

		{"plain", "/public/x", 200},
		{"rest is empty", "/public", 200},
		{"rest is empty", "/public/", 200},
		{"three dots are a name", "/public/.../x", 200},
		{"letters beyond ASCII", "/public/%C3%A9t%C3%A9/%E4%BD%A0", 200},
		{"a space in a name", "/public/a%20b", 200},
		{"reserved characters of a segment", "/public/a+b,c=d&e@f$g!h'(i)*", 200},
		{"query", "/public/x?a=1&b=%2F..%3B&c=[1]", 200},
	} {
		for _, protocol := range protocols {
			if protocol == "HTTP/2" && !strings.HasPrefix(tt.target, "/") {
				continue // :path is looked at in TestPseudoHeaders
			}
			t.Run(tt.class+" "+tt.target+"/"+protocol, func(t *testing.T) {
				before := w.upstream.count()
				status := w.send(protocol, "GET", tt.target, "Authorization: Key "+key)
				// net/http answers some by ending the stream.
				if status != tt.status && (status != 0 || protocol == "HTTP/1.1") {
					t.Errorf("answered %d, want %d", status, tt.status)
				}
				switch reached := w.upstream.count() - before; {
				case tt.status == 200 && reached != 1:
					t.Errorf("%d requests reached the upstream", reached)
				case tt.status == 200:
					if got := w.upstream.last().uri; got != tt.target {
						t.Errorf("the upstream was asked for %q", got)
					}
				case reached != 0:
					t.Errorf("it reached the upstream, as %q", w.upstream.last().uri)
				}
			})
		}
	}
}

// TestFraming sends requests whose end or method is in doubt. Whatever is
// answered, no more than one request reaches the upstream for each that the
// gate allowed, and none that it did not.
func TestFraming(t *testing.T) {
	w := start(t, "route * /public/{rest=**} Public:Get\nroute GET /admin Admin:Get")
	w.user("alice")
	w.app("alice", "shop")
	key := w.key("alice", "shop", "Public:Get")
	const smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\nX-Caller-User-Id: evil\r\n\r\n"
	for _, tt := range []struct {
		name, head, body string
		// status is that of the first answer; reached how many may reach the
		// upstream at most.
		status, reached int
	}{
		{"length and chunked", "POST /public/x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + smuggled, 0, 1},
		{"two lengths", "POST /public/x HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 70", smuggled, 400, 0},
		{"signed length", "POST /public/x HTTP/1.1\r\nContent-Length: +0", smuggled, 400, 0},
		{"an unknown coding", "POST /public/x HTTP/1.1\r\nTransfer-Encoding: xchunked", "0\r\n\r\n" + smuggled, 501, 0},
		{"chunked twice", "POST /public/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + smuggled, 501, 0},
		{"space before the colon", "POST /public/x HTTP/1.1\r\nContent-Length : 70", smuggled, 400, 0},
		{"lower-case method", "get /public/x HTTP/1.1", "", 400, 0},
		{"TRACE", "TRACE /public/x HTTP/1.1", "", 400, 0},
		{"CONNECT (GHSA-3ccp-42pg-hgv6)", "CONNECT i:22 HTTP/1.1", smuggled, 400, 0},
		{"CONNECT with a path", "CONNECT /public/x HTTP/1.1", smuggled, 400, 0},
		{"upgrade to h2c", "GET /public/x HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", smuggled, 400, 0},
		{"upgrade to websocket", "GET /public/x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", smuggled, 400, 0},
		{"upgrade to anything", "GET /public/x HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: TLS/1.0", "", 400, 0},
		{"two content types", "POST /public/x HTTP/1.1\r\nContent-Length: 0\r\nContent-Type: text/plain\r\nContent-Type: application/grpc", "", 400, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := w.upstream.count()
			status := w.raw(tt.head + "\r\nHost: " + w.addr + "\r\nAuthorization: Key " + key + "\r\n\r\n" + tt.body)
			if tt.status != 0 && status != tt.status {
				t.Errorf("answered %d, want %d", status, tt.status)
			}
			if n := w.upstream.count() - before; n > tt.reached {
				t.Errorf("%d requests reached the upstream, of which the last was %+v", n, w.upstream.last())
			}
			if n := w.upstream.count(); n > 0 && w.upstream.last().uri == "/admin" {
				t.Error("a request within a request reached the upstream")
			}
		})
	}
}

// send asks for a target exactly as it is written.
func (w *world) send(protocol, method, target string, lines ...string) int {
	w.t.Helper()
	if protocol == "HTTP/1.1" {
		text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, target, w.addr)
		return w.raw(text + strings.Join(lines, "\r\n") + "\r\n\r\n")
	}
	return w.sendHTTP2(method, target, nil, lines...).status
}

// raw writes bytes to a new connection, and answers the status that comes
// back first: 0 if the connection was closed without.
func (w *world) raw(text string) int {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
