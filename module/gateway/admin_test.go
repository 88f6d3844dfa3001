package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// adminEndpoint is a running Caddy of which only the admin endpoint is used.
type adminEndpoint struct {
	t    *testing.T
	addr string
}

func startAdmin(t *testing.T, apps string) *adminEndpoint {
	t.Helper()
	e := &adminEndpoint{t: t, addr: machine.FreeAddress(t)}
	if err := e.load(apps); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func (e *adminEndpoint) load(apps string) error {
	return caddy.Load(fmt.Appendf(nil,
		`{"admin":{"listen":%q,"config":{"persist":false}},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},"apps":{%s}}`, e.addr, apps), true)
}

// appOver is the app's configuration over a store.
func appOver(path string) string {
	return fmt.Sprintf(`"api_keys":{"key_prefix":"acme","store":{"module":"bbolt","path":%q}}`, path)
}

func (e *adminEndpoint) call(method, path, body string) (int, manage.Answer) {
	e.t.Helper()
	r, err := http.NewRequest(method, "http://"+e.addr+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := getAgain(http.DefaultClient, r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	var a manage.Answer
	if err := json.Unmarshal(text, &a); err != nil {
		e.t.Fatalf("%s %s answered %s", method, path, text)
	}
	return resp.StatusCode, a
}

func TestAdminManages(t *testing.T) {
	e := startAdmin(t, appOver(filepath.Join(t.TempDir(), "keys.db")))
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api_keys/health", ""},
		{"POST", "/api_keys/v2/users", `{"users":[{"id":"alice"}]}`},
		{"POST", "/api_keys/v2/users/alice/apps", `{"apps":[{"id":"photos"}]}`},
		{"GET", "/api_keys/v2/users/alice/scopes", ""},
	} {
		if status, a := e.call(c.method, c.path, c.body); status != http.StatusOK || a.Status.Code != manage.CodeOK {
			t.Fatalf("%s %s answered %d %+v", c.method, c.path, status, a.Status)
		}
	}
	_, a := e.call("POST", "/api_keys/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`)
	if len(a.Keys) != 1 || !strings.HasPrefix(a.Keys[0].ID, "acmep_") {
		t.Errorf("made %+v: a key has the configured prefix", a)
	}
	for path, want := range map[string]int{
		"/api_keys/v2/users/zoe": http.StatusNotFound,
		"/api_keys/v2/nothing":   http.StatusNotFound,
		"/api_keys/":             http.StatusNotFound,
	} {
		if status, a := e.call("GET", path, ""); status != want {
			t.Errorf("%s answered %d %+v", path, status, a.Status)
		}
	}
	if status, a := e.call("POST", "/api_keys/health", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("answered %d %+v", status, a.Status)
	}
}

// The router of a failed configuration goes on serving; it has to find the
// configuration that runs.
func TestAdminAfterReloads(t *testing.T) {
	folder := t.TempDir()
	e := startAdmin(t, appOver(filepath.Join(folder, "keys.db")))
	if status, a := e.call("POST", "/api_keys/v2/users", `{"users":[{"id":"alice"}]}`); status != http.StatusOK {
		t.Fatalf("answered %d %+v", status, a.Status)
	}
	alice := func(want int) {
		t.Helper()
		if status, a := e.call("GET", "/api_keys/v2/users/alice", ""); status != want {
			t.Errorf("answered %d %+v, want %d", status, a.Status, want)
		}
	}
	if err := e.load(appOver(filepath.Join(folder, "keys.db"))); err != nil {
		t.Fatal(err)
	}
	alice(http.StatusOK)
	broken := appOver(filepath.Join(folder, "keys.db")) + `,"http":{"servers":{"s":{"listen":["no such address"]}}}`
	if err := e.load(broken); err == nil {
		t.Fatal("the broken configuration was taken")
	}
	alice(http.StatusOK)
	if err := e.load(appOver(filepath.Join(folder, "other.db"))); err != nil {
		t.Fatal(err)
	}
	alice(http.StatusNotFound)
	if err := e.load(""); err != nil {
		t.Fatal(err)
	}
	alice(http.StatusServiceUnavailable)
	if status, _ := e.call("GET", "/api_keys/health", ""); status != http.StatusServiceUnavailable {
		t.Errorf("health answered %d without a store", status)
	}
}

// A store that can't be opened fails the configuration, and changes nothing
// about the one that runs.
func TestAdminRefusesStoreThatIsNone(t *testing.T) {
	folder := t.TempDir()
	e := startAdmin(t, appOver(filepath.Join(folder, "keys.db")))
	other := filepath.Join(folder, "other.db")
	if err := os.WriteFile(other, []byte(strings.Repeat("this is not a key store. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.load(appOver(other)); err == nil {
		t.Fatal("the file was taken for a key store")
	}
	if status, a := e.call("GET", "/api_keys/health", ""); status != http.StatusOK {
		t.Errorf("health answered %d %+v", status, a.Status)
	}
}
