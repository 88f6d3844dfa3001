package live

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// changes are the ways by which a credential loses what a live request was let
// through for. Each makes a credential of its own kind first.
var changes = []struct {
	name string
	make func(*gatetest.Server) (text, id string)
	do   func(*keys.Tx, string) error
}{
	{"revoke", gatetest.NewStreamKey, func(tx *keys.Tx, id string) error { return tx.Revoke(id, "leaked") }},
	{"disable", gatetest.NewStreamKey, func(tx *keys.Tx, id string) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error { c.Disabled = true; return nil })
		return err
	}},
	{"narrow the scopes", gatetest.NewStreamKey, func(tx *keys.Tx, id string) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error { c.Scopes = nil; return nil })
		return err
	}},
	{"let it expire", gatetest.NewStreamKey, func(tx *keys.Tx, id string) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error {
			c.ExpiresAt = tx.Now().Add(20 * time.Millisecond)
			return nil
		})
		return err
	}},
	{"delete the app", gatetest.NewStreamKey, func(tx *keys.Tx, _ string) error {
		return tx.DeleteApp(keys.AppRef{OwnerID: "alice", AppID: "shop"})
	}},
	{"remove the collaborator", newGuestPAT, func(tx *keys.Tx, _ string) error {
		return tx.RemoveCollaborator(keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"})
	}},
}

func newGuestPAT(server *gatetest.Server) (string, string) {
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"}, Scopes: []string{"All"}})
		return err
	})
	text, c := server.AddCredential(keys.Credential{Kind: policy.PAT, UserID: "bob", Scopes: []string{"Stream:Get"}})
	return text, c.ID
}

// A stream ends when the credential loses what it was let through for, and
// another's goes on.
func TestStreamsEnd(t *testing.T) {
	for _, protocol := range gatetest.Protocols {
		for _, change := range changes {
			t.Run(change.name+"/"+protocol, func(t *testing.T) {
				server := gatetest.StartStreaming(t)
				ended := make(chan string, 2)
				server.Upstream.AnswerWith(func(rw http.ResponseWriter, r *http.Request) {
					rw.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(rw, "data: first\n\n")
					_ = http.NewResponseController(rw).Flush()
					<-r.Context().Done()
					ended <- r.Header.Get("X-Caller-Key-Id")
				})
				text, id := change.make(server)
				other := server.Session("alice") // reaches the app as its owner
				c := gatetest.Client(t, protocol)
				read := func(credential string) *bufio.Reader {
					r, _ := http.NewRequest("GET", "http://"+server.Addr+gatetest.StreamPath, nil)
					r.Header.Set("Authorization", "Key "+credential)
					resp, err := c.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { resp.Body.Close() })
					in := bufio.NewReader(resp.Body)
					if line, err := in.ReadString('\n'); err != nil || line != "data: first\n" {
						t.Fatalf("read %q, %v", line, err)
					}
					return in
				}
				doomed := read(text)
				read(other)
				server.Update(func(tx *keys.Tx) error { return change.do(tx, id) })
				if _, err := io.Copy(io.Discard, doomed); err == nil {
					t.Error("the stream ended as if it were whole")
				}
				if got := gatetest.Receive(t, ended, "the upstream's end"); got != id {
					t.Errorf("the upstream was left by %s, want %s", got, id)
				}
				// The next request of the same client is refused.
				if a := server.Ask(c, "GET", gatetest.StreamPath, "Authorization: Key "+text); a.StatusCode < 400 || a.Forwarded != nil {
					t.Errorf("the next request was answered %s", a.Status)
				}
				if n := server.Directory().Live(); n == 0 {
					t.Error("the other stream has ended too")
				}
			})
		}
	}
}

func TestALongPollEnds(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, id := gatetest.NewStreamKey(server)
	inside := make(chan struct{})
	left := make(chan struct{})
	server.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
		close(left)
	})
	conn := server.Dial("GET " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
	gatetest.Receive(t, inside, "the request at the upstream")
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	gatetest.WaitClosed(t, conn)
	gatetest.Receive(t, left, "the upstream's end")
}

