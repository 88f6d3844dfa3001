package decisions

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
)

const ownerSite = `
	route GET  /v2/inputs Inputs:Get
	route POST /v2/inputs Inputs:Get
	route GET  /v2/users/{user_id}/inputs Inputs:Get
	route POST /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Get
	route grpc /pkg.Service/Method Inputs:Get
	route grpc /pkg.Service/Other Inputs:Get
	owner_query user_app_id.user_id user_app_id.app_id
	owner_body user_app_id.user_id user_app_id.app_id
	owner_message /pkg.Service/Method user_app_id.user_id=1.1 user_app_id.app_id=1.2
	descriptors ../../../testdata/proto/service.binpb
	owner_limit 1KiB
	owner_timeout 100ms`

// startOwners runs a gate at which alice has the app shop, and is a
// collaborator on bob's farm.
func startOwners(t *testing.T) (server *gatetest.Server, key, pat string) {
	server = gatetest.Start(t, ownerSite)
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	server.AddApp("bob", "farm")
	server.AddApp("bob", "barn")
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "bob", AppID: "farm"}, UserID: "alice"}, Scopes: []string{"All"}})
		return err
	})
	return server, "Authorization: Key " + server.AppKey("alice", "shop", "All"), "Authorization: Key " + server.PAT("alice", "All")
}

