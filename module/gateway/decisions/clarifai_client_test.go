package decisions

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// clarifaiCalls are the calls that drive.js can make: how they arrive below
// the version or the app, and which ids the client finds in the answer.
var clarifaiCalls = []struct {
	name, method, path string
	ids                []string
}{
	{"predict", "POST", "/models/aaa03c23b3724a16a56b629203edc62c/outputs", []string{"ai_train", "ai_rail"}},
	{"list inputs", "GET", "/inputs?page=1&per_page=20", []string{"input-1", "input-2"}},
	{"create concepts", "POST", "/concepts", []string{"train", "rail"}},
	{"list models", "GET", "/models?per_page=20&page=1", []string{"model-1"}},
}

// clarifaiOptions are those of the published client: its credential, and what
// makes it name the app in paths.
type clarifaiOptions struct {
	APIKey       string `json:"apiKey,omitempty"`
	Token        string `json:"token,omitempty"`
	SessionToken string `json:"sessionToken,omitempty"`
	UserID       string `json:"userId,omitempty"`
	AppID        string `json:"appId,omitempty"`
}

// base is below what the client's paths begin.
func (o clarifaiOptions) base() string {
	if o.AppID == "" {
		return "/v2"
	}
	return "/v2/users/" + o.UserID + "/apps/" + o.AppID
}

// on names an app in the paths.
func (o clarifaiOptions) on(owner, app string) clarifaiOptions {
	o.UserID, o.AppID = owner, app
	return o
}

