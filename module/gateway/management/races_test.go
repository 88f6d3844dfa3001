package management

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A call is decided by what holds when it is made, and not when it was begun: a
// client that sends its body slowly gets nothing that was revoked meanwhile.
func TestManageDecidesAgainAfterTheBody(t *testing.T) {
	m := startManaged(t)
	collaborator := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "alice-app"}, UserID: "bob"}
	addCollaborator := func(tx *keys.Tx) error {
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: collaborator, Scopes: []string{"All"}})
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
			name: "a collaborator removed", credential: m.sessions["bob"], head: "GET /v2/users/alice/apps/alice-app",
			before:    addCollaborator,
			meanwhile: func(tx *keys.Tx) error { return tx.RemoveCollaborator(collaborator) },
			status:    403, code: manage.CodeKeyInvalid,
		},
		{
			name: "an app that was deleted and made again", credential: m.sessions["bob"], head: "GET /v2/users/alice/apps/alice-app/collaborators",
			before: addCollaborator,
			meanwhile: func(tx *keys.Tx) error {
				if err := tx.DeleteApp(collaborator.AppRef); err != nil {
					return err
				}
				_, err := tx.CreateApp(keys.App{AppRef: collaborator.AppRef})
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
				m.Update(c.before)
			}
			status, body := m.slowly(c.head, c.credential, "{}", func() { m.Update(c.meanwhile) })
			if status != c.status || !strings.Contains(body, fmt.Sprintf(`"code":%d,`, c.code)) {
				t.Errorf("%d %s, want %d and %d", status, body, c.status, c.code)
			}
		})
	}
}

// minted is a credential and its key ID.
type minted struct{ text, id string }

func (m *managed) patWithID(user string, scopes ...string) minted {
	m.T.Helper()
	text, c := m.AddCredential(keys.Credential{Kind: policy.PAT, UserID: user, Scopes: scopes})
	return minted{text, c.ID}
}

// slowly sends a request whose body follows when the server asks for it, which
// it does once it has decided, and what is to happen meanwhile has.
func (m *managed) slowly(head, credential, body string, meanwhile func()) (status int, answer string) {
	m.T.Helper()
	conn, err := net.Dial("tcp", m.Addr)
	if err != nil {
		m.T.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(gatetest.Deadline)); err != nil {
		m.T.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: a\r\nAuthorization: Key %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", head, credential, len(body))
	if err != nil {
		m.T.Fatal(err)
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		m.T.Fatal(err)
	}
	if res.StatusCode != http.StatusContinue {
		text, _ := io.ReadAll(res.Body)
		m.T.Fatalf("%d %s instead of a wish for the body", res.StatusCode, text)
	}
	meanwhile()
	if _, err := io.WriteString(conn, body); err != nil {
		m.T.Fatal(err)
	}
	if res, err = http.ReadResponse(in, nil); err != nil {
		m.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		m.T.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// A leaked token makes keys, and those make more, as fast as they can. Once it
// is revoked, and then what it has made, none of them all is good.
func TestManageRevokesKeysMadeDuringTheCall(t *testing.T) {
	m := startManaged(t)
	leaked := m.patWithID("alice", "All")
	const body = `{"keys":[{"type":"personal_access_token","scopes":["All"]},{"scopes":["All"],"apps":[{"id":"alice-app"}]}]}`
	var mu sync.Mutex
	var made []string
	var makers sync.WaitGroup
	begun := make(chan struct{}, 100)
	for range 4 {
		makers.Go(func() {
			for by := leaked.text; ; {
				status, a, _ := m.call(by, "POST", "/v2/users/me/keys", body)
				select {
				case begun <- struct{}{}:
				default:
				}
				switch {
				case status == http.StatusOK:
					mu.Lock()
					made = append(made, a.Keys[0].ID, a.Keys[1].ID)
					mu.Unlock()
					by = a.Keys[0].ID
				case by != leaked.text:
					by = leaked.text
				default:
					return
				}
			}
		})
	}
	for range 20 {
		<-begun
	}
	// A caller that made something with a credential that is still valid at
	// first goes on, so the line is revoked before its members are looked for.
	for _, c := range []struct{ method, path, body string }{
		{"DELETE", "/v2/users/me/keys/" + leaked.id, ""},
		{"POST", "/v2/users/me/keys/revoke", fmt.Sprintf(`{"minted_by":%q}`, leaked.id)},
	} {
		if status, _, text := m.call(m.sessions["alice"], c.method, c.path, c.body); status != http.StatusOK {
			t.Fatalf("%s: %d %s", c.path, status, text)
		}
	}
	makers.Wait()
	if len(made) < 20 {
		t.Errorf("%d keys were made, which shows nothing", len(made))
	}
	for _, key := range made {
		if status, _, text := m.call(key, "GET", "/v2/myscopes", ""); status != http.StatusUnauthorized {
			t.Fatalf("a key that the token or one of its line has made is good still: %d %s", status, text)
		}
	}
}
