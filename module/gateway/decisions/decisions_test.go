package decisions

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const decisionSite = `
		session_header X-Clarifai-Session-Token
		scope Inputs:Get "Read inputs"
		scope Inputs:Add "Write inputs" {
			needs Inputs:Get
		}
		scope Keys:Get
		scope Predict
		route GET    /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Get {
			endpoint /clarifai.api.V2/ListInputs
		}
		route POST   /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Get Inputs:Add {
			endpoint /clarifai.api.V2/PostInputs
		}
		route GET    /v2/apps/{app_id}/inputs Inputs:Get
		route GET    /v2/users/{user_id}/inputs Inputs:Get
		route GET    /v2/inputs Inputs:Get {
			endpoint /clarifai.api.V2/ListInputs
		}
		route DELETE /v2/inputs Inputs:Get
		route GET    /v2/users/{user_id}/keys Keys:Get {
			accept pat session
		}
		route GET    /v2/closed {
			accept none
		}
		route GET    /healthz {
			accept public
		}
		route GET    /v2/whoami
		route grpc   /clarifai.api.V2/ListInputs Inputs:Get
		credential header X-Api-Key
		credential query api_key`

// TestDecision is the table of the contract, row by row: what is asked, and
// what is answered.
func TestDecision(t *testing.T) {
	server := gatetest.Start(t, decisionSite)
	server.AddUsers("alice", "bob", "carol", "dave")
	server.AddApp("alice", "shop")
	server.AddApp("alice", "open")
	server.AddApp("bob", "farm")
	var (
		key      = server.AppKey("alice", "shop", "Inputs:Get")
		writer   = server.AppKey("alice", "shop", "Inputs:Get", "Inputs:Add")
		all      = server.AppKey("alice", "shop", "All")
		nothing  = server.AppKey("alice", "shop")
		pat      = server.PAT("alice", "Inputs:Get", "Keys:Get")
		session  = server.Session("alice")
		bobsPAT  = server.PAT("bob", "Inputs:Get", "Inputs:Add")
		carolPAT = server.PAT("carol", "Inputs:Get", "Inputs:Add")
		davesPAT = server.PAT("dave", "All")
	)
	limited, _ := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop",
		Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/ListInputs"}})
	expired, e := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	server.ChangeCredential(e.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) })
	disabled, e := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	server.ChangeCredential(e.ID, func(c *keys.Credential) { c.Disabled = true })
	revoked, e := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
	server.Update(func(tx *keys.Tx) error { return tx.Revoke(e.ID, "leaked") })
	server.AddUsers("eve")
	suspended := server.PAT("eve", "All")
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("eve", func(u *keys.User) error { u.Suspended = true; return nil })
		return err
	})
	addCollaborator := func(app, user string, scopes, endpoints []string) {
		server.Update(func(tx *keys.Tx) error {
			_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
				AppRef: keys.AppRef{OwnerID: "alice", AppID: app}, UserID: user}, Scopes: scopes, Endpoints: endpoints})
			return err
		})
	}
	addCollaborator("shop", "bob", []string{"Inputs:Get"}, nil)
	addCollaborator("shop", "carol", []string{"All"}, []string{})
	addCollaborator("open", keys.Everyone, []string{"All"}, []string{"/clarifai.api.V2/ListInputs"})
	forged := key[:len(key)-1] + string('A'+('B'-key[len(key)-1]+26)%26)
	if credential.FormOf(forged) != credential.Forged {
		forged = key[:len(key)-1] + "-"
	}

	const inputs = "/v2/users/alice/apps/shop/inputs"
	auth := func(k string) string { return "Authorization: Key " + k }
	grpcCall := "Content-Type: application/grpc"
	const allowed = 0
	for _, row := range []struct {
		step, name     string
		method, target string
		lines          []string
		status, code   int
		// grpc is the status a gRPC client would get, looked at where the
		// request is one.
		grpc string
		// details is a part of the answer, and header one of its lines.
		details, header string
	}{
		{step: "1 target", name: "unknown method", method: "BREW", target: "/v2/inputs", lines: []string{auth(key)}, status: 400, code: 11102},
		{step: "1 target", name: "WebDAV", method: "PROPFIND", target: "/v2/inputs", lines: []string{auth(key)}, status: 501, code: 11102},
		{step: "1 target", name: "WebDAV in lower case", method: "propfind", target: "/v2/inputs", lines: []string{auth(key)}, status: 400, code: 11102},
		{step: "1 target", name: "TRACE", method: "TRACE", target: "/v2/inputs", lines: []string{auth(key)}, status: 400, code: 11102},
		{step: "1 target", name: "double slash", method: "GET", target: "/v2//inputs", lines: []string{auth(key)}, status: 400, code: 11102},
		{step: "1 target", name: "dot segment", method: "GET", target: "/v2/%2e%2e/inputs", lines: []string{auth(key)}, status: 400, code: 11102},
		{step: "1 target", name: "before the credential", method: "GET", target: "/v2/a%2fb", status: 400, code: 11102},

		{step: "2 public", name: "without a credential", method: "GET", target: "/healthz"},
		{step: "2 public", name: "with any credential", method: "GET", target: "/healthz", lines: []string{auth("nonsense, nonsense"), auth(key)}},
		{step: "2 public", name: "by GET only", method: "POST", target: "/healthz", status: 401, code: 11102},

		{step: "3 credential", name: "none", method: "GET", target: "/v2/inputs", status: 401, code: 11102, header: `Www-Authenticate: Bearer realm="api"`},
		{step: "3 credential", name: "none, on no route", method: "GET", target: "/nothing", status: 401, code: 11102},
		{step: "3 credential", name: "none, gRPC", method: "POST", target: "/clarifai.api.V2/ListInputs", lines: []string{grpcCall}, grpc: "16"},
		{step: "3 credential", name: "another scheme", method: "GET", target: "/v2/inputs", lines: []string{"Authorization: Basic YTpi"}, status: 401, code: 11102},
		{step: "3 credential", name: "two Authorization", method: "GET", target: "/v2/inputs", lines: []string{auth(key), auth(key)}, status: 400, code: 11102},
		{step: "3 credential", name: "two Authorization of which one is Basic", method: "GET", target: "/v2/inputs", lines: []string{auth(key), "Authorization: Basic YTpi"}, status: 400, code: 11102},
		{step: "3 credential", name: "header and session header", method: "GET", target: "/v2/inputs", lines: []string{auth(key), "X-Clarifai-Session-Token: " + session}, status: 400, code: 11102},
		{step: "3 credential", name: "header and query", method: "GET", target: "/v2/inputs?api_key=x", lines: []string{auth(key)}, status: 400, code: 11102},
		{step: "3 credential", name: "query twice", method: "GET", target: "/v2/inputs?api_key=x&api_key=x", status: 400, code: 11102},
		{step: "3 credential", name: "query twice, once escaped", method: "GET", target: "/v2/inputs?api_key=x&api%5Fkey=x", status: 400, code: 11102},
		{step: "3 credential", name: "two in one value", method: "GET", target: "/v2/inputs", lines: []string{auth(key + ", " + key)}, status: 400, code: 11102},
		{step: "3 credential", name: "two spaces", method: "GET", target: "/v2/inputs", lines: []string{"Authorization: Key  " + key}, status: 400, code: 11102},
		{step: "3 credential", name: "a tab", method: "GET", target: "/v2/inputs", lines: []string{"Authorization: Key\t" + key}, status: 400, code: 11102},
		{step: "3 credential", name: "the scheme alone", method: "GET", target: "/v2/inputs", lines: []string{"Authorization: Bearer"}, status: 400, code: 11102},
		{step: "3 credential", name: "over 512 bytes", method: "GET", target: "/v2/inputs", lines: []string{auth(strings.Repeat("k", 513))}, status: 400, code: 11102},
		{step: "3 credential", name: "malformed, gRPC", method: "POST", target: "/clarifai.api.V2/ListInputs", lines: []string{grpcCall, "Authorization: Key"}, grpc: "3"},

		{step: "4 known", name: "unknown", method: "GET", target: "/v2/inputs", lines: []string{auth("0123456789abcdef0123456789abcdef")}, status: 401, code: 11009, header: `Www-Authenticate: Bearer realm="api", error="invalid_token"`},
		{step: "4 known", name: "unknown, of 512 bytes", method: "GET", target: "/v2/inputs", lines: []string{auth(strings.Repeat("k", 512))}, status: 401, code: 11009},
		{step: "4 known", name: "wrong checksum", method: "GET", target: "/v2/inputs", lines: []string{auth(forged)}, status: 401, code: 11009},
		{step: "4 known", name: "wrong length", method: "GET", target: "/v2/inputs", lines: []string{auth(key + "0")}, status: 401, code: 11009},
		{step: "4 known", name: "revoked", method: "GET", target: "/v2/inputs", lines: []string{auth(revoked)}, status: 401, code: 11009},
		{step: "4 known", name: "a key in the session header", method: "GET", target: "/v2/inputs", lines: []string{"X-Clarifai-Session-Token: " + key}, status: 401, code: 11009},
		{step: "4 known", name: "unknown, on no route", method: "GET", target: "/nothing", lines: []string{auth("0123456789abcdef")}, status: 401, code: 11009},
		{step: "4 known", name: "expired", method: "GET", target: "/v2/inputs", lines: []string{auth(expired)}, status: 401, code: 11008, details: "expired", header: `Www-Authenticate: Bearer realm="api", error="invalid_token"`},
		{step: "4 known", name: "disabled", method: "GET", target: "/v2/inputs", lines: []string{auth(disabled)}, status: 401, code: 11008, details: "disabled"},
		{step: "4 known", name: "its user suspended", method: "GET", target: "/v2/inputs", lines: []string{auth(suspended)}, status: 401, code: 11008, details: "suspended"},
		{step: "4 known", name: "revoked, gRPC", method: "POST", target: "/clarifai.api.V2/ListInputs", lines: []string{grpcCall, auth(revoked)}, grpc: "16"},

		{step: "5 route", name: "unknown path", method: "GET", target: "/v2/nothing", lines: []string{auth(all)}, status: 404, code: 11101},
		{step: "5 route", name: "matching is exact", method: "GET", target: "/v2/inputs/", lines: []string{auth(all)}, status: 404, code: 11101},
		{step: "5 route", name: "and case-sensitive", method: "GET", target: "/V2/inputs", lines: []string{auth(all)}, status: 404, code: 11101},
		{step: "5 route", name: "unknown method for it", method: "PUT", target: "/v2/inputs", lines: []string{auth(all)}, status: 405, code: 11103, header: "Allow: DELETE, GET, HEAD"},
		{step: "5 route", name: "a gRPC path without gRPC", method: "POST", target: "/clarifai.api.V2/ListInputs", lines: []string{auth(all)}, status: 404, code: 11101},
		{step: "5 route", name: "an endpoint of a REST route opens no gRPC path", method: "POST", target: "/clarifai.api.V2/PostInputs", lines: []string{grpcCall, auth(all)}, grpc: "12"},

		{step: "6 kind", name: "an app key where PATs are asked for", method: "GET", target: "/v2/users/alice/keys", lines: []string{auth(all)}, status: 403, code: 11007},
		{step: "6 kind", name: "none", method: "GET", target: "/v2/closed", lines: []string{auth(session)}, status: 403, code: 11007},

		{step: "7 ownership", name: "another app", method: "GET", target: "/v2/users/alice/apps/other/inputs", lines: []string{auth(all)}, status: 403, code: 11008},
		{step: "7 ownership", name: "another owner", method: "GET", target: "/v2/users/bob/apps/shop/inputs", lines: []string{auth(all)}, status: 403, code: 11008},
		{step: "7 ownership", name: "another app without its owner", method: "GET", target: "/v2/apps/farm/inputs", lines: []string{auth(all)}, status: 403, code: 11008},
		{step: "7 ownership", name: "a PAT on another's things", method: "GET", target: "/v2/users/bob/inputs", lines: []string{auth(pat)}, status: 403, code: 11008},
		{step: "7 ownership", name: "a PAT on another's app", method: "GET", target: "/v2/users/bob/apps/farm/inputs", lines: []string{auth(pat)}, status: 403, code: 11008},
		{step: "7 ownership", name: "a session on another's app", method: "GET", target: "/v2/users/bob/apps/farm/inputs", lines: []string{"X-Clarifai-Session-Token: " + session}, status: 403, code: 11008},
		{step: "7 ownership", name: "before scopes", method: "GET", target: "/v2/users/bob/apps/farm/inputs", lines: []string{auth(nothing)}, status: 403, code: 11008},
		{step: "7 ownership", name: "an escaped spelling of the owner", method: "GET", target: "/v2/users/b%C3%B6b/inputs", lines: []string{auth(pat)}, status: 403, code: 11008},

		{step: "8 scopes", name: "one missing", method: "POST", target: inputs, lines: []string{auth(key)}, status: 403, code: 11007, details: "Inputs:Add", header: `Www-Authenticate: Bearer realm="api", error="insufficient_scope", scope="Inputs:Add Inputs:Get"`},
		{step: "8 scopes", name: "all missing", method: "POST", target: inputs, lines: []string{auth(nothing)}, status: 403, code: 11007, details: "Inputs:Add, Inputs:Get"},
		{step: "8 scopes", name: "the endpoint missing", method: "POST", target: inputs, lines: []string{auth(limited)}, status: 403, code: 11007, details: "/clarifai.api.V2/PostInputs"},
		{step: "8 scopes", name: "limited, where a route has no endpoint", method: "GET", target: "/v2/apps/shop/inputs", lines: []string{auth(limited)}, status: 403, code: 11007, details: "limited to endpoints"},
		{step: "8 scopes", name: "missing, gRPC", method: "POST", target: "/clarifai.api.V2/ListInputs", lines: []string{grpcCall, auth(nothing)}, grpc: "7"},
		{step: "8 scopes", name: "less for the collaborator", method: "POST", target: inputs, lines: []string{auth(bobsPAT)}, status: 403, code: 11007, details: "Inputs:Add"},
		{step: "8 scopes", name: "no endpoint for the collaborator", method: "GET", target: inputs, lines: []string{auth(carolPAT)}, status: 403, code: 11007, details: "/clarifai.api.V2/ListInputs"},
		{step: "8 scopes", name: "less for everyone", method: "POST", target: "/v2/users/alice/apps/open/inputs", lines: []string{auth(davesPAT)}, status: 403, code: 11007, details: "/clarifai.api.V2/PostInputs"},

		{step: "9 forward", name: "Key", method: "GET", target: inputs, lines: []string{auth(key)}},
		{step: "9 forward", name: "Bearer", method: "GET", target: inputs, lines: []string{"Authorization: Bearer " + key}},
		{step: "9 forward", name: "the scheme in any case", method: "GET", target: inputs, lines: []string{"Authorization: kEY " + key}},
		{step: "9 forward", name: "HEAD as GET", method: "HEAD", target: inputs, lines: []string{auth(key)}},
		{step: "9 forward", name: "All", method: "POST", target: inputs, lines: []string{auth(all)}},
		{step: "9 forward", name: "both scopes", method: "POST", target: inputs, lines: []string{auth(writer)}},
		{step: "9 forward", name: "the endpoint listed", method: "GET", target: inputs, lines: []string{auth(limited)}},
		{step: "9 forward", name: "me", method: "GET", target: "/v2/users/me/apps/shop/inputs", lines: []string{auth(key)}},
		{step: "9 forward", name: "the app alone", method: "GET", target: "/v2/apps/shop/inputs", lines: []string{auth(key)}},
		{step: "9 forward", name: "nobody named", method: "GET", target: "/v2/inputs", lines: []string{auth(key)}},
		{step: "9 forward", name: "a PAT on its own", method: "GET", target: "/v2/users/alice/keys", lines: []string{auth(pat)}},
		{step: "9 forward", name: "a PAT on an app of its own", method: "GET", target: "/v2/apps/shop/inputs", lines: []string{auth(pat)}},
		{step: "9 forward", name: "a session by its header", method: "POST", target: inputs, lines: []string{"X-Clarifai-Session-Token: " + session}},
		{step: "9 forward", name: "a session in Authorization", method: "POST", target: inputs, lines: []string{auth(session)}},
		{step: "9 forward", name: "a collaborator", method: "GET", target: inputs, lines: []string{auth(bobsPAT)}},
		{step: "9 forward", name: "everyone is a collaborator", method: "GET", target: "/v2/users/alice/apps/open/inputs", lines: []string{auth(davesPAT)}},
		{step: "9 forward", name: "a further header", method: "GET", target: inputs, lines: []string{"X-Api-Key: " + key}},
		{step: "9 forward", name: "a further query field", method: "GET", target: inputs + "?api_key=" + key},
		{step: "9 forward", name: "no scope asked for", method: "GET", target: "/v2/whoami", lines: []string{auth(nothing)}},
		{step: "9 forward", name: "gRPC", method: "POST", target: "/clarifai.api.V2/ListInputs", lines: []string{grpcCall, auth(key)}},
	} {
		for _, protocol := range gatetest.Protocols {
			t.Run(row.step+"/"+row.name+"/"+protocol, func(t *testing.T) {
				a := server.Ask(gatetest.Client(t, protocol), row.method, row.target, row.lines...)
				if a.ProtoMajor != int(protocol[5]-'0') {
					t.Fatalf("answered by %s", a.Proto)
				}
				if row.grpc != "" {
					if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/grpc" || a.Header.Get("Grpc-Status") != row.grpc || a.Text != "" {
						t.Errorf("answered %s %v %q, want grpc-status %s", a.Status, a.Header, a.Text, row.grpc)
					}
				} else if row.status == allowed {
					if a.StatusCode != 200 || a.Forwarded == nil || a.Forwarded.Method != row.method {
						t.Fatalf("answered %s %q, want it forwarded", a.Status, a.Text)
					}
					if strings.Contains(fmt.Sprint(a.Forwarded.Header, a.Forwarded.URI), "ca") && leaks(a.Forwarded, server.Logs.Secrets()) {
						t.Errorf("the upstream was shown the credential: %s %v", a.Forwarded.URI, a.Forwarded.Header)
					}
					return
				} else if s := a.APIStatus(t); a.StatusCode != row.status || s.Code != row.code || !strings.Contains(s.Details, row.details) || s.ReqID == "" {
					t.Errorf("answered %s %s, want %d and %d (%s)", a.Status, a.Text, row.status, row.code, row.details)
				}
				if name, value, ok := strings.Cut(row.header, ": "); ok && a.Header.Get(name) != value {
					t.Errorf("%s is %q, want %q", name, a.Header.Get(name), value)
				}
				if a.Forwarded != nil {
					t.Errorf("the upstream was reached: %+v", a.Forwarded)
				}
				if leaks(&gatetest.Request{URI: a.Text, Header: a.Header}, server.Logs.Secrets()) {
					t.Errorf("the answer has the credential in it: %s", a.Text)
				}
			})
		}
	}
}

