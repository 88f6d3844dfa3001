package decisions

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// With the table that comes with the program, no request chooses a tenant that
// the caller has no right to, wherever Clarifai's requests name one.
func TestClarifaiOwners(t *testing.T) {
	server := gatetest.Start(t, "include clarifai")
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	server.AddApp("alice", "blog")
	server.AddApp("bob", "farm")
	callers := map[string]string{
		"app key": "Authorization: Key " + server.AppKey("alice", "shop", "All"),
		"PAT":     "Authorization: Key " + server.PAT("alice", "All"),
	}

	type request struct{ method, target, body string }
	get := func(target string) func(user, app string) request {
		return func(user, app string) request {
			return request{"GET", strings.NewReplacer("USER", user, "APP", app).Replace(target), ""}
		}
	}
	post := func(target, body string) func(user, app string) request {
		return func(user, app string) request {
			return request{"POST", target, strings.NewReplacer("USER", user, "APP", app).Replace(body)}
		}
	}
	// grpc sends a message with an owner and an app inside of the fields, the
	// innermost first.
	grpc := func(method string, fields ...protowire.Number) func(user, app string) request {
		return func(user, app string) request {
			message := append(gatetest.Field(1, []byte(user)), gatetest.Field(2, []byte(app))...)
			for _, n := range fields {
				message = gatetest.Field(n, message)
			}
			return request{"POST", "/clarifai.api.V2/" + method, string(gatetest.Frame(0, message))}
		}
	}
	for _, tt := range []struct {
		name string
		ask  func(user, app string) request
		grpc bool
		// app is true if app keys are accepted.
		app bool
	}{
		{name: "query", ask: get("/v2/inputs?user_app_id.user_id=USER&user_app_id.app_id=APP"), app: true},
		{name: "query, JSON names", ask: get("/v2/inputs?userAppId.userId=USER&userAppId.appId=APP"), app: true},
		{name: "query, after another", ask: get("/v2/inputs?user_app_id.user_id=alice&user_app_id.user_id=USER&user_app_id.app_id=APP"), app: true},
		{name: "body", ask: post("/v2/inputs", `{"inputs":[{"id":"a"}],"user_app_id":{"user_id":"USER","app_id":"APP"}}`), app: true},
		{name: "body, JSON names", ask: post("/v2/inputs", `{"userAppId":{"userId":"USER","appId":"APP"},"inputs":[]}`), app: true},
		{name: "body, in a list", ask: post("/v2/inputs", `{"user_app_id":[{"user_id":"alice"},{"user_id":"USER","app_id":"APP"}]}`), app: true},
		{name: "body, behind a path", ask: post("/v2/users/alice/apps/shop/inputs", `{"user_app_id":{"user_id":"USER","app_id":"APP"}}`), app: true},
		{name: "body, nested", ask: post("/v2/models/versions/upload", `{"upload_config":{"user_app_id":{"user_id":"USER","app_id":"APP"}}}`), app: true},
		{name: "body, nested in a list", ask: post("/v2/log_entries", `{"log_entries":[{"meta":{}},{"meta":{"user_app_id":{"user_id":"USER","app_id":"APP"}}}]}`)},
		{name: "message", ask: grpc("ListInputs", 1), grpc: true, app: true},
		{name: "message of another method", ask: grpc("PostInputs", 1), grpc: true, app: true},
		{name: "message with another number", ask: grpc("StreamLogEntries", 2), grpc: true},
		{name: "message, nested in a oneof", ask: grpc("PostModelVersionsUpload", 1, 1), grpc: true, app: true},
		{name: "message, nested under another number", ask: grpc("PostArtifactVersionsUpload", 1, 2), grpc: true, app: true},
		{name: "message, nested deeper", ask: grpc("PostLogEntries", 1, 9, 1), grpc: true},
	} {
		for caller, credential := range callers {
			if caller == "app key" && !tt.app {
				continue
			}
			for _, named := range []struct {
				name, user, app string
				allowed         bool
			}{
				{"own", "alice", "shop", true},
				{"another user's", "bob", "farm", false},
				{"another app", "alice", "nowhere", false},
			} {
				if named.name == "another app" && caller == "PAT" {
					continue // whether a user's app is there, the upstream knows
				}
				t.Run(tt.name+"/"+caller+"/"+named.name, func(t *testing.T) {
					rq := tt.ask(named.user, named.app)
					protocol, lines := "HTTP/1.1", []string{credential}
					if tt.grpc {
						protocol, lines = "HTTP/2", append(lines, "Content-Type: application/grpc", "Te: trailers")
					}
					var body io.Reader
					if rq.body != "" {
						body = bytes.NewReader([]byte(rq.body))
					}
					a := server.AskBody(gatetest.Client(t, protocol), rq.method, rq.target, body, lines...)
					switch {
					case named.allowed:
						if a.StatusCode != 200 || a.Forwarded == nil || a.Forwarded.Body != rq.body {
							t.Errorf("answered %s %v %s, the upstream saw %+v", a.Status, a.Header, a.Text, a.Forwarded)
						}
						return
					case tt.grpc:
						if got := a.Header.Get("Grpc-Status"); got != "7" {
							t.Errorf("answered %s, grpc-status %q", a.Status, got)
						}
					case a.StatusCode != 403 || a.APIStatus(t).Code != 11008:
						t.Errorf("answered %s %s", a.Status, a.Text)
					}
					if a.Forwarded != nil {
						t.Errorf("it reached the upstream: %+v", a.Forwarded)
					}
				})
			}
		}
	}
}
