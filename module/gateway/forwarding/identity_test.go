package forwarding

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestIdentityHeaders(t *testing.T) {
	server := gatetest.Start(t, `
		route GET /v2/users/{user_id}/apps/{app_id}/inputs
		route GET /v2/users/{user_id}/inputs
		route GET /v2/inputs`)
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	key, keyRecord := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop"})
	pat, patRecord := server.AddCredential(keys.Credential{Kind: policy.PAT, UserID: "bob"})
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: "bob"}})
		return err
	})
	c := gatetest.Client(t, "HTTP/1.1")
	for _, tt := range []struct {
		name, target, credential string
		want                     map[string]string
	}{
		{"an app key", "/v2/inputs", key, map[string]string{"user-id": "alice", "key-id": keyRecord.ID, "key-type": "app_key", "owner-id": "alice", "app-id": "shop"}},
		{"an app key and me", "/v2/users/me/apps/shop/inputs", key, map[string]string{"user-id": "alice", "key-id": keyRecord.ID, "key-type": "app_key", "owner-id": "alice", "app-id": "shop"}},
		{"a PAT on no app", "/v2/users/bob/inputs", pat, map[string]string{"user-id": "bob", "key-id": patRecord.ID, "key-type": "pat"}},
		{"a collaborator", "/v2/users/alice/apps/shop/inputs", pat, map[string]string{"user-id": "bob", "key-id": patRecord.ID, "key-type": "pat", "owner-id": "alice", "app-id": "shop"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := server.Ask(c, "GET", tt.target, "Authorization: Key "+tt.credential)
			if a.Forwarded == nil {
				t.Fatalf("answered %s %s", a.Status, a.Text)
			}
			if got := gatetest.IdentityHeaders(a.Forwarded.Header); !maps.Equal(got, tt.want) {
				t.Errorf("told %v, want %v", got, tt.want)
			}
			if a.Forwarded.URI != tt.target {
				t.Errorf("forwarded as %s", a.Forwarded.URI)
			}
			if a.Forwarded.Header["Authorization"] != nil {
				t.Error("the credential was forwarded")
			}
		})
	}
}

// On public routes no credential is looked at, and none is forwarded.
func TestPublicRoutesForwardNoCredential(t *testing.T) {
	server := gatetest.Start(t, "route GET /public {\naccept public\n}\nsession_header X-Clarifai-Session-Token\ncredential query api_key\ncredential header X-Api-Key")
	c := gatetest.Client(t, "HTTP/1.1")
	for _, lines := range [][]string{
		{"Authorization: Key secret"},
		{"Authorization: Bearer  secret", "Authorization: key secret"},
		{"X-Clarifai-Session-Token: secret"},
		{"X-Api-Key: secret"},
	} {
		a := server.Ask(c, "GET", "/public?a=1&api_key=secret&b=%2F&api%5fkey=secret", lines...)
		if a.Forwarded == nil || strings.Contains(fmt.Sprint(a.Forwarded.Header, a.Forwarded.URI), "secret") || a.Forwarded.URI != "/public?a=1&b=%2F" {
			t.Errorf("with %v the upstream was shown %+v", lines, a.Forwarded)
		}
	}
	// Credentials of other schemes are left alone.
	if a := server.Ask(c, "GET", "/public", "Authorization: Basic YTpi"); a.Forwarded.Header.Get("Authorization") != "Basic YTpi" {
		t.Errorf("Basic was taken away")
	}
}

func TestOptionsOfForwarding(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		lines         []string
		check         func(http.Header) bool
	}{
		{"forward_credential", "forward_credential", nil, func(h http.Header) bool { return h.Get("Authorization") != "" }},
		{"keep_override_headers", "keep_override_headers", []string{"X-Original-Url: /x"}, func(h http.Header) bool { return h.Get("X-Original-Url") == "/x" }},
		{"another prefix", "identity_headers X-Who-", []string{"X-Who-User-Id: evil", "X-Caller-User-Id: theirs"}, func(h http.Header) bool {
			return h.Get("X-Who-User-Id") == "alice" && h.Get("X-Caller-User-Id") == "theirs"
		}},
		{"identity off", "identity_headers off", nil, func(h http.Header) bool { return len(gatetest.IdentityHeaders(h)) == 0 }},
		{"another session header", "session_header X-Session", []string{"X-Clarifai-Session-Token: theirs"}, func(h http.Header) bool {
			return h.Get("X-Clarifai-Session-Token") == "theirs"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := gatetest.Start(t, "route GET /v2/inputs\n"+tt.options)
			server.AddUsers("alice")
			server.AddApp("alice", "shop")
			a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/v2/inputs", append(tt.lines, "Authorization: Key "+server.AppKey("alice", "shop"))...)
			if a.Forwarded == nil || !tt.check(a.Forwarded.Header) {
				t.Errorf("answered %s %s, the upstream saw %+v", a.Status, a.Text, a.Forwarded)
			}
		})
	}
}

