package decisions

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const resourceRoutes = `
	route GET  /v1/models
	route GET  /v1/models/{model_id}
	route POST /v1/models/{model_id}:run
	route POST /v1/chat
	route GET  /v1/search
	route POST /v1/upload
	route GET  /v1/files/{name=**}
	route grpc /pkg.Service/Other
	upgrade websocket`

const resourceSite = resourceRoutes + `
	resource model path model_id body model options.model query model
	resource file path name
	owner_limit 1KiB
	owner_timeout 100ms`

// startResources runs a gate with keys of alice: a key for each list of values
// in limits, by name, and one without limits, called any.
func startResources(t *testing.T, options string, limits map[string]policy.Values) (*gatetest.Server, map[string]string) {
	server := gatetest.Start(t, options)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	credentials := map[string]string{"any": "Authorization: Key " + server.AppKey("alice", "shop", "All")}
	for name, values := range limits {
		text, _ := server.AddCredential(keys.Credential{
			Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}, Resources: values,
		})
		credentials[name] = "Authorization: Key " + text
	}
	return server, credentials
}

var llama = policy.Values{"model": {"llama-3*"}}

// A key that is limited to some values of a resource addresses no others,
// wherever requests name one.
func TestResources(t *testing.T) {
	server, keys := startResources(t, resourceSite, map[string]policy.Values{
		"llama": llama, "none": {"model": {}}, "region": {"region": {"eu"}},
		"files": {"file": {"public/*"}}, "both": {"model": {"llama-3*"}, "file": {"public/*"}},
	})
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, key, method, target, contentType, body string
		status                                       int
	}{
		{"path", "llama", "GET", "/v1/models/llama-3-8b", "", "", 200},
		{"path, HEAD", "llama", "HEAD", "/v1/models/llama-3-8b", "", "", 200},
		{"path, another", "llama", "GET", "/v1/models/gpt-4", "", "", 403},
		{"path, another, HEAD", "llama", "HEAD", "/v1/models/gpt-4", "", "", 403},
		{"path, a longer beginning", "llama", "GET", "/v1/models/xllama-3", "", "", 403},
		{"path, another case", "llama", "GET", "/v1/models/LLAMA-3", "", "", 403},
		{"path, with a verb", "llama", "POST", "/v1/models/llama-3:run", "", "", 200},
		{"path, another with a verb", "llama", "POST", "/v1/models/gpt-4:run", "", "", 403},
		{"path, dots", "llama", "GET", "/v1/models/llama-3/../gpt-4", "", "", 400},
		{"path, dots with an escaped slash", "llama", "GET", "/v1/models/llama-3%2F..%2Fgpt-4", "", "", 400},
		{"path names none", "llama", "GET", "/v1/models", "", "", 200},
		{"the rest of a path", "files", "GET", "/v1/files/public/a/b", "", "", 200},
		{"the rest of a path, another", "files", "GET", "/v1/files/secret/a", "", "", 403},
		{"the rest of a path, none", "files", "GET", "/v1/files/", "", "", 403},

		{"query", "llama", "GET", "/v1/search?model=llama-3&q=x", "", "", 200},
		{"query, another", "llama", "GET", "/v1/search?model=gpt-4", "", "", 403},
		{"query, spelled otherwise", "llama", "GET", "/v1/search?Model=gpt-4", "", "", 403},
		{"query, escaped", "llama", "GET", "/v1/search?m%6fdel=gpt-4", "", "", 403},
		{"query, an escaped value", "llama", "GET", "/v1/search?model=g%70t-4", "", "", 403},
		{"query, in brackets", "llama", "GET", "/v1/search?model[]=gpt-4", "", "", 403},
		{"query, behind a mark", "llama", "GET", "/v1/search?!model=gpt-4", "", "", 403},
		{"query, permitted and another", "llama", "GET", "/v1/search?model=llama-3&model=gpt-4", "", "", 403},
		{"query, another and permitted", "llama", "GET", "/v1/search?model=gpt-4&model=llama-3", "", "", 403},
		{"query, empty", "llama", "GET", "/v1/search?model=", "", "", 403},
		{"query, dots", "llama", "GET", "/v1/search?model=llama-3/../gpt-4", "", "", 403},
		{"query, an invalid escape", "llama", "GET", "/v1/search?model=llama-3%2", "", "", 403},
		{"query, a prototype", "llama", "GET", "/v1/search?__proto__[model]=gpt-4", "", "", 403},
		{"query and path disagree", "llama", "GET", "/v1/models/llama-3?model=gpt-4", "", "", 403},

		{"body, none", "llama", "POST", "/v1/chat", "", "", 200},
		{"body names none", "llama", "POST", "/v1/chat", "application/json", `{"prompt":"x"}`, 200},
		{"body", "llama", "POST", "/v1/chat", "application/json", `{"model":"llama-3","prompt":"x"}`, 200},
		{"body, null", "llama", "POST", "/v1/chat", "application/json", `{"model":null}`, 200},
		{"body, another", "llama", "POST", "/v1/chat", "application/json", `{"model":"gpt-4"}`, 403},
		{"body, another of GET", "llama", "GET", "/v1/search", "application/json", `{"model":"gpt-4"}`, 403},
		{"body, escaped", "llama", "POST", "/v1/chat", "application/json", `{"model":"\u0067pt-4"}`, 403},
		{"body, dots", "llama", "POST", "/v1/chat", "application/json", `{"model":"llama-3\/..\/gpt-4"}`, 403},
		{"body, within", "llama", "POST", "/v1/chat", "application/json", `{"model":"llama-3","options":[{"model":"llama-3"},{"model":"gpt-4"}]}`, 403},
		{"body, a list", "llama", "POST", "/v1/chat", "application/json", `{"model":["llama-3"]}`, 403},
		{"body, empty", "llama", "POST", "/v1/chat", "application/json", `{"model":""}`, 403},
		{"body, twice", "llama", "POST", "/v1/chat", "application/json", `{"model":"gpt-4","model":"llama-3"}`, 400},
		{"body, spelled otherwise", "llama", "POST", "/v1/chat", "application/json", `{"model":"llama-3","Model":"gpt-4"}`, 400},
		{"body, no JSON", "llama", "POST", "/v1/chat", "application/json", `model: gpt-4`, 400},
		{"body, too large", "llama", "POST", "/v1/chat", "application/json", `{"x":"` + strings.Repeat("x", 2000) + `"}`, 413},
		{"body, a form", "llama", "POST", "/v1/chat", form, "model=llama-3", 400},
		{"body, a form in JSON", "llama", "POST", "/v1/chat", form, `"&mod%65l=gpt-4&"`, 403},
		{"body in parts", "llama", "POST", "/v1/upload", "multipart/form-data; boundary=x", "--x--\r\n", 415},
		{"body of another type", "llama", "POST", "/v1/upload", "application/octet-stream", `{}`, 415},
		{"path and body disagree", "llama", "POST", "/v1/models/llama-3:run", "application/json", `{"model":"gpt-4"}`, 403},
		{"query and body disagree", "llama", "POST", "/v1/chat?model=gpt-4", "application/json", `{"model":"llama-3"}`, 403},

		{"no value, and none named", "none", "GET", "/v1/models", "", "", 200},
		{"no value, and one named", "none", "GET", "/v1/models/llama-3", "", "", 403},
		{"undeclared", "region", "GET", "/v1/models", "", "", 403},
		{"two resources", "both", "GET", "/v1/files/public/a?model=llama-3", "", "", 200},
		{"two resources, the first another", "both", "GET", "/v1/files/secret?model=llama-3", "", "", 403},
		{"two resources, the second another", "both", "GET", "/v1/files/public/a?model=gpt-4", "", "", 403},

		// A key without limits, or with those of a resource that no body names, has
		// its bodies streamed as they come.
		{"unlimited", "any", "GET", "/v1/models/gpt-4?model=x&model[]=%zz", "", "", 200},
		{"unlimited, body", "any", "POST", "/v1/chat", "application/json", `{"model":7,"model":"x"`, 200},
		{"unlimited, too large", "any", "POST", "/v1/chat", "application/json", strings.Repeat("x", 2000), 200},
		{"unlimited, parts", "any", "POST", "/v1/upload", "multipart/form-data; boundary=x", "--x--\r\n", 200},
		{"limited elsewhere, parts", "files", "POST", "/v1/upload", "multipart/form-data; boundary=x", "--x--\r\n", 200},
	} {
		for _, protocol := range gatetest.Protocols {
			t.Run(tt.name+"/"+protocol, func(t *testing.T) {
				server.T = t
				var body io.Reader
				lines := []string{keys[tt.key]}
				if tt.body != "" {
					body, lines = strings.NewReader(tt.body), append(lines, "Content-Type: "+tt.contentType)
				}
				a := server.AskBody(gatetest.Client(t, protocol), tt.method, tt.target, body, lines...)
				if a.StatusCode != tt.status {
					t.Fatalf("answered %s %s, want %d", a.Status, a.Text, tt.status)
				}
				if tt.status != 200 {
					if a.Forwarded != nil {
						t.Error("the upstream was reached")
					}
					if tt.status == 403 && tt.method != "HEAD" {
						if code := a.APIStatus(t).Code; code != 11008 {
							t.Errorf("code %d", code)
						}
					}
					return
				}
				if a.Forwarded == nil || a.Forwarded.Body != tt.body {
					t.Errorf("the upstream saw %+v", a.Forwarded)
				}
			})
		}
	}
	server.T = t
	// A body that doesn't come is not waited for.
	if status := server.Raw("POST /v1/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n" + keys["llama"] + "\r\n\r\n{"); status != 408 {
		t.Errorf("a slow body is answered %d", status)
	}
}

