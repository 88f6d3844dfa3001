package manage_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// storeService is a service of which the folder of the store is known.
func storeService(t *testing.T) (s *service, folder string) {
	t.Helper()
	folder = t.TempDir()
	store, err := boltstore.Open(filepath.Join(folder, "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	return serviceOver(t, store), folder
}

// alone wants the store to be the only file in its folder.
func alone(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder of the store has %v, %v", entries, err)
	}
}

func TestBackupIsSent(t *testing.T) {
	s, folder := storeService(t)
	s.alice()
	w := httptest.NewRecorder()
	s.api.Serve(w, httptest.NewRequest(http.MethodGet, "/store/backup", http.NoBody), manage.Caller{Operator: true})
	body, h := w.Body.Bytes(), w.Header()
	if w.Code != http.StatusOK || h.Get("Content-Type") != "application/octet-stream" || h.Get("Cache-Control") != "no-store" ||
		h.Get("Content-Length") != strconv.Itoa(len(body)) || h.Get("Repr-Digest") != manage.SHA256Digest(sha256.Sum256(body)) ||
		!strings.HasPrefix(h.Get("Content-Disposition"), `attachment; filename="keys-20`) {
		t.Errorf("answered %d %v, %d bytes", w.Code, h, len(body))
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := boltstore.Examine(t.Context(), path); err != nil || len(found.Findings) > 0 || found.Records == 0 {
		t.Errorf("what was sent: %+v, %v", found, err)
	}
	alone(t, folder)
	// It is the operator's alone.
	for _, call := range []string{"backup", "check", "stats"} {
		if a := s.callAs(manage.Caller{}, "GET", "/store/"+call, ""); a.http == http.StatusOK {
			t.Errorf("%s: anybody is answered %s", call, a.body)
		}
		if a := s.call("GET", "/store/"+call, `{"x":1}`); a.http != http.StatusBadRequest {
			t.Errorf("%s with a body answered %d %s", call, a.http, a.body)
		}
		if a := s.call("POST", "/store/"+call, ""); a.http != http.StatusMethodNotAllowed {
			t.Errorf("POST of %s answered %d %s", call, a.http, a.body)
		}
	}
}

// goneWriter is a client that goes away.
type goneWriter struct{ http.ResponseWriter }

func (goneWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestBackupForWhoHasGone(t *testing.T) {
	s, folder := storeService(t)
	s.api.Serve(goneWriter{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/store/backup", http.NoBody), manage.Caller{Operator: true})
	alone(t, folder)
}

func TestStoreIsCheckedAndCounted(t *testing.T) {
	s, folder := storeService(t)
	s.alice()
	if a := s.must("GET", "/store/check", ""); !a.StoreCheck.Good || a.StoreCheck.Records == 0 || !strings.Contains(a.body, `"findings":[]`) {
		t.Errorf("answered %s", a.body)
	}
	if a := s.must("GET", "/store/stats", ""); a.StoreStats.Users != 1 || a.StoreStats.Apps != 1 {
		t.Errorf("answered %s", a.body)
	}
	alone(t, folder)
}

// Another kind of store may have its own ways.
func TestStoreWithoutBackups(t *testing.T) {
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := serviceOver(t, struct{ keys.Store }{store})
	for _, call := range []string{"backup", "check", "stats"} {
		if a := s.call("GET", "/store/"+call, ""); a.Status.Code != manage.CodeInvalid || !strings.Contains(a.body, "use what it comes with") {
			t.Errorf("%s answered %s", call, a.body)
		}
	}
}

// brokenStore is one of which the copy turns out to be damaged.
type brokenStore struct{ keys.Store }

func (brokenStore) Backup(context.Context, string) (keys.Backup, error) {
	return keys.Backup{}, errors.New("the store is damaged, on page 7")
}

// The operator is told, because nobody else will look after it.
func TestBackupThatFails(t *testing.T) {
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := serviceOver(t, brokenStore{store})
	if a := s.call("GET", "/store/backup", ""); a.Status.Code != manage.CodeStore || !strings.Contains(a.body, "on page 7") || len(s.failures) != 1 {
		t.Errorf("answered %s; the log was told %v", a.body, s.failures)
	}
}
