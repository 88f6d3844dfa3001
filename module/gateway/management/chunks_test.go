package management

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// Bytes after malformed chunks on a connection may be anything, so they get no
// answer: neither after a call that reads its body, nor after a refused call,
// nor after the portal. With full duplex in Caddy, net/http doesn't see to
// this.
func TestManageEndsConnectionsOfMalformedChunks(t *testing.T) {
	m := startManaged(t, "api_keys_manage {\nportal /portal\n}")
	duplex := strings.Replace(m.Caddyfile(managedRoutes), "protocols h1 h2c", "protocols h1 h2c\nenable_full_duplex", 1)
	if err := m.Load(duplex); err != nil {
		t.Fatal(err)
	}
	const (
		login    = "POST /v2/login HTTP/1.1\r\n"
		smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	)
	bob := "Authorization: Key " + m.sessions["bob"] + "\r\n"
	for _, c := range []struct {
		name, head, body string
		status           int
		says             string
	}{
		{"well formed", login, "2\r\n{}\r\n0\r\n\r\n", 400, `"code":11102`},
		{"a length that is none", login, "2\r\n{}\r\nzz\r\n", 400, `"code":11100`},
		{"a chunk longer than it says", login, "1\r\n{}\r\n0\r\n\r\n", 400, `"code":11100`},
		{"a line feed alone behind a chunk", login, "2\r\n{}\n0\r\n\r\n", 400, `"code":11100`},
		{"a call that takes no body", "DELETE /v2/users/bob/apps/bob-app HTTP/1.1\r\n" + bob, "zz\r\n", 400, `"code":11100`},
		{"refused before it was read", "DELETE /v2/users/alice/apps/alice-app HTTP/1.1\r\n" + bob, "zz\r\n", 403, `"code":11008`},
		{"nobody's", "DELETE /v2/users/bob/apps/bob-app HTTP/1.1\r\n", "zz\r\n", 401, `"code":11102`},
		{"the portal's", "POST /portal/signin HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n", "2\r\na=\r\nzz\r\n", 0, ""},
		{"the gate's", "GET /v2/users/alice/apps/alice-app/inputs HTTP/1.1\r\n", "zz\r\n", 401, `"code":11102`},
	} {
		t.Run(c.name, func(t *testing.T) {
			statuses, first := m.pipelined(c.head + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n" + c.body + smuggled)
			if c.status == 0 {
				c.status = statuses[0]
			}
			if !slices.Equal(statuses, []int{c.status}) || !strings.Contains(first, c.says) {
				t.Errorf("answered %v, first %.300s, want %d with %s, and the end of the connection", statuses, first, c.status, c.says)
			}
		})
	}
	if _, a, text := m.call(m.sessions["bob"], "GET", "/v2/users/bob/apps", ""); len(a.Apps) != 1 {
		t.Errorf("of bob's apps is left %s", text)
	}
}

// pipelined writes bytes to a new connection, and answers the statuses of all
// that comes back until it ends, and the first body.
func (m *managed) pipelined(text string) (statuses []int, first string) {
	m.T.Helper()
	for end := time.Now().Add(gatetest.Deadline); len(statuses) == 0; {
		if time.Now().After(end) {
			m.T.Fatal("nothing was answered")
		}
		conn, err := net.Dial("tcp", m.Addr)
		if err != nil {
			m.T.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(end); err != nil {
			m.T.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			continue // the server before a reload took it, and ends
		}
		for in := bufio.NewReader(conn); ; {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				break
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if statuses = append(statuses, res.StatusCode); len(statuses) == 1 {
				first = string(body)
			}
		}
	}
	return statuses, first
}
