package attacks

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// Java's client and curl --http2 ask for h2c with every request. An Upgrade
// that the site doesn't allow is dropped, whatever it says, and the request
// goes on as ordinary HTTP/1.1.
func TestUpgradesThatAreNotAllowedAreDropped(t *testing.T) {
	server := gatetest.Start(t, "route * /v2/inputs Inputs:Get\nroute * /open {\naccept public\n}")
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	auth := "Authorization: Key " + server.AppKey("alice", "shop", "Inputs:Get") + "\r\n"
	const settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
	upgrades := map[string]string{
		"h2c":                        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + settings,
		"h2c without Connection":     "Upgrade: h2c\r\n",
		"settings alone":             "Connection: HTTP2-Settings\r\n" + settings,
		"a list":                     "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
		"a list without spaces":      "Connection: upgrade\r\nUpgrade: websocket,h2c\r\n",
		"two lines":                  "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
		"websocket twice":            "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
		"websocket with a version":   "Connection: upgrade\r\nUpgrade: websocket/13\r\n",
		"TLS":                        "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
		"nothing":                    "Connection: upgrade\r\nUpgrade:\r\n",
		"two lines of Connection":    "Connection: keep-alive\r\nConnection: uPGRADE, http2-SETTINGS\r\nUpgrade: h2c\r\n" + settings,
		"websocket where it is none": "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
	}
	for _, options := range []string{"", "\nupgrade websocket", "\nmode shadow"} {
		server.Reload("route * /v2/inputs Inputs:Get\nroute * /open {\naccept public\n}" + options)
		for name, lines := range upgrades {
			if name == "websocket where it is none" && strings.Contains(options, "websocket") {
				continue
			}
			for _, row := range []struct{ request, body string }{
				{"GET /v2/inputs HTTP/1.1\r\n" + auth, ""},
				{"POST /v2/inputs HTTP/1.1\r\nContent-Length: 2\r\n" + auth, "{}"},
				{"GET /open HTTP/1.1\r\n", ""},
				{"GET /open HTTP/1.0\r\n", ""},
			} {
				before := server.Upstream.Count()
				status := server.Raw(row.request + "Host: a\r\n" + lines + "\r\n" + row.body)
				if status != 200 || server.Upstream.Count() != before+1 {
					t.Errorf("%s, %s%s: answered %d", options, row.request, name, status)
					continue
				}
				seen := server.Upstream.Last()
				for _, header := range []string{"Upgrade", "Http2-Settings", "Connection"} {
					if seen.Header[header] != nil {
						t.Errorf("%s, %s%s: the upstream saw %s: %q", options, row.request, name, header, seen.Header[header])
					}
				}
				if seen.Body != row.body {
					t.Errorf("%s: the upstream saw the body %q", name, seen.Body)
				}
			}
		}
	}
}

// HTTP/1.0 can't be upgraded, not even where websocket is allowed.
func TestHTTP10IsNotUpgraded(t *testing.T) {
	server := gatetest.Start(t, "route * /open {\naccept public\n}\nupgrade websocket")
	status := server.Raw("GET /open HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if status != 200 || server.Upstream.Last().Header["Upgrade"] != nil {
		t.Errorf("answered %d, and the upstream saw %v", status, server.Upstream.Last().Header)
	}
}

// No tunnel opens whatever the upstream answers to a request whose Upgrade was
// dropped: bytes that follow on the connection are decided like any request.
func TestNoTunnelWhateverTheUpstreamAnswers(t *testing.T) {
	server := gatetest.Start(t, "route * /open {\naccept public\n}")
	for _, protocols := range [][2]string{
		{"h2c", "Connection: Upgrade\r\nUpgrade: h2c\r\n"},
		{"websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n"},
		{"h2c", "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
		{"h2c", "Connection: Upgrade\r\n"},
		{"h2c", "Upgrade: h2c\r\n"},
		{"h2c", ""},
	} {
		got := make(chan string, 1)
		server.Upstream.AnswerWith(func(rw http.ResponseWriter, _ *http.Request) {
			conn, buf, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\n%s\r\nhello", protocols[1])
			_ = buf.Flush()
			text, _ := io.ReadAll(buf)
			got <- string(text)
		})
		conn := server.Dial("GET /open HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " + protocols[0] + "\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
			t.Errorf("%q is answered %v, %v", protocols, resp, err)
		}
		gatetest.WaitClosed(t, conn)
		if text := gatetest.Receive(t, got, "the end of the upstream's connection"); text != "" {
			t.Errorf("%q: the upstream was sent %q", protocols, text)
		}
	}
}