// The answer is the same whichever value was named, and names no value of the key.
func TestResourceAnswersTellNoValue(t *testing.T) {
	server, keys := startResources(t, resourceSite, map[string]policy.Values{"llama": llama})
	client := gatetest.Client(t, "HTTP/1.1")
	var first string
	for _, target := range []string{"/v1/models/gpt-4", "/v1/models/nothing", "/v1/search?model=x", "/v1/search?model="} {
		a := server.Ask(client, "GET", target, keys["llama"])
		status := a.APIStatus(t)
		text := strings.Replace(a.Text, status.ReqID, "", 1)
		if first == "" {
			first = text
		}
		if text != first || !strings.Contains(text, "model") || strings.Contains(text, "llama") {
			t.Errorf("%s is answered %s, and another value %s", target, text, first)
		}
	}
}

// The gate doesn't look for resources in gRPC messages, so a limited key can send none.
func TestLimitedKeysSendNoMessages(t *testing.T) {
	server, keys := startResources(t, resourceSite, map[string]policy.Values{"llama": llama, "files": {"file": {"*"}}})
	message := string(gatetest.Frame(0, gatetest.UserApp("alice", "shop")))
	for _, tt := range []struct{ key, target, contentType, status string }{
		{"any", "/pkg.Service/Other", "application/grpc", ""},
		{"llama", "/pkg.Service/Other", "application/grpc", "7"},
		{"llama", "/pkg.Service/Other", "application/grpc+proto", "7"},
		{"llama", "/pkg.Service/Other", "application/grpc-web", "7"},
		{"llama", "/v1/chat", "application/grpc", "7"},
		{"files", "/pkg.Service/Other", "application/grpc", "7"},
	} {
		body := struct{ io.Reader }{strings.NewReader(message)}
		a := server.AskBody(gatetest.Client(t, "HTTP/2"), "POST", tt.target, body, keys[tt.key], "Content-Type: "+tt.contentType, "Te: trailers")
		if got := a.Header.Get("Grpc-Status"); got != tt.status || (a.Forwarded == nil) != (tt.status != "") {
			t.Errorf("%+v: answered %s, grpc-status %q, forwarded %v", tt, a.Status, got, a.Forwarded)
		}
	}
}

