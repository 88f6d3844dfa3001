package management

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

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

// A collaborator of an app can do there what the grant permits, except for
// calls that only the owner has, and nothing anywhere else.
func TestTenantsBeyondACollaborator(t *testing.T) {
	for _, granted := range [][]string{{}, {"Apps:Get"}, {"Apps:Get", "Workflows:Get"}, {"Apps:Get", "Collaborators:Get"}, {"All"}} {
		t.Run(strings.Join(granted, " "), func(t *testing.T) {
			m := startTenants(t)
			m.Update(func(tx *keys.Tx) error {
				if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "other-app"}}); err != nil {
					return err
				}
				_, err := tx.AddCollaborator(keys.Collaborator{
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
