package management

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// callBodies are what each call takes that changes something, by its method
// and pattern. Sent by the owner it is done, or refused for the password.
var callBodies = map[string]string{
	"POST /v2/users/{user_id}/apps":                          `{"apps":[{"id":"made"}]}`,
	"PATCH /v2/users/{user_id}/apps/{app_id}":                `{"app":{"name":"changed"}}`,
	"DELETE /v2/users/{user_id}/apps/{app_id}":               ``,
	"POST /v2/users/{user_id}/keys":                          `{"keys":[{"type":"personal_access_token","scopes":[]}]}`,
	"PATCH /v2/users/{user_id}/keys":                         `{"keys":[{"id":"$KEY","disabled":true}]}`,
	"DELETE /v2/users/{user_id}/keys":                        `{"ids":["$KEY"]}`,
	"DELETE /v2/users/{user_id}/keys/{key_id}":               ``,
	"POST /v2/users/{user_id}/keys/{key_id}/rotate":          `{"grace":"1h"}`,
	"POST /v2/users/{user_id}/keys/revoke":                   `{"all":true}`,
	"POST /v2/users/{user_id}/password":                      `{"current_password":"a guess","password":"another long one"}`,
	"DELETE /v2/users/{user_id}/sessions":                    `{}`,
	"POST /v2/users/{user_id}/two_factor":                    `{"password":"a guess"}`,
	"DELETE /v2/users/{user_id}/two_factor":                  `{"password":"a guess"}`,
	"POST /v2/users/{user_id}/two_factor/enable":             `{"code":"000000"}`,
	"POST /v2/users/{user_id}/two_factor/recovery_codes":     `{"password":"a guess"}`,
	"POST /v2/users/{user_id}/apps/{app_id}/collaborators":   `{"collaborators":[{"user":{"id":"*"},"scopes":[]}]}`,
	"PATCH /v2/users/{user_id}/apps/{app_id}/collaborators":  `{"collaborators":[{"user":{"id":"carol"},"scopes":["Apps:Get"]}],"action":"merge"}`,
	"DELETE /v2/users/{user_id}/apps/{app_id}/collaborators": `{"ids":["carol"]}`,
	"DELETE /v2/users/{user_id}/collaborations":              `{"apps":[{"id":"carol-app","user_id":"carol"}]}`,
	"POST /v2/login":  `{}`,
	"POST /v2/logout": ``,
}

// tenants are two users who have all that a user can have, and know of each
// other all that could be known: ids, and credentials that leaked.
type tenants struct {
	*managed
	// attackers are bob's credentials, by name.
	attackers map[string]string
	// alices are things of alice's by name, and nobodys their like that isn't
	// there.
	alices, nobodys map[string]string
}

func startTenants(t *testing.T) *tenants {
	m := &tenants{managed: startManaged(t), attackers: map[string]string{}}
	app := keys.AppRef{OwnerID: "alice", AppID: "alice-app"}
	ids := map[string]string{}
	// Bob puts these into paths too, which Caddy logs.
	mint := func(name string, c keys.Credential) string {
		text := m.token(c)
		ids[name] = text[:strings.LastIndex(text, "_")]
		return text
	}
	pat := mint("pat", keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}})
	mint("app key", keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "alice-app", Scopes: []string{"All"}})
	session := mint("session", keys.Credential{Kind: policy.Session, UserID: "alice"})
	revoked := mint("revoked", keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}})
	const foreign = "0123456789abcdef0123456789abcdee"
	m.Update(func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "carol"}); err != nil {
			return err
		}
		if _, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{AppRef: app, UserID: "carol"}, Scopes: []string{"Inputs:Get"}}); err != nil {
			return err
		}
		carols := keys.AppRef{OwnerID: "carol", AppID: "carol-app"}
		if _, err := tx.CreateApp(keys.App{AppRef: carols}); err != nil {
			return err
		}
		if _, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{AppRef: carols, UserID: "alice"}, Scopes: []string{"Inputs:Get"}}); err != nil {
			return err
		}
		if _, err := tx.ImportCredential(keys.ImportSource{}, keys.Credential{
			Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"},
			Digest: credential.DigestOf(foreign), ID: credential.NewID("ca", policy.PAT),
		}); err != nil {
			return err
		}
		return tx.Revoke(ids["revoked"], "leaked")
	})
	unknown, unknownID := credential.Mint("ca", policy.PAT)
	unknownSession, unknownSessionID := credential.Mint("ca", policy.Session)
	m.alices = map[string]string{
		"$USER": "alice", "$APP": "alice-app", "$KEY": ids["pat"], "$APPKEY": ids["app key"], "$SESSION": ids["session"], "$REVOKED": ids["revoked"],
		"$WHOLE": pat, "$WHOLESESSION": session, "$WHOLEREVOKED": revoked, "$FOREIGN": foreign, "$MAIL": "alice@example.com",
	}
	m.nobodys = map[string]string{
		"$USER": "nobody", "$APP": "nothing", "$KEY": unknownID, "$APPKEY": "cak_0123456789AB", "$SESSION": unknownSessionID, "$REVOKED": unknownID,
		"$WHOLE": unknown, "$WHOLESESSION": unknownSession, "$WHOLEREVOKED": unknown, "$FOREIGN": "0123456789abcdef0123456789abcdef", "$MAIL": "nobody@example.com",
	}
	m.attackers["session"] = m.Session("bob")
	m.attackers["token"] = m.PAT("bob", "All")
	m.attackers["limited token"] = m.PAT("bob", "Apps:Get", "Keys:Get")
	m.attackers["token limited to endpoints"] = m.token(keys.Credential{
		Kind: policy.PAT, UserID: "bob", Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/GetKey", "/clarifai.api.V2/GetApp"},
	})
	m.attackers["app key"] = m.AppKey("bob", "bob-app", "All")
	return m
}

