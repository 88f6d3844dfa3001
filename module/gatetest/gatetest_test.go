package gatetest_test

import (
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

const routes = "route GET /v2/inputs Inputs:Get"

// The harness allows what it should, and shows what the upstream saw of it.
func TestServer(t *testing.T) {
	server := gatetest.Start(t, routes)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := "Authorization: Key " + server.AppKey("alice", "shop", "Inputs:Get")
	for _, protocol := range gatetest.Protocols {
		client := gatetest.Client(t, protocol)
		a := server.Ask(client, "GET", "/v2/inputs", key, "X-Mark: here")
		if a.StatusCode != http.StatusOK || a.Text != "reached" || a.Forwarded == nil || a.Forwarded.Header.Get("X-Mark") != "here" {
			t.Errorf("%s: a good key is answered %s %q", protocol, a.Status, a.Text)
		}
		a = server.Ask(client, "GET", "/v2/inputs")
		if a.StatusCode != http.StatusUnauthorized || a.Forwarded != nil || a.APIStatus(t).ReqID == "" {
			t.Errorf("%s: no key is answered %s %q", protocol, a.Status, a.Text)
		}
	}
	if got := server.SendHTTP2("GET", "/v2/inputs", nil, key); got.Status != http.StatusOK || got.Reset {
		t.Errorf("frames are answered %+v", got)
	}
	if got := server.Raw("GET /v2/inputs HTTP/1.1\r\nHost: a\r\n\r\n"); got != http.StatusUnauthorized {
		t.Errorf("bytes are answered %d", got)
	}
	server.Logs.Wait(t, "http.log.access", "/v2/inputs")
	server.Forget()
	if n := server.Upstream.Count(); n != 0 {
		t.Errorf("%d requests are remembered", n)
	}
}

// A store that fails lets nobody through.
func TestFaultyStore(t *testing.T) {
	server := gatetest.StartFaulty(t, routes)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := "Authorization: Key " + server.AppKey("alice", "shop", "Inputs:Get")
	gatetest.BeforeReads(func() error { return errors.New("input/output error") })
	client := gatetest.Client(t, "HTTP/1.1")
	if a := server.Ask(client, "GET", "/v2/inputs", key); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a failing store is answered %s", a.Status)
	}
	gatetest.BeforeReads(nil)
	if a := server.Ask(client, "GET", "/v2/inputs", key); a.StatusCode != http.StatusOK {
		t.Errorf("a healed store is answered %s", a.Status)
	}
}

// The program doesn't contain the harness.
func TestProgramsLackTheHarness(t *testing.T) {
	deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../cmd/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(deps)) {
		if strings.Contains(name, "/module/gatetest") || name == "testing\n" {
			t.Errorf("the program contains %s", name)
		}
	}
}