// A site that declares no resource refuses a limited key everywhere.
func TestResourcesOfASiteWithoutAny(t *testing.T) {
	server, keys := startResources(t, resourceRoutes, map[string]policy.Values{"llama": llama})
	client := gatetest.Client(t, "HTTP/1.1")
	for _, target := range []string{"/v1/models", "/v1/models/llama-3"} {
		if a := server.Ask(client, "GET", target, keys["llama"]); a.StatusCode != 403 || a.Forwarded != nil {
			t.Errorf("%s: answered %s", target, a.Status)
		}
		if a := server.Ask(client, "GET", target, keys["any"]); a.StatusCode != 200 {
			t.Errorf("%s by a key without limits: answered %s", target, a.Status)
		}
	}
}

// A body is read once for owners and resources. Only bodies of limited keys are searched
// for resources.
func TestResourcesNextToOwners(t *testing.T) {
	server, keys := startResources(t, `
		route POST /v1/chat
		owner_body user_app_id.user_id user_app_id.app_id
		resource model body model`, map[string]policy.Values{"llama": llama})
	for _, tt := range []struct {
		key, body string
		status    int
	}{
		{"llama", `{"model":"llama-3","user_app_id":{"user_id":"alice","app_id":"shop"}}`, 200},
		{"llama", `{"model":"llama-3","user_app_id":{"user_id":"bob"}}`, 403},
		{"llama", `{"model":"gpt-4","user_app_id":{"user_id":"alice"}}`, 403},
		{"llama", `{"Model":"gpt-4"}`, 400},
		{"any", `{"Model":"gpt-4"}`, 200},
		{"any", `{"model":"gpt-4","user_app_id":{"user_id":"alice"}}`, 200},
		{"any", `{"model":"gpt-4","user_app_id":{"user_id":"bob"}}`, 403},
	} {
		a := server.AskBody(gatetest.Client(t, "HTTP/1.1"), "POST", "/v1/chat", strings.NewReader(tt.body), keys[tt.key], "Content-Type: application/json")
		if a.StatusCode != tt.status || (a.Forwarded != nil) != (tt.status == 200) {
			t.Errorf("%s by %s: answered %s", tt.body, tt.key, a.Status)
		}
	}
}