// The tenant that a query or a body names is checked like one in the path.
func TestOwnersOutsideThePath(t *testing.T) {
	server, key, pat := startOwners(t)
	const own = `{"user_app_id":{"user_id":"alice","app_id":"shop"},"inputs":[1]}`
	for _, tt := range []struct {
		name, credential, method, target, body string
		status                                 int
		owner, app                             string // that the upstream is told
	}{
		{"nobody named", key, "GET", "/v2/inputs", "", 200, "alice", "shop"},
		{"query, own", key, "GET", "/v2/inputs?user_app_id.user_id=alice&user_app_id.app_id=shop", "", 200, "alice", "shop"},
		{"query, me", key, "GET", "/v2/inputs?userAppId.userId=me", "", 200, "alice", "shop"},
		{"query, another", key, "GET", "/v2/inputs?user_app_id.user_id=bob", "", 403, "", ""},
		{"query, another app", key, "GET", "/v2/inputs?userAppId.appId=barn", "", 403, "", ""},
		{"query, own and another", key, "GET", "/v2/inputs?user_app_id.user_id=alice&user_app_id.user_id=bob", "", 403, "", ""},
		{"query, another and own", key, "GET", "/v2/inputs?user_app_id.user_id=bob&user_app_id.user_id=alice", "", 403, "", ""},
		{"query, a PAT on an app of which she is a collaborator", pat, "GET", "/v2/inputs?user_app_id.user_id=bob&user_app_id.app_id=farm", "", 200, "bob", "farm"},
		{"query, a PAT on another", pat, "GET", "/v2/inputs?user_app_id.user_id=bob&user_app_id.app_id=barn", "", 403, "", ""},
		{"an app in the query makes no collaborator", pat, "GET", "/v2/users/bob/inputs?user_app_id.app_id=farm", "", 403, "", ""},
		{"an app in one place, the owner alone in another", pat, "POST", "/v2/inputs?user_app_id.user_id=bob&user_app_id.app_id=farm", `{"user_app_id":{"user_id":"bob"}}`, 403, "", ""},
		{"both, then the owner alone", pat, "POST", "/v2/inputs", `{"user_app_id":{"user_id":"bob","app_id":"farm"},"user_app_id":{"user_id":"bob"}}`, 400, "", ""},
		{"query, an invalid escape", key, "GET", "/v2/inputs?q=100%", "", 400, "", ""},
		{"path and query disagree", pat, "GET", "/v2/users/alice/inputs?user_app_id.user_id=bob&user_app_id.app_id=farm", "", 403, "", ""},
		{"path and query agree", pat, "GET", "/v2/users/me/inputs?user_app_id.user_id=alice", "", 200, "", ""},

		{"body, none", key, "POST", "/v2/inputs", "", 200, "alice", "shop"},
		{"body, nobody named", key, "POST", "/v2/inputs", `{"inputs":[]}`, 200, "alice", "shop"},
		{"body, own", key, "POST", "/v2/inputs", own, 200, "alice", "shop"},
		{"body, another", key, "POST", "/v2/inputs", `{"user_app_id":{"user_id":"bob"}}`, 403, "", ""},
		{"body, another by its JSON name", key, "POST", "/v2/inputs", `{"userAppId":{"userId":"bob"}}`, 403, "", ""},
		{"body, another in a second object", key, "POST", "/v2/inputs", own[:len(own)-1] + `,"user_app_id":{"user_id":"bob"}}`, 400, "", ""},
		{"body, a PAT on an app of which she is a collaborator", pat, "POST", "/v2/inputs", `{"user_app_id":{"user_id":"bob","app_id":"farm"}}`, 200, "bob", "farm"},
		{"body, a PAT on another", pat, "POST", "/v2/inputs", `{"user_app_id":{"user_id":"bob","app_id":"barn"}}`, 403, "", ""},
		{"path and body disagree", pat, "POST", "/v2/users/bob/apps/farm/inputs", own, 403, "", ""},
		{"query and body disagree", pat, "POST", "/v2/inputs?user_app_id.app_id=shop", `{"user_app_id":{"app_id":"other"}}`, 403, "", ""},
		{"body, no JSON", key, "POST", "/v2/inputs", "user_app_id.user_id=bob", 400, "", ""},
		{"body, too large", key, "POST", "/v2/inputs", `{"x":"` + strings.Repeat("x", 2000) + `"}`, 413, "", ""},
	} {
		for _, protocol := range gatetest.Protocols {
			t.Run(tt.name+"/"+protocol, func(t *testing.T) {
				var body io.Reader
				if tt.body != "" {
					body = strings.NewReader(tt.body)
				}
				a := server.AskBody(gatetest.Client(t, protocol), tt.method, tt.target, body, tt.credential, "Content-Type: text/plain")
				if a.StatusCode != tt.status {
					t.Fatalf("answered %s %s, want %d", a.Status, a.Text, tt.status)
				}
				if tt.status != 200 {
					if a.Forwarded != nil {
						t.Errorf("the upstream was reached")
					}
					return
				}
				if told := gatetest.IdentityHeaders(a.Forwarded.Header); told["owner-id"] != tt.owner || told["app-id"] != tt.app {
					t.Errorf("told %v", told)
				}
				if a.Forwarded.Body != tt.body {
					t.Errorf("the upstream got %q", a.Forwarded.Body)
				}
			})
		}
	}
	// The fields that a form's parser would read from a JSON text.
	a := server.AskBody(gatetest.Client(t, "HTTP/1.1"), "POST", "/v2/inputs", strings.NewReader(`"&user_app_id.user_id=bob&"`), key, "Content-Type: application/x-www-form-urlencoded")
	if a.StatusCode != 403 || a.Forwarded != nil {
		t.Errorf("a form in JSON is answered %s", a.Status)
	}
	for _, tt := range []struct{ name, line string }{
		{"gzip", "Content-Encoding: gzip"},
		{"identity", "Content-Encoding: identity"},
		{"UTF-7", "Content-Type: application/json; charset=utf-7"},
		{"a charset twice", "Content-Type: application/json; charset=utf-8; charset=utf-7"},
		{"parts", "Content-Type: multipart/form-data; boundary=x"},
	} {
		if a := server.AskBody(gatetest.Client(t, "HTTP/1.1"), "POST", "/v2/inputs", strings.NewReader("{}"), key, tt.line); a.StatusCode != 415 || a.Forwarded != nil {
			t.Errorf("%s: answered %s", tt.name, a.Status)
		}
	}
	// A body that doesn't come is not waited for.
	status := server.Raw("POST /v2/inputs HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n" + key + "\r\n\r\n{")
	if status != 408 {
		t.Errorf("a slow body is answered %d", status)
	}
	// Nobody unknown has a body read: the answer comes before it does.
	silent, stop := io.Pipe()
	defer stop.Close()
	if a := server.AskBody(gatetest.Client(t, "HTTP/2"), "POST", "/v2/inputs", silent, "Authorization: Key nonsense"); a.StatusCode != 401 {
		t.Errorf("an unknown one's body is answered %s", a.Status)
	}
}

