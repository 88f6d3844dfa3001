package management

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// A program that was written for Clarifai's own service runs against the gate
// unchanged except for its base address, and when it has deleted its app, the
// app's key is refused at once.
func TestProgramForClarifai(t *testing.T) {
	node := machine.Program(t, "node")
	m := startManagedWith(t, "include clarifai", "api_keys_manage")
	m.Upstream.AnswerWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":{"code":10000,"description":"Ok"}}`))
	})
	hash, err := signin.HashPassword(t.Context(), alicesPassword)
	if err != nil {
		t.Fatal(err)
	}
	m.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.PasswordHash = hash; return nil })
		return err
	})
	m.Logs.AddSecret(alicesPassword)

	cmd := exec.CommandContext(t.Context(), node, "program.js")
	cmd.Dir = "../../../testdata/clarifai-program"
	cmd.Env = append(os.Environ(), "CLARIFAI_API_BASE=http://"+m.Addr, "no_proxy=*")
	cmd.Stdin = strings.NewReader("alice@example.com\n" + alicesPassword + "\n")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the program: %v\n%s%s", err, &out, &stderr)
	}

	type came struct {
		Call string
		HTTP int
		Code manage.Code
	}
	want := []came{
		{"login", 200, 10000}, {"create app", 200, 10000}, {"create key", 200, 10000},
		{"predict", 200, 10000}, {"list inputs", 200, 10000}, {"list inputs of the app", 200, 10000},
		{"create token", 200, 10000}, {"list apps", 200, 10000},
		{"delete app", 200, 10000},
		{"predict afterwards", 401, manage.CodeKeyUnknown}, {"list inputs afterwards", 401, manage.CodeKeyUnknown},
		{"list apps afterwards", 200, 10000},
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, w := range want {
		var got came
		if i >= len(lines) {
			t.Fatalf("%s: the program did not come to it", w.Call)
		}
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil || got != w {
			t.Errorf("the program saw %s, want %+v", lines[i], w)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("the program made %d calls, want %d", len(lines), len(want))
	}
	if n := m.Upstream.Count(); n != 3 {
		t.Errorf("%d requests reached the upstream, want the three that the key was good for", n)
	}
	_, a, _ := m.call(m.Session("alice"), "GET", "/v2/users/alice/apps", "")
	if len(a.Apps) != 1 || a.Apps[0].ID != "alice-app" {
		t.Errorf("of the program's app is left %+v", a.Apps)
	}
}