// TestClarifaiClient drives the gate with Clarifai's published client, against
// the table that comes with the program.
func TestClarifaiClient(t *testing.T) {
	server := gatetest.Start(t, "include clarifai")
	server.Upstream.AnswerWith(clarifaiUpstream().ServeHTTP)
	server.AddUsers("alice", "bob")
	server.AddApp("alice", "shop")
	server.AddApp("alice", "blog")
	server.AddApp("bob", "farm")
	drive := startClarifaiClient(t, "http://"+server.Addr)

	// A caller is a credential and what the upstream is told of it.
	type caller struct {
		clarifaiOptions
		told map[string]string
	}
	credential := func(kind policy.Kind, user, app string, scopes ...string) (string, map[string]string) {
		text, record := server.AddCredential(keys.Credential{Kind: kind, UserID: user, AppID: app, Scopes: scopes})
		told := map[string]string{"user-id": user, "key-id": record.ID, "key-type": kind.String()}
		if app != "" {
			told["owner-id"], told["app-id"] = user, app
		}
		return text, told
	}
	key := func(kind policy.Kind, user, app string, scopes ...string) caller {
		text, told := credential(kind, user, app, scopes...)
		return caller{clarifaiOptions{APIKey: text}, told}
	}
	session := func(user string) caller {
		text, told := credential(policy.Session, user, "")
		return caller{clarifaiOptions{SessionToken: text}, told}
	}
	reads := []string{"Annotations:Get", "Apps:Get", "Concepts:Get", "Inputs:Get", "Models:Get"}
	writes := append(slices.Clone(reads), "Concepts:Add", "Predict")
	var (
		writer  = key(policy.AppKey, "alice", "shop", writes...)
		reader  = key(policy.AppKey, "alice", "shop", reads...)
		little  = key(policy.AppKey, "alice", "shop", "Apps:Get")
		blog    = key(policy.AppKey, "alice", "blog", "All")
		farm    = key(policy.AppKey, "bob", "farm", "All")
		pat     = key(policy.PAT, "alice", "", writes...)
		alice   = session("alice")
		bob     = session("bob")
		bearer  = caller{clarifaiOptions{Token: writer.APIKey}, writer.told}
		onShop  = map[string]string{"owner-id": "alice", "app-id": "shop"}
		lackOne = map[string][]string{"predict": {"Predict"}, "create concepts": {"Concepts:Add"}}
		lackAll = map[string][]string{
			"predict":         {"Concepts:Get", "Models:Get", "Predict"},
			"list inputs":     {"Annotations:Get", "Concepts:Get", "Inputs:Get"},
			"create concepts": {"Concepts:Add", "Concepts:Get"},
			"list models":     {"Concepts:Get", "Models:Get"},
		}
	)

	for _, tt := range []struct {
		name string
		caller
		owner, app string // named in the paths
		// also is told on top, where the paths say more than the credential.
		also map[string]string
		// lacks are the calls that are refused for want of scopes.
		lacks map[string][]string
		// elsewhere: the app isn't one of this caller's.
		elsewhere bool
	}{
		{name: "a key that may", caller: writer},
		{name: "a key that may, on its app", caller: writer, owner: "alice", app: "shop"},
		{name: "a key that may, as a bearer token", caller: bearer, owner: "alice", app: "shop"},
		{name: "a key that may only read", caller: reader, lacks: lackOne},
		{name: "a key that may only read, on its app", caller: reader, owner: "alice", app: "shop", lacks: lackOne},
		{name: "a key that may not", caller: little, lacks: lackAll},
		{name: "a key that may not, on its app", caller: little, owner: "alice", app: "shop", lacks: lackAll},
		{name: "a key of another app of the owner's", caller: blog, owner: "alice", app: "shop", elsewhere: true},
		{name: "a key of another owner's app", caller: farm, owner: "alice", app: "shop", elsewhere: true},
		// Without an app in the request, the key's own app counts.
		{name: "a key of another app, which is told as its own", caller: farm},
		{name: "a personal access token", caller: pat},
		{name: "a personal access token, on an app", caller: pat, owner: "alice", app: "shop", also: onShop},
		{name: "a session", caller: alice},
		{name: "a session, on an app", caller: alice, owner: "alice", app: "shop", also: onShop},
		{name: "a session of another user's", caller: bob, owner: "alice", app: "shop", elsewhere: true},
	} {
		options := tt.on(tt.owner, tt.app)
		told := maps.Clone(tt.told)
		maps.Copy(told, tt.also)
		for _, call := range clarifaiCalls {
			t.Run(tt.name+"/"+call.name, func(t *testing.T) {
				before := server.Upstream.Count()
				got := drive(t, call.name, options)
				missing := tt.lacks[call.name]
				switch {
				case tt.elsewhere:
					got.refused(t, 403, 11008, nil)
				case missing != nil:
					got.refused(t, 403, 11007, missing)
				default:
					got.allowed(t, call.ids)
					if server.Upstream.Count() != before+1 {
						t.Fatalf("%d requests reached the upstream", server.Upstream.Count()-before)
					}
					s := server.Upstream.Last()
					if want := options.base() + call.path; s.Method != call.method || s.URI != want {
						t.Errorf("%s %s reached the upstream, want %s %s", s.Method, s.URI, call.method, want)
					}
					if got := gatetest.IdentityHeaders(s.Header); !maps.Equal(got, told) {
						t.Errorf("the upstream was told %v, want %v", got, told)
					}
					if s.Header["Authorization"] != nil || s.Header["X-Clarifai-Session-Token"] != nil {
						t.Error("the credential reached the upstream")
					}
					if got := s.Header.Get("X-Clarifai-Client"); got != "js:2.9.1" {
						t.Errorf("the client calls itself %q", got)
					}
					return
				}
				if server.Upstream.Count() != before {
					t.Error("it reached the upstream")
				}
			})
		}
	}

	// A credential is revoked under a client that goes on with it.
	for _, tt := range []struct {
		name       string
		kind       policy.Kind
		app        string // the credential's
		owner, on  string // named in the paths
		credential func(string) clarifaiOptions
	}{
		{name: "an app key", kind: policy.AppKey, app: "shop",
			credential: func(s string) clarifaiOptions { return clarifaiOptions{APIKey: s} }},
		{name: "an app key, on its app", kind: policy.AppKey, app: "shop", owner: "alice", on: "shop",
			credential: func(s string) clarifaiOptions { return clarifaiOptions{APIKey: s} }},
		{name: "a session", kind: policy.Session,
			credential: func(s string) clarifaiOptions { return clarifaiOptions{SessionToken: s} }},
		{name: "a session, on an app", kind: policy.Session, owner: "alice", on: "shop",
			credential: func(s string) clarifaiOptions { return clarifaiOptions{SessionToken: s} }},
	} {
		for _, call := range clarifaiCalls {
			t.Run("revoked between two calls/"+tt.name+"/"+call.name, func(t *testing.T) {
				text, record := server.AddCredential(keys.Credential{Kind: tt.kind, UserID: "alice", AppID: tt.app, Scopes: []string{"All"}})
				options := tt.credential(text).on(tt.owner, tt.on)
				drive(t, call.name, options).allowed(t, call.ids)
				// A call that the server still counts as live would end with its
				// connection, which the client uses again.
				gatetest.Until(t, "the end of the call", func() bool { return server.Directory().Live() == 0 })
				server.Update(func(tx *keys.Tx) error { return tx.Revoke(record.ID, "leaked") })
				before := server.Upstream.Count()
				drive(t, call.name, options).refused(t, 401, 11009, nil)
				if server.Upstream.Count() != before {
					t.Error("it reached the upstream")
				}
			})
		}
	}
}

