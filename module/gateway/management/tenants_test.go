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
	"github.com/caddy-api-keys/gateway/module/manage"
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
		if _, err := tx.Invite(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{AppRef: app, UserID: "carol"}, Scopes: []string{"Inputs:Get"}}); err != nil {
			return err
		}
		if _, err := tx.ImportCredential(keys.Credential{
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

// Whatever call bob makes on what is alice's, with whichever credential, is
// refused, and in the words in which it is where there is nothing.
func TestTenantsInPaths(t *testing.T) {
	m := startTenants(t)
	attempts := 0
	m.unchanged(func() {
		for _, r := range manage.Routes() {
			if !strings.Contains(r.Pattern, "{user_id}") {
				continue
			}
			body, ok := callBodies[r.String()]
			if r.Method != http.MethodGet && !ok {
				t.Fatalf("%s: add what it takes to callBodies", r)
			}
			targets := []string{path(r.Pattern, "$USER", "$APP", "$KEY")}
			if strings.Contains(r.Pattern, "{app_id}") {
				targets = append(targets, path(r.Pattern, "bob", "$APP", ""), path(r.Pattern, "me", "$APP", ""), path(r.Pattern, "$USER", "bob-app", ""))
			}
			if strings.Contains(r.Pattern, "{key_id}") {
				for _, name := range []string{"$KEY", "$APPKEY", "$SESSION", "$REVOKED", "$WHOLE", "$WHOLESESSION", "$WHOLEREVOKED", "$FOREIGN"} {
					targets = append(targets, path(r.Pattern, "bob", "", name), path(r.Pattern, "me", "", name))
				}
			}
			if strings.Contains(body, "$KEY") {
				targets = append(targets, path(r.Pattern, "bob", "", ""), path(r.Pattern, "me", "", ""))
			}
			for name, credential := range m.attackers {
				for _, target := range targets {
					attempts++
					if status := m.same(t, credential, r.Method, target, body); status < 400 || status >= 500 {
						t.Errorf("%s, with bob's %s: %s answered %d", r, name, target, status)
					}
				}
			}
		}
	})
	if attempts < 300 {
		t.Errorf("%d attempts, there have to be more", attempts)
	}
	// That it was not for the bodies: alice may, or only lacks her password.
	alice := m.Session("alice")
	routes := manage.Routes()
	slices.SortStableFunc(routes, func(a, b policy.Route) int { return gone(a) - gone(b) })
	for _, r := range routes {
		if !strings.Contains(r.Pattern, "{user_id}") {
			continue
		}
		_, k := m.AddCredential(keys.Credential{Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}})
		things := map[string]string{"$KEY": k.ID}
		status, a, text := m.call(alice, r.Method, path(r.Pattern, "alice", "alice-app", k.ID), fill(callBodies[r.String()], things))
		if status != http.StatusOK && a.Status.Code != manage.CodeLoginFailed && (status != http.StatusNotFound || !strings.HasSuffix(r.Pattern, "/two_factor/enable")) {
			t.Errorf("%s by alice: %d %s", r, status, text)
		}
	}
}

// gone is 1 of the calls after which there is less for others to be made on.
func gone(r policy.Route) int {
	if r.Method != http.MethodDelete {
		return 0
	}
	if strings.HasSuffix(r.Pattern, "{app_id}") {
		return 2
	}
	return 1
}

// Nor does it help to name what is alice's in calls on bob's own things.
func TestTenantsInBodies(t *testing.T) {
	m := startTenants(t)
	before, after := m.dump("alice"), ""
	for _, c := range []struct {
		call, body string
		status     int
	}{
		{"POST /v2/users/bob/apps", `{"apps":[{"id":"x","user_id":"$USER"}]}`, 400},
		{"PATCH /v2/users/bob/apps/bob-app", `{"app":{"user_id":"$USER"}}`, 400},
		{"PATCH /v2/users/bob/apps/bob-app", `{"app":{"id":"$APP"}}`, 400},
		{"POST /v2/users/bob/keys", `{"keys":[{"scopes":[],"apps":[{"id":"$APP","user_id":"$USER"}]}]}`, 400},
		{"POST /v2/users/bob/keys", `{"keys":[{"scopes":[],"apps":[{"id":"bob-app","user_id":"$USER"}]}]}`, 400},
		{"POST /v2/users/bob/keys", `{"keys":[{"scopes":[],"apps":[{"id":"$APP"}]}]}`, 404},
		{"POST /v2/users/me/keys", `{"keys":[{"scopes":[],"apps":[{"id":"$APP","user_id":"bob"}]}]}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$KEY","disabled":true}]}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$APPKEY","scopes":["All"]}],"action":"overwrite"}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$SESSION","description":"x"}]}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$REVOKED","disabled":false}]}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$WHOLE","disabled":true}]}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$WHOLEREVOKED","disabled":true}]}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$FOREIGN","disabled":true}]}`, 404},
		{"PATCH /v2/users/bob/keys", `{"keys":[{"id":"$KEY","version":1}]}`, 404},
		{"DELETE /v2/users/bob/keys", `{"ids":["$KEY"]}`, 404},
		{"DELETE /v2/users/bob/keys", `{"ids":["$SESSION"]}`, 404},
		{"DELETE /v2/users/bob/keys", `{"ids":["$REVOKED"]}`, 404},
		{"DELETE /v2/users/bob/keys", `{"ids":["$WHOLE"]}`, 404},
		{"DELETE /v2/users/bob/keys", `{"ids":["$WHOLESESSION"]}`, 404},
		{"DELETE /v2/users/bob/keys", `{"ids":["$WHOLEREVOKED"]}`, 404},
		{"DELETE /v2/users/bob/keys", `{"ids":["$FOREIGN"]}`, 404},
		{"POST /v2/users/bob/keys/revoke", `{"app_id":"$APP"}`, 404},
		{"POST /v2/users/bob/keys/revoke", `{"minted_by":"$KEY"}`, 200},
		{"POST /v2/users/bob/keys/revoke", `{"minted_by":"$REVOKED"}`, 200},
		{"POST /v2/users/bob/keys/revoke", `{"minted_by":"$WHOLE"}`, 400},
		{"POST /v2/users/bob/keys/revoke", `{"minted_by":"$WHOLESESSION"}`, 400},
		{"POST /v2/users/bob/keys/revoke", `{"minted_by":"$WHOLEREVOKED"}`, 400},
		{"POST /v2/users/bob/keys/revoke", `{"minted_by":"$FOREIGN"}`, 400},
		{"DELETE /v2/users/bob/sessions", `{"ids":["$SESSION"]}`, 404},
		{"DELETE /v2/users/bob/sessions", `{"ids":["$WHOLESESSION"]}`, 404},
		{"DELETE /v2/users/bob/sessions", `{"ids":["$KEY"]}`, 404},
		{"POST /v2/users/bob/apps/bob-app/collaborators", `{"collaborators":[{"user":{"id":"carol"},"scopes":[],"app":{"id":"$APP","user_id":"$USER"}}]}`, 400},
		{"POST /v2/users/bob/apps/bob-app/collaborators", `{"collaborators":[{"user":{"id":"carol"},"scopes":[],"app":{"id":"$APP"}}]}`, 400},
		{"PATCH /v2/users/bob/apps/bob-app/collaborators", `{"collaborators":[{"user":{"id":"$USER"},"scopes":["All"]}],"action":"merge"}`, 404},
		{"DELETE /v2/users/bob/apps/bob-app/collaborators", `{"ids":["$USER"]}`, 404},
		{"POST /v2/users/bob/two_factor", `{"password":"x","user_id":"$USER"}`, 400},
		{"POST /v2/users/bob/password", `{"current_password":"x","password":"another long one","user_id":"$USER"}`, 400},
		{"POST /v2/login", `{"email":"$MAIL","password":"a guess"}`, 401},
		{"GET /v2/users/bob/audit?key_id=$KEY", ``, 200},
		{"GET /v2/users/bob/audit?app_id=$APP", ``, 200},
		{"GET /v2/users/bob/audit?actor=$USER", ``, 200},
		{"GET /v2/users/bob/audit?user_id=$USER&app_id=$APP", ``, 200},
	} {
		t.Run(c.call+" "+c.body, func(t *testing.T) {
			method, target, _ := strings.Cut(c.call, " ")
			for _, credential := range []string{m.attackers["session"], m.attackers["token"], m.attackers["app key"], m.attackers["limited token"]} {
				status := m.same(t, credential, method, target, c.body)
				if credential == m.attackers["session"] && status != c.status {
					t.Errorf("answered %d, want %d", status, c.status)
				}
				if after = m.dump("alice"); after != before {
					t.Fatalf("what alice has was\n%s\nand is\n%s", before, after)
				}
			}
		})
	}
}

// A place in one of alice's lists is none in bob's.
func TestTenantsInCursors(t *testing.T) {
	m := startTenants(t)
	m.Update(func(tx *keys.Tx) error {
		for _, user := range []string{"alice", "bob"} {
			for i := range 3 {
				if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: user, AppID: fmt.Sprintf("%s-app-%d", user, i)}}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for range 3 {
		m.PAT("alice", "All")
		m.AppKey("alice", "alice-app", "All")
	}
	alice, bob, lists := m.Session("alice"), m.attackers["session"], 0
	for _, list := range []string{"apps", "keys", "sessions", "audit", "apps/$A-app/keys", "apps/$A-app/collaborators"} {
		target := "/v2/users/" + "$A/" + list + "?per_page=1"
		_, a, text := m.call(alice, "GET", strings.ReplaceAll(target, "$A", "alice"), "")
		if a.Status.Code != manage.CodeOK {
			t.Fatalf("alice's %s: %s", list, text)
		}
		if a.Next == "" {
			continue
		}
		lists++
		whole := strings.ReplaceAll(strings.TrimSuffix(target, "1"), "$A", "bob") + "1000&after=" + a.Next
		status, _, text := m.call(bob, "GET", whole, "")
		if status != http.StatusBadRequest || strings.Contains(text, "alice") || strings.Contains(text, m.alices["$KEY"]) {
			t.Errorf("bob's %s from alice's place: %d %s", list, status, text)
		}
	}
	if lists < 4 {
		t.Errorf("%d lists had a place to go on from, there have to be more", lists)
	}
}

// Who is invited to an app can do there what the invitation grants of the calls
// that aren't the owner's alone, and nothing anywhere else.
func TestTenantsBeyondAnInvitation(t *testing.T) {
	for _, granted := range [][]string{{}, {"Apps:Get"}, {"Apps:Get", "Workflows:Get"}, {"Apps:Get", "Collaborators:Get"}, {"All"}} {
		t.Run(strings.Join(granted, " "), func(t *testing.T) {
			m := startTenants(t)
			m.Update(func(tx *keys.Tx) error {
				if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "other-app"}}); err != nil {
					return err
				}
				_, err := tx.Invite(keys.Collaborator{
					CollaboratorRef: keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "alice-app"}, UserID: "bob"}, Scopes: granted,
				})
				return err
			})
			permits := func(scopes []string) bool {
				return slices.Contains(granted, "All") || !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(granted, s) })
			}
			m.unchanged(func() {
				site := manage.NewMount(manage.DefaultBase)
				for _, r := range site.Routes() {
					if !strings.Contains(r.Pattern, "{user_id}") {
						continue
					}
					body := fill(callBodies[r.String()], m.alices)
					for name, credential := range m.attackers {
						if name == "app key" || !strings.HasSuffix(name, "session") && name != "token" {
							continue
						}
						may := strings.Contains(r.Pattern, "{app_id}") && !site.OwnerOnly(r) && permits(r.Scopes) &&
							slices.Contains(r.Accept, map[string]string{"session": "session", "token": "pat"}[name])
						status, _, text := m.call(credential, r.Method, path(r.Pattern, "alice", "alice-app", m.alices["$KEY"]), body)
						if may != (status == http.StatusOK) || !may && status != http.StatusForbidden {
							t.Errorf("%s, with bob's %s: %d %s; may is %v", r, name, status, text, may)
						}
						if strings.Contains(r.Pattern, "{app_id}") {
							if status, _, text := m.call(credential, r.Method, path(r.Pattern, "alice", "other-app", ""), body); status != http.StatusForbidden {
								t.Errorf("%s on another app, with bob's %s: %d %s", r, name, status, text)
							}
						}
					}
				}
			})
		})
	}
}
