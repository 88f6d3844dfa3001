package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// wantFiles fails unless a folder has exactly these files.
func wantFiles(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has %q, want %q", folder, got, want)
	}
}

func TestStoreBackup(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		key := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]
		folder := t.TempDir()
		file := filepath.Join(folder, "backup.db")
		contains(t, s.must("", "store", "backup", file), "Backed up ", " records, ", "to "+file+", and checked it")
		first, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("it has the mode %v, %v", info.Mode(), err)
		}
		copied := &shell{t: t, where: []string{"--db", file}}
		contains(t, copied.must("", "key", "show", key.KeyID), "active")

		// An existing file stays without --force.
		if r := s.run("", "store", "backup", file); r.err == nil || !strings.Contains(r.err.Error(), "--force") {
			t.Errorf("ended with %v", r.err)
		}
		s.must("", "user", "create", "bob")
		var b backedUp
		if err := json.Unmarshal([]byte(s.must("", "store", "backup", file, "--force", "-o", "json")), &b); err != nil || b.File != file || b.Size == 0 || b.SHA256 != hexSumOf(t, file) {
			t.Errorf("printed %+v, %v", b, err)
		}
		contains(t, copied.must("", "user", "list"), "bob")

		// To standard output, named or not.
		for _, args := range [][]string{{"store", "backup"}, {"store", "backup", "-"}} {
			piped := filepath.Join(folder, "piped.db")
			if err := os.WriteFile(piped, []byte(s.must("", args...)), 0o600); err != nil {
				t.Fatal(err)
			}
			if found, err := boltstore.Examine(t.Context(), piped); err != nil || len(found.Findings) > 0 {
				t.Errorf("%v: %+v, %v", args, found, err)
			}
			if err := os.Remove(piped); err != nil {
				t.Fatal(err)
			}
		}
		if r := s.run("", "store", "backup", "-o", "json"); r.err == nil || r.err.Error() != "exiting with status 2" {
			t.Errorf("ended with %v", r.err)
		}
		if r := s.run("", "store", "backup", filepath.Join(folder, "none", "backup.db")); r.err == nil {
			t.Error("a folder that is not there was written to")
		}
		wantFiles(t, folder, "backup.db")
		if bytes.Contains(first, []byte(key.ID)) {
			t.Error("the backup has a credential in it")
		}
	})
}

func hexSumOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// A backup that doesn't arrive as it was sent is refused.
func TestStoreBackupFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	s := &shell{t: t, where: []string{"--db", path}}
	s.must("", "user", "create", "alice")
	good := []byte(s.must("", "store", "backup"))
	sum := func(body []byte) string { return manage.SHA256Digest(sha256.Sum256(body)) }
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		says   string
	}{
		"cut short": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.Header().Set("Repr-Digest", sum(good))
			_, _ = w.Write(good[:len(good)/2])
		}, "unexpected EOF"},
		"altered": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.Header().Set("Repr-Digest", sum(good))
			altered := bytes.Clone(good)
			altered[len(good)/2] ^= 1
			_, _ = w.Write(altered)
		}, "arrived damaged"},
		"no store": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "4")
			w.Header().Set("Repr-Digest", sum([]byte("text")))
			_, _ = w.Write([]byte("text"))
		}, "not a key store"},
		"no sum": {func(w http.ResponseWriter) { _, _ = w.Write(good) }, "with this plug-in"},
		"an error": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"status":{"code":98006,"description":"Key store failure","details":"the disk is full","req_id":"x"}}`))
		}, "the disk is full"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }))
			defer server.Close()
			folder := t.TempDir()
			r := run(t, "", "store", "backup", filepath.Join(folder, "backup.db"), "--address", server.Listener.Addr().String())
			if r.err == nil || !strings.Contains(r.err.Error(), c.says) || r.out != "" {
				t.Errorf("ended with %v, printed %q; want %q", r.err, r.out, c.says)
			}
			wantFiles(t, folder)
		})
	}
}

func TestStoreStatsAndCheck(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		s.answer("", "app", "create", "photos", "--user", "alice")
		key := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]
		gone := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]
		s.must("", "key", "disable", key.KeyID)
		s.must("", "key", "revoke", gone.KeyID)
		out := s.must("", "store", "stats")
		contains(t, out, "Users", "Personal access tokens", "1, of which 1 disabled", "Audit entries", " from ", "B are free")
		st := s.answer("", "store", "stats").StoreStats
		if st.Users != 1 || st.Apps != 1 || st.AppKeys.Active != 1 || st.PATs.Disabled != 1 || st.Tombstones != 1 || st.AuditEntries == 0 || st.FileBytes == 0 {
			t.Errorf("counted %+v", st)
		}
		contains(t, s.must("", "store", "check"), "The key store is good: ", "every page, record and index read")
		if c := s.answer("", "store", "check").StoreCheck; !c.Good || c.Records == 0 || c.Findings == nil {
			t.Errorf("checked %+v", c)
		}
	})
}

// A file that no server would open is checked all the same.
func TestStoreCheckOfDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	s := &shell{t: t, where: []string{"--db", path}}
	s.must("", "user", "create", "alice", "--name", "Alice the first")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(file, []byte("Alice the first"), []byte("Alice the third")), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.run("", "store", "check")
	contains(t, r.out, "damage: ", `the user "alice"`, "checksum")
	if r.err == nil || !strings.Contains(r.err.Error(), "store restore") {
		t.Errorf("ended with %v", r.err)
	}
	r = s.run("", "store", "check", "-o", "json")
	var a manage.Answer
	if err := json.Unmarshal([]byte(r.out), &a); err != nil || a.StoreCheck.Good || !a.StoreCheck.Findings[0].Damage || r.err == nil {
		t.Errorf("printed %s, ended with %v", r.out, r.err)
	}
	if r := s.run("", "store", "backup", path+".backup"); r.err == nil || !strings.Contains(r.err.Error(), "store check") {
		t.Errorf("a backup of it ended with %v", r.err)
	}
}

func TestStoreRestoreUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"no store":   {"store", "restore", "backup.db"},
		"no file":    {"store", "restore", "--db", "keys.db"},
		"an address": {"store", "restore", "backup.db", "--db", "keys.db", "--address", "localhost:2019"},
		"two places": {"store", "check", "--db", "keys.db", "--address", "localhost:2019"},
	} {
		if r := run(t, "", args...); r.err == nil || r.err.Error() != "exiting with status 2" {
			t.Errorf("%s: ended with %v", name, r.err)
		}
	}
}

// A server with a gate, as a user runs it: what was revoked after the backup
// is refused after the restore.
func TestRevokedStaysRevokedThroughARestore(t *testing.T) {
	folder := t.TempDir()
	path, backup := filepath.Join(folder, "keys.db"), filepath.Join(folder, "backup.db")
	site, admin := machine.FreeAddress(t), machine.FreeAddress(t)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(fmt.Appendf(nil, `{
	admin %s
	persist_config off
	log {
		output discard
	}
	api_keys {
		store bbolt %s
	}
}
http://%s {
	api_keys {
		route GET /x Predict
	}
	respond "upstream"
}
`, admin, path, site), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	start := func() {
		t.Helper()
		if err := caddy.Load(config, true); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	gate := func(credential string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+site+"/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Key "+credential)
		r.Close = true
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != want {
			t.Errorf("the gate answered %d, %v; want %d", resp.StatusCode, err, want)
		}
	}
	online := &shell{t: t, where: []string{"--address", admin}}
	online.must("", "user", "create", "alice")
	create := []string{"key", "create", "--user", "alice", "--pat", "--scopes", "Predict"}
	revoked, kept := online.answer("", create...).Keys[0], online.answer("", create...).Keys[0]
	gate(revoked.ID, http.StatusOK)
	online.must("", "store", "backup", backup)
	online.must("", "key", "revoke", revoked.KeyID)
	since := online.answer("", create...).Keys[0]
	gate(revoked.ID, http.StatusUnauthorized)
	wantFiles(t, folder, "backup.db", "keys.db")

	restore := []string{"store", "restore", backup, "--db", path}
	if r := run(t, "", restore...); r.err == nil || !strings.Contains(r.err.Error(), "in use by another process") {
		t.Errorf("under a running server it ended with %v", r.err)
	}
	for _, where := range [][]string{{"--address", admin}, {"--db", backup}} {
		over := append([]string{"store", "backup", path, "--force"}, where...)
		if r := run(t, "", over...); r.err == nil || !strings.Contains(r.err.Error(), path+": a key store that is in use is not replaced") {
			t.Errorf("a backup in the place of the store that is in use ended with %v", r.err)
		}
	}
	wantFiles(t, folder, "backup.db", "keys.db")
	gate(kept.ID, http.StatusOK)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", restore...)
	if r.err != nil {
		t.Fatal(r.err)
	}
	contains(t, r.out, "Restored "+path, ".replaced-", "1 key: revoked since, stays revoked", "1 key: created since, is gone")

	start()
	gate(revoked.ID, http.StatusUnauthorized)
	gate(since.ID, http.StatusUnauthorized)
	gate(kept.ID, http.StatusOK)
	contains(t, online.must("", "store", "check"), "is good")

	// The store before is gone: then only who accepts it gets the backup.
	if err := errors.Join(caddy.Stop(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", restore...); r.err == nil || !strings.Contains(r.err.Error(), "--accept-lost-revocations") {
		t.Errorf("without the store before it ended with %v", r.err)
	}
	r = run(t, "", append(restore, "--accept-lost-revocations", "-o", "json")...)
	var report boltstore.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.err != nil || report.LostRevocations == "" {
		t.Errorf("printed %s, ended with %v", r.out, r.err)
	}
	start()
	gate(revoked.ID, http.StatusOK)
}