func leaks(s *gatetest.Request, secrets []string) bool {
	return slices.ContainsFunc(secrets, func(secret string) bool {
		return strings.Contains(s.URI, secret) || strings.Contains(fmt.Sprint(s.Header), secret)
	})
}

// Refusals for ownership are the same for every owner and app named: they tell
// nothing of what exists.
func TestOwnershipTellsNothing(t *testing.T) {
	server := gatetest.Start(t, decisionSite)
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	server.AddApp("bob", "farm")
	key, c := server.AppKey("alice", "shop", "All"), gatetest.Client(t, "HTTP/1.1")
	var answers []string
	for _, target := range []string{
		"/v2/users/bob/apps/farm/inputs", "/v2/users/bob/apps/nothing/inputs",
		"/v2/users/nobody/apps/nothing/inputs", "/v2/users/alice/apps/nothing/inputs",
		"/v2/apps/farm/inputs", "/v2/users/bob/inputs",
	} {
		a := server.Ask(c, "GET", target, "Authorization: Key "+key)
		h := a.Header.Clone()
		h.Del("Date")
		h.Del("Content-Length")
		answers = append(answers, fmt.Sprint(a.StatusCode, h, strings.ReplaceAll(a.Text, a.APIStatus(t).ReqID, "REQ_ID")))
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("%s\nis not\n%s", a, answers[0])
		}
	}
}

