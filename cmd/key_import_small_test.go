package cmd

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// smallEndpoint is an admin endpoint of a store that writes little at once.
func smallEndpoint(t *testing.T) string {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	lease, err := directory.New(keystest.Small(store), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lease.Close(); err != nil {
			t.Error(err)
		}
	})
	api := &manage.API{Brand: "ca", Directory: lease.Directory, Failed: func(_ string, cause error) { t.Error(cause) }}
	server := httptest.NewServer(http.StripPrefix("/api_keys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.Serve(w, r, manage.Caller{Operator: true})
	})))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// An import into a store that writes little at once is made in smaller batches.
func TestKeyImportIntoSmallStore(t *testing.T) {
	address := smallEndpoint(t)
	s := &shell{t: t, where: []string{"--address", address}}
	file := dump(t, "keys.csv", manyKeys(150))
	for _, args := range [][]string{{file}, {"-", "--format", "csv"}} {
		stdin := ""
		if args[0] == "-" {
			stdin = manyKeys(150)
		}
		r := s.must(stdin, append([]string{"key", "import", "--create-missing"}, args...)...)
		want := "150 keys read: 150 imported, 0 there already"
		if stdin != "" {
			want = "150 keys read: 0 imported, 150 there already"
		}
		contains(t, r, want)
	}
	contains(t, s.must("", "audit", "--verify"), "whole")
	if n := len(s.answer("", "key", "list", "--user", "alice").Keys); n != 150 {
		t.Errorf("%d keys", n)
	}
}