// clarifaiUpstream answers as Clarifai does. The client reads the answers by
// what is in them, and ends where it misses something.
func clarifaiUpstream() http.Handler {
	type object = map[string]any
	ok := object{"code": 10000, "description": "Ok"}
	answer := func(w http.ResponseWriter, body object) {
		body["status"] = ok
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	// posted reads the list that a call is about.
	posted := func(w http.ResponseWriter, r *http.Request, name string) []object {
		var body map[string][]object
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body[name]) == 0 {
			http.Error(w, "the body has no "+name, http.StatusBadRequest)
			return nil
		}
		return body[name]
	}
	input := func(id string) object {
		return object{"id": id, "created_at": "2026-01-02T03:04:05Z", "status": object{"code": 30000, "description": "Download complete"},
			"data": object{"image": object{"url": "https://example.com/" + id + ".jpg"}, "concepts": []object{{"id": "train", "value": 1}}}}
	}

	mux := http.NewServeMux()
	for _, base := range []string{"/v2", "/v2/users/{user_id}/apps/{app_id}"} {
		mux.HandleFunc("POST "+base+"/models/{model_id}/outputs", func(w http.ResponseWriter, r *http.Request) {
			var outputs []object
			for _, in := range posted(w, r, "inputs") {
				outputs = append(outputs, object{"id": "output", "status": ok, "input": in,
					"model": object{"id": r.PathValue("model_id")},
					"data": object{"concepts": []object{
						{"id": "ai_train", "name": "train", "value": 0.99},
						{"id": "ai_rail", "name": "railway", "value": 0.98}}}})
			}
			if outputs != nil {
				answer(w, object{"outputs": outputs})
			}
		})
		mux.HandleFunc("GET "+base+"/inputs", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, object{"inputs": []object{input("input-1"), input("input-2")}})
		})
		mux.HandleFunc("POST "+base+"/concepts", func(w http.ResponseWriter, r *http.Request) {
			if concepts := posted(w, r, "concepts"); concepts != nil {
				answer(w, object{"concepts": concepts})
			}
		})
		mux.HandleFunc("GET "+base+"/models", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, object{"models": []object{{"id": "model-1", "name": "general", "model_version": object{"id": "version-1", "status": ok}}}})
		})
	}
	return mux
}

// clarifaiAnswer is what the client saw of a call.
type clarifaiAnswer struct {
	Status        int
	Data          []string
	Code          int
	MissingScopes []string `json:"missing_scopes"`
	Error         string
}

func (a clarifaiAnswer) allowed(t *testing.T, ids []string) {
	t.Helper()
	if a.Error != "" || a.Status != 200 || !slices.Equal(a.Data, ids) {
		t.Fatalf("the client saw %+v, want %v", a, ids)
	}
}

func (a clarifaiAnswer) refused(t *testing.T, status, code int, missing []string) {
	t.Helper()
	if a.Error != "" || a.Status != status || a.Code != code || !slices.Equal(a.MissingScopes, missing) {
		t.Errorf("the client saw %+v, want %d, %d, missing %v", a, status, code, missing)
	}
}

const clarifaiClientDir = "../../../testdata/clarifai-client"

// startClarifaiClient starts the script that makes calls with the published
// client, and answers a function that has it make one.
func startClarifaiClient(t *testing.T, base string) func(*testing.T, string, clarifaiOptions) clarifaiAnswer {
	t.Helper()
	node := machine.Program(t, "node")
	machine.NPMModules(t, clarifaiClientDir)

	ctx, cancel := context.WithTimeout(context.Background(), 4*gatetest.Deadline)
	cmd := exec.CommandContext(ctx, node, "drive.js")
	cmd.Dir = clarifaiClientDir
	// A proxy of the machine's isn't one for its own addresses.
	cmd.Env = append(os.Environ(), "no_proxy=*")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Its standard error is complete once it has ended.
	end := sync.OnceValue(func() error {
		defer cancel()
		return errors.Join(stdin.Close(), cmd.Wait())
	})
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("the client: %v\n%s", err, &stderr)
		}
	})

	lines := bufio.NewReader(stdout)
	return func(t *testing.T, call string, o clarifaiOptions) (a clarifaiAnswer) {
		t.Helper()
		err := json.NewEncoder(stdin).Encode(struct {
			Call   string          `json:"call"`
			Base   string          `json:"base"`
			Client clarifaiOptions `json:"client"`
		}{call, base, o})
		var line []byte
		if err == nil {
			line, err = lines.ReadBytes('\n')
		}
		if err != nil {
			t.Fatalf("the client is gone: %v, %v\n%s", err, end(), &stderr)
		}
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatalf("the client wrote %q: %v", line, err)
		}
		return a
	}
}