func TestErrorForms(t *testing.T) {
	for _, tt := range []struct{ form, contentType, part string }{
		{"clarifai", "application/json", `{"status":{"code":11007,"description":"API key has insufficient scopes","details":`},
		{"problem", "application/problem+json", `"type":"about:blank","title":"Forbidden","status":403,`},
		{"caddy", "text/plain; charset=utf-8", "handled 403"},
	} {
		t.Run(tt.form, func(t *testing.T) {
			server := gatetest.Start(t, "route GET /v2/inputs Inputs:Get\nerrors "+tt.form,
				"handle_errors {\nrespond \"handled {err.status_code}\"\n}")
			server.AddUsers("alice")
			server.AddApp("alice", "shop")
			a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/v2/inputs", "Authorization: Key "+server.AppKey("alice", "shop"))
			if a.StatusCode != http.StatusForbidden || a.Header.Get("Content-Type") != tt.contentType || !strings.Contains(a.Text, tt.part) {
				t.Errorf("answered %s %s %s", a.Status, a.Header.Get("Content-Type"), a.Text)
			}
			if tt.form != "caddy" && !strings.Contains(a.Text, `"missing_scopes":["Inputs:Get"]`) {
				t.Errorf("the missing scope is not named: %s", a.Text)
			}
		})
	}
}
