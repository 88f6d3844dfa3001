package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// buildsAlways makes imports build a store however small the file is.
func buildsAlways(t *testing.T) {
	t.Helper()
	before := buildBytes
	buildBytes = 1
	t.Cleanup(func() { buildBytes = before })
}

// described lists all keys of some users without what differs from import to
// import.
func described(t *testing.T, s *shell, users ...string) (list []string) {
	t.Helper()
	for _, user := range users {
		for _, k := range s.answer("", "key", "list", "--user", user).Keys {
			if k.KeyID == "" || k.CreatedAt.IsZero() {
				t.Errorf("there is %+v", k)
			}
			list = append(list, fmt.Sprintln(k.Type, k.UserID, k.Apps, k.Description, k.Scopes, k.Endpoints, k.Disabled, k.ExpiresAt, k.CreatedBy, k.Version))
		}
	}
	return list
}

// A store that is built has the same keys as one that batches were imported
// into, and the report says the same.
func TestKeyImportBuilds(t *testing.T) {
	text := "credential,sha256,user,app,type,description,scopes,endpoints,expires_at,disabled\n"
	for i := range 300 {
		text += fmt.Sprintf("%s,,user-%d,app-%d,,Key %d,Predict Inputs:Get,,,\n", sumOf(fmt.Sprint(i))[:40], i%3, i%2, i)
	}
	text += "," + sumOf(foreign) + ",user-1,,personal_access_token,hashed,All,/a.B/C,2100-01-01T00:00:00Z,true\n" +
		weakForeign + ",,user-2,app-0,,weak,none,,,\n" +
		sumOf("7")[:40] + ",,user-1,app-1,,again,Predict,,,\n"
	file := dump(t, "keys.csv", text)
	imported := func(t *testing.T) (out string, list []string) {
		s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
		s.must("", "user", "create", "user-0", "--email", "zero@example.com")
		out = s.must("", "key", "import", file, "--create-missing")
		contains(t, s.must("", "store", "check"), "is good")
		contains(t, s.must("", "audit", "--verify"), "is whole")
		contains(t, s.must(weakForeign, "key", "verify"), "active", "user-2")
		contains(t, s.must("", "key", "import", file), "0 imported, 303 there already")
		contains(t, s.must("", "audit"), "key.import", "user.create")
		return out, described(t, s, "user-0", "user-1", "user-2")
	}
	inBatches, want := imported(t)
	buildsAlways(t)
	atOnce, got := imported(t)
	if !slices.Equal(got, want) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	for _, out := range []string{inBatches, atOnce} {
		contains(t, out, "303 keys read: 302 imported, 1 there already", "line 303: warning", "line 304: again is cak_", "line 2: Key 0 is cak_", "1 warning")
	}
	if lines := strings.Count(atOnce, "\n"); lines != strings.Count(inBatches, "\n") {
		t.Errorf("the report has %d lines", lines)
	}
}

// A store that has keys is built again with them. What was there or revoked
// before stays so.
func TestKeyImportBuildsNextToKeys(t *testing.T) {
	s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
	s.must("", "key", "import", dump(t, "first.csv", manyKeys(100)), "--create-missing")
	before := s.answer("", "key", "list", "--user", "alice").Keys
	revoked := before[7].KeyID
	s.must("", "key", "revoke", revoked)
	buildsAlways(t)
	file := dump(t, "second.csv", manyKeys(300)) // with those of the first
	if r := s.run("", "key", "import", file); r.err == nil || !strings.Contains(r.out, "line 9: this credential was revoked") {
		t.Errorf("ended with %v: %s", r.err, r.out)
	}
	contains(t, s.must("", "key", "import", file, "--skip-revoked"), "300 keys read: 200 imported, 99 there already, 1 revoked here before")
	contains(t, s.must("", "store", "check"), "is good")
	contains(t, s.must("", "audit", "--verify"), "is whole")
	after := s.answer("", "key", "list", "--user", "alice").Keys
	if len(after) != 299 {
		t.Errorf("%d keys", len(after))
	}
	for i, k := range slices.Delete(before, 7, 8) {
		if after[i].KeyID != k.KeyID {
			t.Fatalf("key %d is %s, and was %s", i, after[i].KeyID, k.KeyID)
		}
	}
	if r := s.run(sumOf("7")[:40], "key", "verify"); r.err == nil {
		t.Error("the revoked key works again")
	}
	contains(t, s.must(sumOf("299")[:40], "key", "verify"), "active")
}