// Clarifai's table and a resource of its models: by the path, and by the body of
// routes whose path names none.
func TestResourcesOfAnIncludedTable(t *testing.T) {
	server, keys := startResources(t, "include clarifai\nresource model path model_id body models.id model_ids.id", map[string]policy.Values{"llama": llama})
	for _, tt := range []struct {
		key, method, target, body string
		status                    int
	}{
		{"llama", "GET", "/v2/models/llama-3", "", 200},
		{"llama", "GET", "/v2/models/gpt-4", "", 403},
		{"llama", "GET", "/v2/users/alice/apps/shop/models/gpt-4/versions", "", 403},
		{"llama", "POST", "/v2/models/llama-3/outputs", `{"inputs":[]}`, 200},
		{"llama", "POST", "/v2/models/gpt-4/outputs", `{"inputs":[]}`, 403},
		{"llama", "POST", "/v2/models", `{"models":[{"id":"llama-3"},{"id":"gpt-4"}]}`, 403},
		{"llama", "POST", "/v2/models", `{"models":[{"id":"llama-3"}]}`, 200},
		{"any", "POST", "/v2/models", `{"models":[{"id":"llama-3"},{"id":"gpt-4"}]}`, 200},
	} {
		var body io.Reader
		if tt.body != "" {
			body = strings.NewReader(tt.body)
		}
		a := server.AskBody(gatetest.Client(t, "HTTP/1.1"), tt.method, tt.target, body, keys[tt.key], "Content-Type: application/json")
		if a.StatusCode != tt.status || (a.Forwarded != nil) != (tt.status == 200) {
			t.Errorf("%s %s %s by %s: answered %s %s", tt.method, tt.target, tt.body, tt.key, a.Status, a.Text)
		}
	}
	call := struct{ io.Reader }{bytes.NewReader(gatetest.Frame(0, nil))}
	a := server.AskBody(gatetest.Client(t, "HTTP/2"), "POST", "/clarifai.api.V2/PostModelOutputs", call, keys["llama"], "Content-Type: application/grpc", "Te: trailers")
	if a.Header.Get("Grpc-Status") != "7" || a.Forwarded != nil {
		t.Errorf("gRPC is answered %s %v", a.Status, a.Header)
	}
}

// An explanation of a request by a limited key agrees with the gate, and tells
// what it can't know of a body.
func TestExplanationsOfResources(t *testing.T) {
	server := gatetest.Start(t, resourceSite)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	text, record := server.AddCredential(keys.Credential{
		Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}, Resources: llama,
	})
	site := gates(t, server.Caddyfile(resourceSite))
	for _, tt := range []struct {
		method, target string
		refused        bool
	}{
		{"GET", "/v1/models", false},
		{"GET", "/v1/models/llama-3", false},
		{"GET", "/v1/models/gpt-4", true},
		{"GET", "/v1/search?model=llama-3", false},
		{"GET", "/v1/search?Model=gpt-4", true},
		{"grpc", "/pkg.Service/Other", true},
	} {
		if tt.method != "grpc" {
			a := server.Ask(gatetest.Client(t, "HTTP/1.1"), tt.method, tt.target, "Authorization: Key "+text)
			if (a.Forwarded == nil) != tt.refused {
				t.Errorf("%s: answered %s", tt.target, a.Status)
			}
		}
		list, err := gateway.Explain(t.Context(), server.Directory().Directory, nil, manage.ExplainQuery{
			Method: tt.method, Target: tt.target, Key: record.ID, Gates: site,
		})
		if err != nil || len(list) != 1 {
			t.Fatalf("got %v, %v", list, err)
		}
		x := list[0]
		ownership := x.Steps[authz.StepOwnership-1]
		if tt.refused {
			if x.Reason != "resource" || x.Status != 403 || decidedAt(x) != int(authz.StepOwnership) || !strings.Contains(ownership.Saw, "values of model") || ownership.Change == "" {
				t.Errorf("%s: explained %+v", tt.target, x)
			}
		} else if x.Outcome != manage.OutcomeAllowed || !strings.Contains(ownership.Saw, "The body, which isn't known here") {
			t.Errorf("%s: explained %+v", tt.target, x)
		}
	}
}

