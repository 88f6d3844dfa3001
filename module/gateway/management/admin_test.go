package management

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/manage"
)

func TestAdminManages(t *testing.T) {
	e := gatetest.StartAdmin(t, gatetest.StoreApp(filepath.Join(t.TempDir(), "keys.db")))
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api_keys/health", ""},
		{"POST", "/api_keys/v2/users", `{"users":[{"id":"alice"}]}`},
		{"POST", "/api_keys/v2/users/alice/apps", `{"apps":[{"id":"photos"}]}`},
		{"GET", "/api_keys/v2/users/alice/scopes", ""},
	} {
		if status, a := e.Call(c.method, c.path, c.body); status != http.StatusOK || a.Status.Code != manage.CodeOK {
			t.Fatalf("%s %s answered %d %+v", c.method, c.path, status, a.Status)
		}
	}
	_, a := e.Call("POST", "/api_keys/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`)
	if len(a.Keys) != 1 || !strings.HasPrefix(a.Keys[0].ID, "acmep_") {
		t.Errorf("made %+v: a key has the configured prefix", a)
	}
	for path, want := range map[string]int{
		"/api_keys/v2/users/zoe": http.StatusNotFound,
		"/api_keys/v2/nothing":   http.StatusNotFound,
		"/api_keys/":             http.StatusNotFound,
	} {
		if status, a := e.Call("GET", path, ""); status != want {
			t.Errorf("%s answered %d %+v", path, status, a.Status)
		}
	}
	if status, a := e.Call("POST", "/api_keys/health", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("answered %d %+v", status, a.Status)
	}
}

// The router of a failed configuration goes on serving; it has to find the
// configuration that runs.
func TestAdminAfterReloads(t *testing.T) {
	folder := t.TempDir()
	e := gatetest.StartAdmin(t, gatetest.StoreApp(filepath.Join(folder, "keys.db")))
	if status, a := e.Call("POST", "/api_keys/v2/users", `{"users":[{"id":"alice"}]}`); status != http.StatusOK {
		t.Fatalf("answered %d %+v", status, a.Status)
	}
	alice := func(want int) {
		t.Helper()
		if status, a := e.Call("GET", "/api_keys/v2/users/alice", ""); status != want {
			t.Errorf("answered %d %+v, want %d", status, a.Status, want)
		}
	}
	if err := e.Load(gatetest.StoreApp(filepath.Join(folder, "keys.db"))); err != nil {
		t.Fatal(err)
	}
	alice(http.StatusOK)
	broken := gatetest.StoreApp(filepath.Join(folder, "keys.db")) + `,"http":{"servers":{"s":{"listen":["no such address"]}}}`
	if err := e.Load(broken); err == nil {
		t.Fatal("the broken configuration was taken")
	}
	alice(http.StatusOK)
	if err := e.Load(gatetest.StoreApp(filepath.Join(folder, "other.db"))); err != nil {
		t.Fatal(err)
	}
	alice(http.StatusNotFound)
	if err := e.Load(""); err != nil {
		t.Fatal(err)
	}
	alice(http.StatusServiceUnavailable)
	if status, _ := e.Call("GET", "/api_keys/health", ""); status != http.StatusServiceUnavailable {
		t.Errorf("health answered %d without a store", status)
	}
}

// A store that can't be opened fails the configuration, and changes nothing
// about the one that runs.
func TestAdminRefusesAnInvalidStore(t *testing.T) {
	folder := t.TempDir()
	e := gatetest.StartAdmin(t, gatetest.StoreApp(filepath.Join(folder, "keys.db")))
	other := filepath.Join(folder, "other.db")
	if err := os.WriteFile(other, []byte(strings.Repeat("this is not a key store. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.Load(gatetest.StoreApp(other)); err == nil {
		t.Fatal("the file was taken for a key store")
	}
	if status, a := e.Call("GET", "/api_keys/health", ""); status != http.StatusOK {
		t.Errorf("health answered %d %+v", status, a.Status)
	}
}