// The tenant that a message names is checked, in every message of a stream.
func TestOwnersInMessages(t *testing.T) {
	server, key, pat := startOwners(t)
	own, farm, barn := gatetest.Frame(0, gatetest.UserApp("alice", "shop")), gatetest.Frame(0, gatetest.UserApp("bob", "farm")), gatetest.Frame(0, gatetest.UserApp("bob", "barn"))
	none := gatetest.Frame(0, nil)
	const allowed = ""
	for _, tt := range []struct {
		name, credential, target, contentType string
		body                                  []byte
		grpc                                  string // the status of a refusal
		owner                                 string
	}{
		{"own", key, "/pkg.Service/Method", "application/grpc", own, allowed, "alice"},
		{"nobody", key, "/pkg.Service/Method", "application/grpc+proto", none, allowed, "alice"},
		{"no message", key, "/pkg.Service/Method", "application/grpc", nil, allowed, "alice"},
		{"another", key, "/pkg.Service/Method", "application/grpc", farm, "7", ""},
		{"a collaborator's PAT", pat, "/pkg.Service/Method", "application/grpc", farm, allowed, "bob"},
		{"a PAT on another", pat, "/pkg.Service/Method", "application/grpc", barn, "7", ""},
		{"merged", key, "/pkg.Service/Method", "application/grpc", gatetest.Frame(0, append(gatetest.UserApp("alice", "shop"), gatetest.UserApp("bob", "farm")...)), "3", ""},
		{"merged, an app taken back", pat, "/pkg.Service/Method", "application/grpc", gatetest.Frame(0, append(gatetest.UserApp("bob", "farm"), gatetest.Field(1, gatetest.Field(2, nil))...)), "3", ""},
		{"behind a scalar", key, "/pkg.Service/Method", "application/grpc", gatetest.Frame(0, gatetest.Field(9, gatetest.UserApp("bob", "farm"))), "3", ""},
		{"compressed", key, "/pkg.Service/Method", "application/grpc", gatetest.Frame(1, gatetest.UserApp("alice", "shop")), "3", ""},
		{"too large", key, "/pkg.Service/Method", "application/grpc", []byte{0, 0, 1, 0, 0}, "8", ""},
		{"no protobuf", key, "/pkg.Service/Method", "application/grpc", gatetest.Frame(0, []byte{0x0b}), "3", ""},
		{"another codec", key, "/pkg.Service/Method", "application/grpc+json", gatetest.Frame(0, []byte("{}")), "3", ""},
		{"the codec behind a semicolon", key, "/pkg.Service/Method", "application/grpc;json", none, "3", ""},
		{"gRPC-Web", key, "/pkg.Service/Method", "application/grpc-web+proto", farm, "7", ""},
		{"gRPC-Web as text", key, "/pkg.Service/Method", "application/grpc-web-text", []byte("AAAAAAA="), "3", ""},
		{"a later message, own", key, "/pkg.Service/Method", "application/grpc", bytes.Join([][]byte{own, none, own}, nil), allowed, "alice"},
		{"a later message, another's", key, "/pkg.Service/Method", "application/grpc", bytes.Join([][]byte{own, none, farm}, nil), "7", ""},
		{"a later message, another app of the caller's reach", pat, "/pkg.Service/Method", "application/grpc", append(own, farm...), "7", ""},
		{"a method that isn't looked into", key, "/pkg.Service/Other", "application/grpc", farm, allowed, "alice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var body io.Reader
			if tt.body != nil {
				body = struct{ io.Reader }{bytes.NewReader(tt.body)} // of unknown length, as a stream's
			}
			a := server.AskBody(gatetest.Client(t, "HTTP/2"), "POST", tt.target, body, tt.credential, "Content-Type: "+tt.contentType, "Te: trailers")
			if tt.grpc != allowed {
				if a.StatusCode != 200 || a.Header.Get("Grpc-Status") != tt.grpc || a.Text != "" {
					t.Fatalf("answered %s %v %q, want grpc-status %s", a.Status, a.Header, a.Text, tt.grpc)
				}
				if strings.Contains(tt.name, "later") {
					gatetest.Until(t, "the end at the upstream", func() bool { return server.Directory().Live() == 0 })
				} else if a.Forwarded != nil {
					t.Error("the upstream was reached")
				}
				return
			}
			if a.Forwarded == nil || a.Forwarded.Body != string(tt.body) {
				t.Fatalf("answered %s %v, the upstream saw %+v", a.Status, a.Header, a.Forwarded)
			}
			if told := gatetest.IdentityHeaders(a.Forwarded.Header); told["owner-id"] != tt.owner {
				t.Errorf("told %v", told)
			}
		})
	}
}

// A stream whose first message doesn't come ends.
func TestAStreamWithoutItsFirstMessageEnds(t *testing.T) {
	server, key, _ := startOwners(t)
	silent, stop := io.Pipe()
	defer stop.Close()
	r, _ := http.NewRequest("POST", "http://"+server.Addr+"/pkg.Service/Method", silent)
	name, value, _ := strings.Cut(key, ": ")
	r.Header.Set(name, value)
	r.Header.Set("Content-Type", "application/grpc")
	resp, err := gatetest.Client(t, "HTTP/2").Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Grpc-Status"); got != "4" || server.Upstream.Count() != 0 {
		t.Errorf("grpc-status %q, %d reached the upstream", got, server.Upstream.Count())
	}
}