// With a mistake in the file nothing is imported, unless it is left out.
func TestKeyImportBuildsAllOrNothing(t *testing.T) {
	buildsAlways(t)
	text := manyKeys(100) +
		sumOf("x") + ",alice,photos,Predict/\n" + // line 102
		sumOf("y") + ",no body,photos,Predict\n" +
		sumOf("1")[:40] + ",bob,photos,Predict\n" +
		sumOf("z") + ",bob,photos,Predict\n"
	file := dump(t, "keys.csv", text)
	folder := t.TempDir()
	s := &shell{t: t, where: []string{"--db", filepath.Join(folder, "keys.db")}}
	s.must("", "user", "create", "alice")
	r := s.run("", "key", "import", file)
	contains(t, r.out, "line 2: app: this user has no such app: create it first, or have it made with --create-missing", "line 105: user: there is no such user", "0 to import")
	if r.err == nil {
		t.Error("keys of no app were imported")
	}
	r = s.run("", "key", "import", file, "--create-missing")
	contains(t, r.out, "line 102: scopes: one of them is not the name of a scope", "line 103: user: it is not the ID of a user",
		"line 104: this credential is there already, as a key of an earlier line, of another user", "104 keys read: 101 to import, 0 there already, 0 revoked here before, 3 that can't be imported")
	if r.err == nil || !strings.Contains(r.err.Error(), "nothing was imported") || strings.Contains(r.out, "cak_") {
		t.Errorf("ended with %v: %s", r.err, r.out)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v (%v)", left, err)
	}
	if list := s.answer("", "user", "list").Users; len(list) != 1 {
		t.Errorf("it made %v", list)
	}
	contains(t, s.must("", "key", "import", file, "--create-missing", "--skip-invalid"), "104 keys read: 101 imported", "line 105: of bob is cak_")
	contains(t, s.must("", "store", "check"), "is good")
}

// An import that is interrupted leaves nothing, and can be run again.
func TestKeyImportBuildsInterrupted(t *testing.T) {
	buildsAlways(t)
	folder := t.TempDir()
	s := &shell{t: t, where: []string{"--db", filepath.Join(folder, "keys.db")}}
	s.must("", "user", "create", "alice")
	file := dump(t, "keys.csv", manyKeys(2*batchKeysBuild))
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(append([]string{"api-keys", "key", "import", file, "--create-missing"}, s.where...))
	if err := root.ExecuteContext(ctx); err == nil || strings.Contains(out.String(), "(imported)") {
		t.Errorf("ended with %v\n%s", err, out.String())
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v (%v)", left, err)
	}
	if n := len(s.answer("", "key", "list", "--user", "alice").Keys); n != 0 {
		t.Errorf("%d keys", n)
	}
	var report struct {
		Keys []struct {
			KeyID string `json:"key_id"`
		}
		Imported int
	}
	printed := s.must("", "key", "import", file, "--create-missing", "-o", "json")
	if err := json.Unmarshal([]byte(printed), &report); err != nil || report.Imported != 2*batchKeysBuild || len(report.Keys) != report.Imported {
		t.Errorf("reported %d, and %d keys (%v)", report.Imported, len(report.Keys), err)
	}
	k := s.answer("", "key", "list", "--user", "alice").Keys
	if len(k) != 2*batchKeysBuild || !strings.HasPrefix(k[0].CreatedBy, "(import ") || k[0].Type != manage.TypeAppKey {
		t.Errorf("%d keys", len(k))
	}
}
