package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// changes are the ways by which a credential loses what a live request was let
// through for. Each makes a credential of its own kind first.
var changes = []struct {
	name string
	make func(*world) (text, id string)
	do   func(*keys.Tx, string) error
}{
	{"revoke", newShopKey, func(tx *keys.Tx, id string) error { return tx.Revoke(id, "leaked") }},
	{"disable", newShopKey, func(tx *keys.Tx, id string) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error { c.Disabled = true; return nil })
		return err
	}},
	{"narrow the scopes", newShopKey, func(tx *keys.Tx, id string) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error { c.Scopes = nil; return nil })
		return err
	}},
	{"let it expire", newShopKey, func(tx *keys.Tx, id string) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error {
			c.ExpiresAt = tx.Now().Add(20 * time.Millisecond)
			return nil
		})
		return err
	}},
	{"delete the app", newShopKey, func(tx *keys.Tx, _ string) error {
		return tx.DeleteApp(keys.AppRef{OwnerID: "alice", AppID: "shop"})
	}},
	{"take the invitation back", newGuestPAT, func(tx *keys.Tx, _ string) error {
		return tx.Uninvite(keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"})
	}},
}

func newShopKey(w *world) (string, string) {
	text, c := w.credential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Stream:Get"}})
	return text, c.ID
}

func newGuestPAT(w *world) (string, string) {
	w.update(func(tx *keys.Tx) error {
		_, err := tx.Invite(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"}, Scopes: []string{"All"}})
		return err
	})
	text, c := w.credential(keys.Credential{Kind: policy.PAT, UserID: "bob", Scopes: []string{"Stream:Get"}})
	return text, c.ID
}

const streamSite = `
	route * /v2/users/{user_id}/apps/{app_id}/stream Stream:Get
	upgrade websocket`

const stream = "/v2/users/alice/apps/shop/stream"

func streamWorld(t *testing.T) *world {
	w := start(t, streamSite)
	w.user("alice", "bob")
	w.app("alice", "shop")
	return w
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("%s: it didn't happen", what)
		}
		<-time.After(time.Millisecond)
	}
}

// A stream ends when the credential loses what it was let through for, and
// another's goes on.
func TestStreamsEnd(t *testing.T) {
	for _, protocol := range protocols {
		for _, change := range changes {
			t.Run(change.name+"/"+protocol, func(t *testing.T) {
				w := streamWorld(t)
				ended := make(chan string, 2)
				w.upstream.answerWith(func(rw http.ResponseWriter, r *http.Request) {
					rw.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(rw, "data: first\n\n")
					_ = http.NewResponseController(rw).Flush()
					<-r.Context().Done()
					ended <- r.Header.Get("X-Caller-Key-Id")
				})
				text, id := change.make(w)
				other := w.session("alice") // reaches the app as its owner
				c := client(t, protocol)
				read := func(credential string) *bufio.Reader {
					r, _ := http.NewRequest("GET", "http://"+w.addr+stream, nil)
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
				w.update(func(tx *keys.Tx) error { return change.do(tx, id) })
				if _, err := io.Copy(io.Discard, doomed); err == nil {
					t.Error("the stream ended as if it were whole")
				}
				if got := receive(t, ended, "the upstream's end"); got != id {
					t.Errorf("the upstream was left by %s, want %s", got, id)
				}
				// The next request of the same client is refused.
				if a := w.ask(c, "GET", stream, "Authorization: Key "+text); a.StatusCode < 400 || a.seen != nil {
					t.Errorf("the next request was answered %s", a.Status)
				}
				if n := w.directory().Live(); n == 0 {
					t.Error("the other stream has ended too")
				}
			})
		}
	}
}

func receive[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(deadline):
		t.Fatalf("%s: it didn't happen", what)
	}
	return v
}

// dial opens a connection to the site and writes to it.
func (w *world) dial(text string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// closes reads until the connection is closed.
func closes(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection is still open")
	}
}