// The identity is there for other handlers too, and in the access log; refused
// requests are logged with their code, and with whose they were.
func TestPlaceholdersAndLog(t *testing.T) {
	server := gatetest.Start(t, "route GET /v2/inputs\nroute GET /v2/more More:Get", `header X-Seen "{http.auth.user.id} {http.auth.user.key_id} {http.auth.user.key_type} {http.auth.user.owner_id} {http.auth.user.app_id} {http.auth.user.nonsense}"`)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key, record := server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop"})
	c := gatetest.Client(t, "HTTP/1.1")
	server.Ask(c, "GET", "/v2/inputs", "Authorization: Key "+key)
	server.Logs.Wait(t, `"http.log.access"`, `"status":200`, `"user_id":"alice"`, `"key_id":"`+record.ID+`"`, `"key_type":"app_key"`, `"owner_id":"alice"`, `"app_id":"shop"`)
	a := server.Ask(c, "GET", "/v2/more", "Authorization: Key "+key)
	server.Logs.Wait(t, `"http.log.access"`, `"status":403`, `"code":11007`, `"key_id":"`+record.ID+`"`, `"uuid":"`+a.APIStatus(t).ReqID+`"`)
	server.Ask(c, "GET", "/v2/more", "Authorization: Key nonsense")
	server.Logs.Wait(t, `"http.log.access"`, `"status":401`, `"code":11009`)
}

func TestCORS(t *testing.T) {
	server := gatetest.Start(t, `
		route GET /v2/inputs Inputs:Get
		route POST /v2/inputs Inputs:Add
		session_header X-Clarifai-Session-Token
		cors https://app.example.com {
			headers X-Extra
		}
		cors https://other.example.com`)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := server.AppKey("alice", "shop", "Inputs:Get")
	server.Upstream.AnswerWith(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", "*")
		rw.Header().Set("Access-Control-Allow-Credentials", "true")
		rw.Header().Set("Vary", "Accept")
	})
	const origin, ours = "Origin: https://app.example.com", "https://app.example.com"
	for _, tt := range []struct {
		name, method, target string
		lines                []string
		status               int
		origin               string
	}{
		{"preflight", "OPTIONS", "/v2/inputs", []string{origin, "Access-Control-Request-Method: POST"}, 204, ours},
		{"preflight with a credential", "OPTIONS", "/v2/inputs", []string{origin, "Access-Control-Request-Method: GET", "Authorization: Key " + key}, 204, ours},
		{"preflight of an unknown route", "OPTIONS", "/v2/nothing", []string{origin, "Access-Control-Request-Method: GET"}, 403, ""},
		{"preflight of another origin", "OPTIONS", "/v2/inputs", []string{"Origin: https://evil.example.com", "Access-Control-Request-Method: GET"}, 403, ""},
		{"preflight of an origin that begins alike", "OPTIONS", "/v2/inputs", []string{origin + ".evil.com", "Access-Control-Request-Method: GET"}, 403, ""},
		{"allowed", "GET", "/v2/inputs", []string{origin, "Authorization: Key " + key}, 200, ours},
		{"allowed from the other origin", "GET", "/v2/inputs", []string{"Origin: https://other.example.com", "Authorization: Key " + key}, 200, "https://other.example.com"},
		{"allowed without an origin", "GET", "/v2/inputs", []string{"Authorization: Key " + key}, 200, ""},
		{"allowed from another origin", "GET", "/v2/inputs", []string{"Origin: https://evil.example.com", "Authorization: Key " + key}, 200, ""},
		{"a refusal can be read", "POST", "/v2/inputs", []string{origin, "Authorization: Key " + key}, 403, ours},
		{"a refusal can't be read by others", "POST", "/v2/inputs", []string{"Origin: null", "Authorization: Key " + key}, 403, ""},
		{"OPTIONS that is no preflight", "OPTIONS", "/v2/inputs", []string{origin, "Authorization: Key " + key}, 405, ours},
	} {
		for _, protocol := range gatetest.Protocols {
			t.Run(tt.name+"/"+protocol, func(t *testing.T) {
				a := server.Ask(gatetest.Client(t, protocol), tt.method, tt.target, tt.lines...)
				if a.StatusCode != tt.status || strings.Join(a.Header["Access-Control-Allow-Origin"], "|") != tt.origin {
					t.Errorf("answered %s %v, want %d and origin %q", a.Status, a.Header, tt.status, tt.origin)
				}
				if a.Header["Access-Control-Allow-Credentials"] != nil {
					t.Error("the upstream's CORS headers came through")
				}
				if !strings.Contains(strings.Join(a.Header["Vary"], ","), "Origin") {
					t.Errorf("Vary is %q", a.Header["Vary"])
				}
				if tt.status == 204 && (a.Header.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST" ||
					!strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "X-Clarifai-Session-Token, X-Extra")) {
					t.Errorf("the preflight allows %v", a.Header)
				}
				if (tt.status == 200) != (a.Forwarded != nil) {
					t.Errorf("the upstream saw %+v", a.Forwarded)
				}
			})
		}
	}
}
