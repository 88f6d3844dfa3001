package gatetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// Admin is a running Caddy of which a test uses the admin endpoint only.
type Admin struct {
	// T is the test that it belongs to.
	T testing.TB
	// Addr is the host and port of the endpoint.
	Addr string
}

// StartAdmin runs Caddy with an admin endpoint and these apps, in JSON.
func StartAdmin(tb testing.TB, apps string) *Admin {
	tb.Helper()
	a := &Admin{T: tb, Addr: machine.FreeAddress(tb)}
	if err := a.Load(apps); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return a
}

// Load gives Caddy other apps.
func (a *Admin) Load(apps string) error {
	return caddy.Load(fmt.Appendf(nil,
		`{"admin":{"listen":%q,"config":{"persist":false}},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},"apps":{%s}}`, a.Addr, apps), true)
}

// StoreApp returns the configuration of the app api_keys with a store at path.
func StoreApp(path string) string {
	return fmt.Sprintf(`"api_keys":{"key_prefix":"acme","store":{"module":"bbolt","path":%q}}`, path)
}

// Call calls the admin endpoint and returns the status and the decoded answer.
func (a *Admin) Call(method, path, body string) (int, manage.Answer) {
	a.T.Helper()
	r, err := http.NewRequest(method, "http://"+a.Addr+path, strings.NewReader(body))
	if err != nil {
		a.T.Fatal(err)
	}
	resp, err := DoAgain(http.DefaultClient, r)
	if err != nil {
		a.T.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.T.Fatal(err)
	}
	var answer manage.Answer
	if err := json.Unmarshal(text, &answer); err != nil {
		a.T.Fatalf("%s %s answered %s", method, path, text)
	}
	return resp.StatusCode, answer
}