func TestALongPollEnds(t *testing.T) {
	w := streamWorld(t)
	text, id := newShopKey(w)
	inside := make(chan struct{})
	left := make(chan struct{})
	w.upstream.answerWith(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
		close(left)
	})
	conn := w.dial("GET " + stream + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
	receive(t, inside, "the request at the upstream")
	w.update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	closes(t, conn)
	receive(t, left, "the upstream's end")
}

func TestASlowUploadEnds(t *testing.T) {
	w := streamWorld(t)
	text, id := newShopKey(w)
	got := make(chan struct{})
	left := make(chan error, 1)
	w.upstream.answerWith(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 5))
		close(got)
		_, err := io.Copy(io.Discard, r.Body)
		left <- err
	})
	conn := w.dial("POST " + stream + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nAuthorization: Key " + text + "\r\n\r\nhello")
	receive(t, got, "the upload at the upstream")
	w.update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	closes(t, conn)
	if err := receive(t, left, "the upstream's end"); err == nil {
		t.Error("the upstream took the upload for whole")
	}
}

func TestABlockedResponseEnds(t *testing.T) {
	w := streamWorld(t)
	text, id := newShopKey(w)
	left := make(chan struct{})
	full := make(chan struct{}, 1)
	w.upstream.answerWith(func(rw http.ResponseWriter, r *http.Request) {
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
	w.dial("GET " + stream + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
	receive(t, full, "the full buffers")
	w.update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	receive(t, left, "the upstream's end")
	until(t, "the request's end", func() bool { return w.directory().Live() == 0 })
}

func TestAWebSocketEnds(t *testing.T) {
	w := streamWorld(t)
	text, id := newShopKey(w)
	left := make(chan struct{})
	w.upstream.answerWith(func(rw http.ResponseWriter, r *http.Request) {
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
	conn := w.dial("GET " + stream + " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Key " + text + "\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %v, %v", resp, err)
	}
	if _, err := io.ReadFull(in, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	w.update(func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
	closes(t, conn)
	receive(t, left, "the upstream's end")
}

// A site that allows websocket opens no tunnel to a request that only resembles
// an upgrade to it.
func TestMalformedWebSocketsAreRefused(t *testing.T) {
	w := streamWorld(t)
	text, _ := newShopKey(w)
	for _, tt := range []struct{ name, method, lines string }{
		{"by POST", "POST", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0"},
		{"with a body", "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5"},
		{"without Connection", "GET", "Upgrade: websocket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status := w.raw(tt.method + " " + stream + " HTTP/1.1\r\nHost: a\r\n" + tt.lines + "\r\nAuthorization: Key " + text + "\r\n\r\nhello")
			if status != 400 || w.upstream.count() != 0 {
				t.Errorf("answered %d; %d reached the upstream", status, w.upstream.count())
			}
		})
	}
}

// A stream's credential may be given a later end, or an earlier one, while it
// is used: the last word counts.
func TestExpiryMovesUnderAStream(t *testing.T) {
	w := streamWorld(t)
	text, c := w.credential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}, ExpiresAt: time.Now().Add(time.Hour)})
	inside := make(chan struct{})
	w.upstream.answerWith(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
	})
	conn := w.dial("GET " + stream + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
	receive(t, inside, "the request at the upstream")
	w.change(c.ID, func(c *keys.Credential) { c.ExpiresAt = time.Time{} })
	if w.directory().Live() == 0 {
		t.Fatal("it ended with a later expiry")
	}
	w.change(c.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(30 * time.Millisecond) })
	closes(t, conn)
}

// What was ended leaves nothing behind; neither does a client that goes away.
func TestNothingStaysOnTheList(t *testing.T) {
	w := streamWorld(t)
	text, _ := newShopKey(w)
	inside := make(chan struct{}, 1)
	w.upstream.answerWith(func(_ http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		<-r.Context().Done()
	})
	for range 5 {
		conn := w.dial("GET " + stream + " HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + text + "\r\n\r\n")
		receive(t, inside, "the request at the upstream")
		conn.Close()
	}
	until(t, "the empty list", func() bool { return w.directory().Live() == 0 })
}