// In mode shadow, a request beyond a key's values is logged and handed on byte
// for byte.
func TestShadowOfResources(t *testing.T) {
	server, keys := startResources(t, resourceSite+"\nmode shadow", map[string]policy.Values{"llama": llama})
	n := 0
	for _, tt := range []struct {
		name, target, contentType, body, decision, reason string
		status                                            int
	}{
		{"permitted", "/v1/chat", "application/json", ` {"model":"llama-3"} `, shadowlog.Allow, "", 0},
		{"another", "/v1/chat", "application/json", ` {"model":"gpt-4"} `, shadowlog.Refuse, "resource", 403},
		{"another in the query", "/v1/chat?model=gpt-4", "application/json", `{"model":"llama-3"}`, shadowlog.Refuse, "resource", 403},
		{"no JSON", "/v1/chat", "application/json", `<chat/>`, shadowlog.Refuse, "target", 400},
		{"parts", "/v1/upload", "multipart/form-data; boundary=x", "--x--\r\n", shadowlog.Refuse, "target", 415},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server.T = t
			a := server.AskBody(gatetest.Client(t, "HTTP/1.1"), "POST", tt.target, strings.NewReader(tt.body), keys["llama"], "Content-Type: "+tt.contentType)
			if a.Forwarded == nil || a.Forwarded.Body != tt.body {
				t.Fatalf("answered %s, and the upstream saw %+v", a.Status, a.Forwarded)
			}
			n++
			if got := decisions(server, n)[n-1]; got.Decision != tt.decision || got.Reason != tt.reason || got.Status != tt.status {
				t.Errorf("logged %+v", got)
			}
		})
	}
}

// A live request ends when its key is limited to values that it doesn't name, or
// may not name, because its body was forwarded unread.
func TestLiveRequestsBeyondLaterValues(t *testing.T) {
	for _, tt := range []struct {
		name, target, body string
		before, after      policy.Values
		ends               bool
	}{
		{"still permitted", "/v1/chat?model=llama-3", `{"model":"llama-3-8b"}`, llama, policy.Values{"model": {"llama*"}}, false},
		{"limited in the path", "/v1/models/llama-3:run", "", nil, policy.Values{"model": {"gpt*"}}, true},
		{"still permitted in the path", "/v1/models/llama-3:run", "", nil, llama, false},
		{"limited in the query", "/v1/chat?model=llama-3", "", llama, policy.Values{"model": {"gpt*"}}, true},
		{"limited in the body", "/v1/chat", `{"model":"llama-3-8b"}`, llama, policy.Values{"model": {"llama-3"}}, true},
		{"limited in a body that wasn't looked into", "/v1/chat", `{"model":"llama-3"}`, nil, llama, true},
		{"limited without a body", "/v1/chat", "", nil, llama, false},
		{"limited where no body names it", "/v1/chat", `{"model":"llama-3"}`, nil, policy.Values{"file": {"x"}}, false},
		{"limited to what isn't declared", "/v1/chat", "", nil, policy.Values{"region": {"eu"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := gatetest.Start(t, resourceSite)
			server.AddUsers("alice")
			server.AddApp("alice", "shop")
			text, record := server.AddCredential(keys.Credential{
				Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}, Resources: tt.before,
			})
			inside, goOn := make(chan struct{}), make(chan struct{})
			server.Upstream.AnswerWith(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(inside)
				select {
				case <-goOn:
				case <-r.Context().Done():
				}
			})
			r, err := http.NewRequest("POST", "http://"+server.Addr+tt.target, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Key "+text)
			r.Header.Set("Content-Type", "application/json")
			client := gatetest.Client(t, "HTTP/1.1")
			client.Timeout = 0 // only the gate ends the request
			done := make(chan error, 1)
			go func() {
				resp, err := client.Do(r)
				if err == nil {
					resp.Body.Close()
				}
				done <- err
			}()
			gatetest.Receive(t, inside, "the request at the upstream")
			server.ChangeCredential(record.ID, func(c *keys.Credential) { c.Resources = tt.after })
			if !tt.ends {
				if n := server.Directory().Live(); n != 1 {
					t.Errorf("%d live requests", n)
				}
				close(goOn)
			}
			if err := gatetest.Receive(t, done, "the request's end"); (err != nil) != tt.ends {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
