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

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A call is decided by what holds when it is made, and not when it was begun:
// whoever sends its body slowly gets nothing that was taken away meanwhile.
func TestManageDecidesAgainBehindTheBody(t *testing.T) {
	m := startManaged(t)
	invitation := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "alice-app"}, UserID: "bob"}
	invite := func(tx *keys.Tx) error {
		_, err := tx.Invite(keys.Collaborator{CollaboratorRef: invitation, Scopes: []string{"All"}})
		return err
	}
	narrow := func(id string) func(*keys.Tx) error {
		return func(tx *keys.Tx) error {
			_, err := tx.ChangeCredential(id, func(c *keys.Credential) error { c.Scopes = []string{"Inputs:Get"}; return nil })
			return err
		}
	}
	pat, victim := m.patWithID("alice", "All"), m.patWithID("alice", "All")
	for _, c := range []struct {
		name, credential, head string
		before, meanwhile      func(*keys.Tx) error
		status                 int
		code                   manage.Code
	}{
		{
			name: "revoked, a list", credential: pat.text, head: "GET /v2/users/me/keys",
			meanwhile: func(tx *keys.Tx) error { return tx.Revoke(pat.id, "leaked") },
			status:    401, code: manage.CodeKeyUnknown,
		},
		{
			name: "an invitation taken back", credential: m.sessions["bob"], head: "GET /v2/users/alice/apps/alice-app",
			before:    invite,
			meanwhile: func(tx *keys.Tx) error { return tx.Uninvite(invitation) },
			status:    403, code: manage.CodeKeyInvalid,
		},
		{
			name: "an app that was deleted and made again", credential: m.sessions["bob"], head: "GET /v2/users/alice/apps/alice-app/collaborators",
			before: invite,
			meanwhile: func(tx *keys.Tx) error {
				if err := tx.DeleteApp(invitation.AppRef); err != nil {
					return err
				}
				_, err := tx.CreateApp(keys.App{AppRef: invitation.AppRef})
				return err
			},
			status: 403, code: manage.CodeKeyInvalid,
		},
		{
			name: "narrowed, a change", credential: victim.text, head: "DELETE /v2/users/me/keys/" + victim.id,
			meanwhile: narrow(victim.id),
			status:    403, code: manage.CodeInsufficientScopes,
		},
		{
			name: "a user who is suspended", credential: m.sessions["bob"], head: "GET /v2/users/me",
			meanwhile: func(tx *keys.Tx) error {
				_, err := tx.ChangeUser("bob", func(u *keys.User) error { u.Suspended = true; return nil })
				return err
			},
			status: 401, code: manage.CodeKeyInvalid,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				m.update(c.before)
			}
			status, body := m.slowly(c.head, c.credential, "{}", func() { m.update(c.meanwhile) })
			if status != c.status || !strings.Contains(body, fmt.Sprintf(`"code":%d,`, c.code)) {
				t.Errorf("%d %s, want %d and %d", status, body, c.status, c.code)
			}
		})
	}
}

// minted is a credential and its public id.
type minted struct{ text, id string }

func (m *managed) patWithID(user string, scopes ...string) minted {
	m.t.Helper()
	text, c := m.credential(keys.Credential{Kind: policy.PAT, UserID: user, Scopes: scopes})
	return minted{text, c.ID}
}

// slowly sends a request whose body follows when the server asks for it, which
// it does once it has decided, and what is to happen meanwhile has.
func (m *managed) slowly(head, credential, body string, meanwhile func()) (status int, answer string) {
	m.t.Helper()
	conn, err := net.Dial("tcp", m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		m.t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: a\r\nAuthorization: Key %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", head, credential, len(body))
	if err != nil {
		m.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	if res.StatusCode != http.StatusContinue {
		text, _ := io.ReadAll(res.Body)
		m.t.Fatalf("%d %s instead of a wish for the body", res.StatusCode, text)
	}
	meanwhile()
	if _, err := io.WriteString(conn, body); err != nil {
		m.t.Fatal(err)
	}
	if res, err = http.ReadResponse(in, nil); err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
