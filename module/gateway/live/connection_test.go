package live

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A connection that is kept says nothing for the next request on it.
func TestTheNextRequestOnAConnection(t *testing.T) {
	s := startServer(t, liveSite)
	for _, protocol := range []string{"h1", "h1s"} {
		c := s.newClient(t, protocol)
		for _, loss := range losses {
			if loss.name == "expires" || loss.name == "rotated with grace" {
				continue // the end may come in the middle of a request, and closes the connection
			}
			t.Run(protocol+"/"+loss.name, func(t *testing.T) {
				doomed, other := s.newAffected(loss.make, loss.near)
				conn, err := c.dial()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(gatetest.Deadline)); err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(conn)
				ask := func(as *keyUse) int {
					fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: Key %s\r\n\r\n", as.path(), as.text)
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					return resp.StatusCode
				}
				if status := ask(&doomed.keyUse); status != http.StatusOK {
					t.Fatalf("the first request is answered %d", status)
				}
				s.Update(func(tx *keys.Tx) error { return loss.do(tx, &doomed) })
				if status := ask(&doomed.keyUse); status != http.StatusUnauthorized && status != http.StatusForbidden {
					t.Errorf("the next request is answered %d", status)
				}
				if status := ask(&other); status != http.StatusOK {
					t.Errorf("another's on the connection is answered %d", status)
				}
			})
		}
	}
}

// Bytes after a live request are discarded once the request is ended.
func TestNothingFollowsAnEndedRequest(t *testing.T) {
	s := startServer(t, liveSite)
	doomed, _ := s.newAffected(nil, true)
	first, live := s.newSide()
	second, follows := s.newSide()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(gatetest.Deadline)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{first, second} {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nPart: %s\r\nKind: events\r\nAuthorization: Key %s\r\n\r\n", doomed.path(), name, doomed.text)
	}
	gatetest.Receive(t, live.ready, "the first request at the upstream")
	s.Update(func(tx *keys.Tx) error { return tx.Revoke(doomed.id, "leaked") })
	gatetest.WaitClosed(t, conn)
	select {
	case <-follows.ready:
		t.Error("the second request reached the upstream")
	default:
	}
}

// A credential's own end ends what lives by it, with no change to tell of it.
func TestExpiryEndsLiveRequests(t *testing.T) {
	s := startServer(t, liveSite)
	for _, k := range liveKinds {
		for _, protocol := range k.protocols {
			t.Run(k.kind+"/"+protocol, func(t *testing.T) {
				c := s.newClient(t, protocol)
				before := gatetest.Counter(t, "caddy_api_keys_ended_total")
				// If the credential expires before the request is live, a longer
				// life will do.
				for life := 200 * time.Millisecond; ; life *= 2 {
					doomed, _ := s.newAffected(func(tx *keys.Tx, s *affected) keys.Credential {
						return keys.Credential{Kind: policy.AppKey, UserID: s.owner, AppID: s.app, Scopes: []string{"All"}, ExpiresAt: tx.Now().Add(life)}
					}, true)
					r, err := s.tryOpen(t, c, k.kind, "h1", doomed.keyUse)
					if err != nil {
						if life > gatetest.Deadline {
							t.Fatal(err)
						}
						continue
					}
					if err := gatetest.Receive(t, r.left, "the upstream's end"); err == nil {
						t.Error("for the upstream it ended well")
					}
					if r.read != nil {
						r.read()
					}
					if err := gatetest.Receive(t, r.ended, "the client's end"); err == nil {
						t.Error("for the client it ended well")
					}
					break
				}
				if n := gatetest.Counter(t, "caddy_api_keys_ended_total") - before; n < 1 {
					t.Errorf("%v were counted", n)
				}
			})
		}
	}
}