// fill puts things in the place of their names; the longest names first, for
// some begin with others.
func fill(text string, things map[string]string) string {
	names := []string{}
	for name := range things {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		text = strings.ReplaceAll(text, name, things[name])
	}
	return text
}

var reqIDs = regexp.MustCompile(`"req_id":"[^"]*"`)

// answered is all that a client sees of an answer, except for what differs each
// time: the status, the headers and the body.
func (m *tenants) answered(credential, method, path, body string) (int, string) {
	m.T.Helper()
	req, err := http.NewRequest(method, "http://"+m.Addr+path, strings.NewReader(body))
	if err != nil {
		m.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Key "+credential)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		m.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		m.T.Fatal(err)
	}
	res.Header.Del("Date")
	return res.StatusCode, fmt.Sprintf("%d %v %s", res.StatusCode, res.Header, reqIDs.ReplaceAll(text, nil))
}

// same has bob attempt a thing of alice's and its like that isn't there, and
// wants the one answer to be the other, with nothing of alice's in it.
func (m *tenants) same(t *testing.T, credential, method, path, body string) (status int) {
	t.Helper()
	status, there := m.answered(credential, method, fill(path, m.alices), fill(body, m.alices))
	_, absent := m.answered(credential, method, fill(path, m.nobodys), fill(body, m.nobodys))
	if there != absent {
		t.Errorf("%s %s %s\n answers of what is there  %s\n and of what is not there  %s", method, path, body, there, absent)
	}
	for name, thing := range m.alices {
		if strings.Contains(there, thing) {
			t.Errorf("%s %s %s repeats %s: %s", method, path, body, name, there)
		}
	}
	return status
}

// dump is all that the store has of a user.
func (m *tenants) dump(user string) string {
	m.T.Helper()
	var b strings.Builder
	err := m.Directory().View(m.T.Context(), func(from keys.Reader) error {
		u, err := from.User(user)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%+v\n", u)
		write(&b, from.Apps(user, 0))
		for c, err := range from.Credentials(user, 0) {
			if err != nil {
				return err
			}
			used, err := from.LastUsed(c.Digest)
			fmt.Fprintf(&b, "%+v %+v %v\n", c, used, err)
		}
		for a, err := range from.Apps(user, 0) {
			if err != nil {
				return err
			}
			write(&b, from.Collaborators(a.AppRef, 0))
		}
		write(&b, from.Collaborations(user, 0))
		write(&b, from.AuditEntries(user, 0))
		return nil
	})
	if err != nil {
		m.T.Fatal(err)
	}
	return b.String()
}

func write[T any](b *strings.Builder, list iter.Seq2[T, error]) {
	for v, err := range list {
		fmt.Fprintf(b, "%+v %v\n", v, err)
	}
}

// unchanged runs attempts, and wants nothing of alice's to have changed.
func (m *tenants) unchanged(attempts func()) {
	m.T.Helper()
	before := m.dump("alice")
	attempts()
	if after := m.dump("alice"); after != before {
		m.T.Errorf("what alice has was\n%s\nand is\n%s", before, after)
	}
}

// path fills in the variables of a pattern.
func path(pattern, user, app, key string) string {
	return strings.NewReplacer("{user_id}", user, "{app_id}", app, "{key_id}", key).Replace(pattern)
}