func TestASlowUploadEnds(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, id := gatetest.NewStreamKey(server)
	got := make(chan struct{})
	left := make(chan error, 1)
	server.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 5))
		close(got)
		_, err := io.Copy(io.Discard, r.Body)
		left <- err
	})
	conn := server.Dial("POST " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nAuthorization: Key " + text + "\r\n\r\nhello")
	gatetest.Receive(t, got, "the upload at the upstream")
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	gatetest.WaitClosed(t, conn)
	if err := gatetest.Receive(t, left, "the upstream's end"); err == nil {
		t.Error("the upstream took the upload for whole")
	}
}

func TestABlockedResponseEnds(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, id := gatetest.NewStreamKey(server)
	left := make(chan struct{})
	full := make(chan struct{}, 1)
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, r *http.Request) {
		defer close(left)
		chunk := make([]byte, 1<<20)
		for {
			// A write that takes this long waits for a reader that isn't there.
			blocked := time.AfterFunc(200*time.Millisecond, func() {
				select {
				case full <- struct{}{}:
				default:
				}
			})
			_, err := rw.Write(chunk)
			blocked.Stop()
			if err != nil {
				return
			}
		}
	})
	server.Dial("GET " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
	gatetest.Receive(t, full, "the full buffers")
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	gatetest.Receive(t, left, "the upstream's end")
	gatetest.Until(t, "the request's end", func() bool { return server.Directory().Live() == 0 })
}

func TestAWebSocketEnds(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, id := gatetest.NewStreamKey(server)
	left := make(chan struct{})
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\nhello", r.Header.Get("Sec-WebSocket-Key"))
		_ = buf.Flush()
		_, _ = io.Copy(io.Discard, conn)
		close(left)
	})
	conn := server.Dial("GET " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Key " + text + "\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %v, %v", resp, err)
	}
	if _, err := io.ReadFull(in, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	gatetest.WaitClosed(t, conn)
	gatetest.Receive(t, left, "the upstream's end")
}

// A site that allows websocket opens no tunnel to a request that only resembles
// an upgrade to it.
func TestMalformedWebSocketsAreRefused(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, _ := gatetest.NewStreamKey(server)
	for _, tt := range []struct{ name, method, lines string }{
		{"by POST", "POST", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0"},
		{"with a body", "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5"},
		{"without Connection", "GET", "Upgrade: websocket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status := server.Raw(tt.method + " " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\n" + tt.lines + "\r\nAuthorization: Key " + text + "\r\n\r\nhello")
			if status != 400 || server.Upstream.Count() != 0 {
				t.Errorf("answered %d; %d reached the upstream", status, server.Upstream.Count())
			}
		})
	}
}

// A stream's credential may be given a later end, or an earlier one, while it
// is used: the last word counts.
func TestExpiryMovesUnderAStream(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, c := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}, ExpiresAt: time.Now().Add(time.Hour)})
	inside := make(chan struct{})
	server.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
	})
	conn := server.Dial("GET " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
	gatetest.Receive(t, inside, "the request at the upstream")
	server.ChangeCredential(c.ID, func(c *keys.Credential) { c.ExpiresAt = time.Time{} })
	if server.Directory().Live() == 0 {
		t.Fatal("it ended with a later expiry")
	}
	server.ChangeCredential(c.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(30 * time.Millisecond) })
	gatetest.WaitClosed(t, conn)
}

// Ended requests leave nothing behind; neither does a client that goes away.
func TestNothingStaysOnTheList(t *testing.T) {
	server := gatetest.StartStreaming(t)
	text, _ := gatetest.NewStreamKey(server)
	inside := make(chan struct{}, 1)
	server.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		<-r.Context().Done()
	})
	for range 5 {
		conn := server.Dial("GET " + gatetest.StreamPath + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
		gatetest.Receive(t, inside, "the request at the upstream")
		conn.Close()
	}
	gatetest.Until(t, "the empty list", func() bool { return server.Directory().Live() == 0 })
}
