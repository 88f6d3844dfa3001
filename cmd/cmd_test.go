package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/spf13/cobra"

	_ "github.com/caddy-api-keys/gateway/caddyfile"
	"github.com/caddy-api-keys/gateway/module/boltstore"
	_ "github.com/caddy-api-keys/gateway/module/boltstore/caddymodule"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	_ "github.com/caddy-api-keys/gateway/module/etcdstore/caddymodule"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// ran is what came of a command.
type ran struct {
	out, errOut string
	err         error
}

// newRoot is caddy with the command group and nothing else.
func newRoot() *cobra.Command {
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	group := &cobra.Command{Use: "api-keys <command>"}
	configure(group)
	root.AddCommand(group)
	return root
}

// run runs caddy api-keys with standard input and arguments.
func run(t *testing.T, input string, args ...string) ran {
	t.Helper()
	root := newRoot()
	var out, errOut bytes.Buffer
	root.SetIn(strings.NewReader(input))
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(append([]string{"api-keys"}, args...))
	err := root.Execute()
	return ran{out.String(), errOut.String(), err}
}

// shell runs commands on one store.
type shell struct {
	t *testing.T
	// where are the flags that say where the store is.
	where []string
	// secrets must not be repeated in errors.
	secrets []string
}

func (s *shell) run(input string, args ...string) ran {
	s.t.Helper()
	r := run(s.t, input, append(args, s.where...)...)
	for _, secret := range s.secrets {
		if strings.Contains(r.errOut, secret) || r.err != nil && strings.Contains(r.err.Error(), secret) {
			s.t.Errorf("%v repeats a credential: %s %v", args, r.errOut, r.err)
		}
	}
	return r
}

// must is run for what has to succeed.
func (s *shell) must(input string, args ...string) string {
	s.t.Helper()
	r := s.run(input, args...)
	if r.err != nil {
		s.t.Fatalf("%v: %v\n%s", args, r.err, r.errOut)
	}
	return r.out
}

// answer is must with the API's own answer.
func (s *shell) answer(input string, args ...string) manage.Answer {
	s.t.Helper()
	var a manage.Answer
	out := s.must(input, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		s.t.Fatalf("%v printed %s: %v", args, out, err)
	}
	for _, k := range append(a.Keys, orNone(a.Key)) {
		if credential.FormOf(k.ID) == credential.Genuine {
			s.secrets = append(s.secrets, k.ID)
		}
	}
	return a
}

func orNone(k *manage.Key) manage.Key {
	if k == nil {
		return manage.Key{}
	}
	return *k
}

// shells are the two ways to a store: by an admin endpoint, and the file.
func shells(t *testing.T, test func(t *testing.T, s *shell)) {
	t.Run("admin endpoint", func(t *testing.T) {
		test(t, &shell{t: t, where: []string{"--address", adminEndpoint(t)}})
	})
	t.Run("store", func(t *testing.T) {
		test(t, &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}})
	})
}

// adminEndpoint serves the management API as Caddy's admin endpoint does.
func adminEndpoint(t *testing.T) string {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.New(store, 0)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.NewTable([]policy.Route{{Method: "GET", Pattern: "/x", Endpoint: []string{"/a.B/C"}}}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := policy.CatalogueOf([]policy.Scope{{Name: "Predict"}, {Name: "Models:Get", Needs: []string{"Predict"}}}, table.Rules())
	if err != nil {
		t.Fatal(err)
	}
	plans, err := policy.NewPlans([]policy.Plan{{Name: "free"}, {Name: "half", Limits: policy.Limits{Concurrent: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	api := &manage.API{Directory: d.Directory, Catalogue: catalogue, Plans: plans, Resources: []string{"model"}, Brand: "ca"}
	mux := http.NewServeMux()
	mux.Handle("/api_keys/", http.StripPrefix("/api_keys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "http://"+r.Host {
			t.Errorf("a request to %s has the origin %q", r.Host, origin)
		}
		api.Serve(w, r, manage.Caller{Operator: true})
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.Listener.Addr().String()
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

func TestUsers(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		contains(t, s.must("", "user", "create", "alice", "--name", "Alice", "--email", "alice@example.com"), "Created user alice.")
		s.must("a long password\n", "user", "create", "bob", "--password-file", "-")
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte("another long password\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		made := s.answer("", "user", "create", "--password-file", file).Users[0]
		contains(t, s.must("", "user", "list"), "ID", "alice", "Alice", "alice@example.com", "bob", made.ID)
		contains(t, s.must("", "user", "delete", "bob", made.ID), "bob", made.ID)
		if list := s.answer("", "user", "list").Users; len(list) != 1 || list[0].ID != "alice" {
			t.Errorf("listed %+v", list)
		}
		if r := s.run("", "user", "create", "alice"); r.err == nil || !strings.Contains(r.err.Error(), "exists") {
			t.Errorf("got %v", r.err)
		}
		if r := s.run("short", "user", "create", "zoe", "--password-file", "-"); r.err == nil || !strings.Contains(r.err.Error(), "longer") {
			t.Errorf("got %v", r.err)
		}
		if r := s.run("", "user", "create", "zoe", "--password-file", "-"); r.err == nil || !strings.Contains(r.err.Error(), "the input is empty") {
			t.Errorf("got %v", r.err)
		}
	})
}

func TestApps(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		out := s.must("", "app", "create", "photos", "--user", "alice", "--name", "Photos")
		contains(t, out, "Created app photos of alice", "shown only once", "\n    cak_")
		made := s.answer("", "app", "create", "--user", "alice")
		contains(t, s.must("", "app", "list", "--user", "alice"), "photos", "Photos", made.Apps[0].ID)
		contains(t, s.must("", "app", "delete", "photos", "--user", "alice"), "Deleted app photos")
		if list := s.answer("", "app", "list", "--user", "alice").Apps; len(list) != 1 {
			t.Errorf("listed %+v", list)
		}
		if r := s.run("", "app", "delete", "a/b", "--user", "alice"); r.err == nil {
			t.Error("an app that can't be was deleted")
		}
	})
}

func TestKeys(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		s.answer("", "app", "create", "photos", "--user", "alice")
		key := s.answer("", "key", "create", "--user", "alice", "--app", "photos", "--scopes", "Predict,Models:Get",
			"--endpoints", "/a.B/C", "--description", "for the tests", "--expires-in", "720h").Keys[0]
		if key.Type != manage.TypeAppKey || fmt.Sprint(key.Scopes, key.Endpoints) != "[Predict Models:Get] [/a.B/C]" || key.ExpiresAt == nil || key.Description != "for the tests" {
			t.Errorf("made %+v", key)
		}
		contains(t, s.must("", "key", "create", "--user", "alice", "--pat", "--scopes", "All"), "Created personal access token cap_", "shown only once", "\n    cap_")

		contains(t, s.must("", "key", "list", "--user", "alice"), key.KeyID, "app key", "personal access token", "photos", "for the tests", "never")
		if list := s.answer("", "key", "list", "--user", "alice", "--app", "photos").Keys; len(list) != 2 || list[1].ID != key.KeyID {
			t.Errorf("listed %+v", list)
		}
		contains(t, s.must("", "key", "show", key.KeyID), key.KeyID, "app key", "active", "alice", "photos", "Predict, Models:Get", "/a.B/C", "(operator)")
		if k := s.answer("", "key", "show", key.KeyID).Key; k.ID != key.KeyID {
			t.Errorf("shown %+v", k)
		}

		contains(t, s.must("", "key", "disable", key.KeyID), "Disabled "+key.KeyID)
		r := s.run(key.ID+"\n", "key", "verify")
		contains(t, r.out, "disabled", key.KeyID)
		if r.err == nil || !strings.Contains(r.err.Error(), "key enable") {
			t.Errorf("verified with %v", r.err)
		}
		contains(t, s.must("", "key", "enable", key.KeyID), "Enabled "+key.KeyID)
		contains(t, s.must(key.ID, "key", "verify"), "active", "alice", "photos", "Predict", "app key")
		contains(t, s.must(key.ID, "key", "verify", "-"), "active", key.KeyID)

		next := s.answer("", "key", "rotate", key.KeyID, "--grace", "1h").Key
		contains(t, s.must(key.ID, "key", "verify"), "active")
		contains(t, s.must("", "key", "rotate", next.KeyID), "to replace "+next.KeyID, "is revoked", "\n    cak_")
		r = s.run(next.ID, "key", "verify")
		contains(t, r.out, "revoked", "rotated", next.KeyID)
		if r.err == nil {
			t.Error("a revoked credential is fine")
		}

		contains(t, s.must("", "key", "revoke", key.KeyID), "Revoked "+key.KeyID)
		pats := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys
		pats = append(pats, s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys...)
		out := s.must(pats[0].ID+"\n\n"+pats[1].KeyID+"\n", "key", "revoke", "-")
		contains(t, out, "Revoked "+pats[0].KeyID+", "+pats[1].KeyID+" permanently.")
		if strings.Contains(out, pats[0].ID) {
			t.Errorf("it printed the whole credential: %s", out)
		}
		file := filepath.Join(t.TempDir(), "credential")
		if err := os.WriteFile(file, []byte(pats[0].ID), 0o600); err != nil {
			t.Fatal(err)
		}
		r = s.run("", "key", "verify", "--file", file)
		contains(t, r.out, "revoked", pats[0].KeyID)
		contains(t, s.must("", "key", "revoke", "--file", file), "Revoked before: "+pats[0].KeyID)
		left := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]
		leaked := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]
		foreign := strings.Repeat("x", 40)
		r = s.run(foreign+"\n\n"+leaked.ID+"\n"+strings.Repeat("y", 600)+"\r\n"+pats[0].ID, "key", "revoke", "-")
		if r.err != nil {
			t.Errorf("a list with an unknown line ended with %v", r.err)
		}
		contains(t, r.out, "Revoked "+leaked.KeyID+" permanently.", "Revoked before: "+pats[0].KeyID+".")
		contains(t, r.errOut, "line 1: no key here has this credential (…)", "line 4: ")
		if strings.Contains(r.errOut+r.out, foreign) || strings.Contains(r.errOut+r.out, leaked.ID) {
			t.Errorf("it printed a whole credential: %s%s", r.out, r.errOut)
		}
		if a := s.answer(foreign+"\n"+leaked.ID, "key", "revoke", "-"); len(a.Unknown) != 1 || a.Unknown[0].Index != 0 || *a.Count != 0 {
			t.Errorf("in JSON: %+v", a)
		}
		contains(t, s.must(foreign, "key", "revoke", "-"), "Revoked none.")

		r = s.run("", "key", "revoke", left.KeyID, "cap_000000000000")
		if want := "cap_000000000000: there is no such key, or it was revoked; nothing was revoked; leave it out to revoke the others"; r.err == nil || r.err.Error() != want {
			t.Errorf("ended with %v, want %s", r.err, want)
		}
		contains(t, s.must(left.ID, "key", "verify"), "active")
		gone := pats[1].KeyID
		for _, args := range [][]string{
			{"key", "show", gone}, {"key", "rotate", gone}, {"key", "disable", left.KeyID, gone}, {"key", "enable", left.KeyID, gone},
		} {
			want := gone + ": there is no such key, or it was revoked"
			if r := s.run("", args...); r.err == nil || r.err.Error() != want {
				t.Errorf("%v ended with %v, want %s", args, r.err, want)
			}
		}
		contains(t, s.must("", "key", "revoke", left.KeyID, gone), "Revoked "+left.KeyID+" permanently.", "Revoked before: "+gone+".")
		for says, args := range map[string][]string{
			`"user list"`: {"app", "create", "music", "--user", "nobody"},
			`"app list"`:  {"key", "create", "--user", "alice", "--app", "music", "--scopes", "All"},
		} {
			if r := s.run("", args...); r.err == nil || !strings.Contains(r.err.Error(), says) {
				t.Errorf("%v ended with %v, which doesn't name %s", args, r.err, says)
			}
		}
		if r := s.run("", "user", "delete", "alice", "nobody"); r.err == nil || r.err.Error() != "nobody: there is no such user" {
			t.Errorf("ended with %v", r.err)
		}

		for credential, says := range map[string]string{pats[0].ID[:54] + "~": "it is unknown", pats[0].ID[:54] + flip(pats[0].ID[54]): "mistyped"} {
			if r := s.run(credential, "key", "verify"); r.err == nil || !strings.Contains(r.err.Error(), says) {
				t.Errorf("verified with %v, want %q", r.err, says)
			}
		}
	})
}

// A refusal of a new record names the flag or the argument, not a field of the
// request.
func TestRefusalsNameFlags(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		s.must("", "app", "create", "photos", "--user", "alice")
		for begins, args := range map[string][]string{
			"alice: it exists already":         {"user", "create", "alice"},
			"me: ":                             {"user", "create", "me"},
			"--email: it is no":                {"user", "create", "zoe", "--email", "zoe"},
			"--name: ":                         {"user", "create", "zoe", "--name", "\x1b"},
			"--password-file: ":                {"user", "create", "zoe", "--password-file", "-"},
			"photos: it exists already":        {"app", "create", "photos", "--user", "alice"},
			"--user: there is no such user":    {"app", "create", "music", "--user", "nobody"},
			"--app: this user has no such app": {"key", "create", "--user", "alice", "--app", "music", "--scopes", "All"},
			"--scopes: ":                       {"key", "create", "--user", "alice", "--pat", "--scopes", "a b"},
			"--endpoints: ":                    {"key", "create", "--user", "alice", "--pat", "--scopes", "All", "--endpoints", "x"},
			"--description: ":                  {"key", "create", "--user", "alice", "--pat", "--scopes", "All", "--description", strings.Repeat("x", 5000)},
			"--expires-in: its year has to be": {"key", "create", "--user", "alice", "--pat", "--scopes", "All", "--expires-in", "2500000h"},
		} {
			if r := s.run("short", args...); r.err == nil || !strings.HasPrefix(r.err.Error(), begins) {
				t.Errorf("%v ended with %v, want %s…", args, r.err, begins)
			}
		}
	})
}

// A key of a suspended user is good for nothing, whatever else is said of it.
func TestKeysOfASuspendedUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	s := &shell{t: t, where: []string{"--db", path}}
	s.must("", "user", "create", "alice")
	s.must("", "user", "create", "bob")
	key := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]
	other := s.answer("", "key", "create", "--user", "bob", "--pat", "--scopes", "All").Keys[0]
	client, err := openStore(&call{Command: flagsOf(s.where)}, path)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = client.ask(t.Context(), "PATCH", []string{"users", "alice"}, nil, map[string]any{"user": map[string]any{"suspended": true}})
	if err := errors.Join(err, client.close()); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"key", "list", "--user", "alice"}, {"key", "show", key.KeyID}} {
		if out := s.must("", args...); !strings.Contains(out, "suspended") || strings.Contains(out, "active") {
			t.Errorf("%v printed\n%s", args, out)
		}
	}
	contains(t, s.must("", "key", "show", other.KeyID), "active")
	s.must("", "key", "list", "--user", "alice", "-o", "json")
}

// --db follows a link to a folder that is still to be made, as the module does.
func TestStoreBehindALink(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink(filepath.Join(folder, "data"), filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "data"} {
		s := &shell{t: t, where: []string{"--db", filepath.Join(folder, name, "sub", "keys.db")}}
		if name == "link" {
			s.must("", "user", "create", "alice")
		}
		contains(t, s.must("", "user", "list"), "alice")
	}
}

// A printed time has its distance from UTC.
func TestWhen(t *testing.T) {
	at := time.Date(2030, 12, 31, 23, 59, 59, 0, time.FixedZone("", 3600))
	read, err := time.Parse("2006-01-02 15:04:05 -07:00", when(at))
	if err != nil || !read.Equal(at) {
		t.Errorf("%s is shown as %s (%v)", at, when(at), err)
	}
}

// flip is another base62 character.
func flip(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

func TestListsHaveNoEnd(t *testing.T) {
	s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
	s.must("", "user", "create", "alice")
	client, err := openStore(&call{Command: flagsOf(s.where)}, s.where[1])
	if err != nil {
		t.Fatal(err)
	}
	const n = 2 // more pages than one
	for range n {
		list := make([]any, 1000)
		for i := range list {
			list[i] = map[string]any{"type": manage.TypePAT, "scopes": []string{"All"}}
		}
		if _, _, err := client.ask(t.Context(), "POST", []string{"users", "alice", "keys"}, nil, map[string]any{"keys": list}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.close(); err != nil {
		t.Fatal(err)
	}
	s.must("", "key", "create", "--user", "alice", "--pat", "--scopes", "All")
	if list := s.answer("", "key", "list", "--user", "alice").Keys; len(list) != n*1000+1 {
		t.Errorf("listed %d", len(list))
	}
	if lines := strings.Count(s.must("", "key", "list", "--user", "alice"), "\n"); lines != n*1000+2 {
		t.Errorf("listed %d lines", lines)
	}
	s.must("", "user", "create", "bob")
	if out := s.must("", "key", "list", "--user", "bob", "-o", "json"); !json.Valid([]byte(out)) {
		t.Errorf("printed %s", out)
	}
}

func flagsOf(args []string) *cobra.Command {
	cmd := &cobra.Command{}
	configure(cmd)
	_ = cmd.ParseFlags(args)
	return cmd
}

func TestUsageMistakes(t *testing.T) {
	text, id := credential.Mint("ca", policy.PAT)
	folder := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no such group", []string{"usr"}, `no command "usr"`},
		{"no such command", []string{"user", "creat"}, `no command "creat"`},
		{"a credential for a command", []string{"key", text}, "no command of that name"},
		{"unknown flag", []string{"user", "list", "--colour"}, "--colour"},
		{"bad flag", []string{"key", "rotate", id, "--grace", "soon"}, "grace"},
		{"bad output", []string{"user", "list", "-o", "yaml"}, "text or json"},
		{"too many arguments", []string{"user", "create", "a", "b"}, "it takes at most 1 argument, and 2 were given: caddy api-keys user create [ID]"},
		{"an argument for none", []string{"user", "list", "x"}, "it takes no arguments, and 1 was given: "},
		{"two arguments for one", []string{"key", "show", id, id}, "it takes 1 argument, and 2 were given: "},
		{"too few arguments", []string{"user", "delete"}, "it takes at least 1 argument, and none was given: caddy api-keys user delete ID..."},
		{"no user", []string{"app", "list"}, "--user"},
		{"no user for a key", []string{"key", "create", "--pat", "--scopes", "All"}, "--user"},
		{"neither app nor pat", []string{"key", "create", "--user", "alice", "--scopes", "All"}, "--pat"},
		{"app and pat", []string{"key", "create", "--user", "alice", "--scopes", "All", "--pat", "--app", "a"}, "--pat"},
		{"no scopes", []string{"key", "create", "--user", "alice", "--pat"}, "--scopes"},
		{"expired", []string{"key", "create", "--user", "alice", "--pat", "--scopes", "All", "--expires-in", "-1h"}, "--expires-in"},
		{"negative grace", []string{"key", "rotate", id, "--grace", "-1h"}, "--grace"},
		{"no key ID", []string{"key", "show", "0123456789abcdef0123456789abcdef"}, "is not a key ID"},
		{"nothing to revoke", []string{"key", "revoke"}, "by key ID"},
		{"revoke by both", []string{"key", "revoke", id, "--file", "x"}, "only one"},
		{"revoke by an id and -", []string{"key", "revoke", id, "-"}, "is not a key ID"},
		{"credential as argument", []string{"key", "revoke", text}, "standard input"},
		{"credential to verify as argument", []string{"key", "verify", text}, "standard input"},
		{"foreign credential as argument", []string{"key", "verify", "0123456789abcdef0123456789abcdef"}, "it takes no argument except -"},
		{"two credentials to verify", []string{"key", "verify", "-", "--file", "x"}, "either from standard input or"},
		{"credential in a flag", []string{"key", "list", "--user", text}, "--user"},
		{"two places", []string{"user", "list", "--address", "localhost:1"}, "one of them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, "", append(c.args, "--db", filepath.Join(folder, "none.db"))...)
			if r.err == nil || r.err.Error() != "exiting with status 2" {
				t.Errorf("ended with %v, want the exit status 2", r.err)
			}
			contains(t, r.errOut, "Error: ", c.says, "--help")
			if strings.Contains(r.errOut+r.out, text) || strings.Contains(r.errOut, "0123456789abcdef") {
				t.Errorf("it repeats a credential: %s", r.errOut)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(folder, "none.db")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a mistake made a key store")
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"user"}, {"key", "--help"}, {"key", "create", "--help"}} {
		if r := run(t, "", args...); r.err != nil || !strings.Contains(r.out, "Usage:") {
			t.Errorf("%v: %v\n%s", args, r.err, r.out)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	address := machine.FreeAddress(t)
	r := run(t, "", "user", "list", "--address", address)
	if r.err == nil {
		t.Fatal("it went well")
	}
	contains(t, r.err.Error(), address, "--db FILE", "start it")

	socket := "unix/" + filepath.Join(t.TempDir(), "none.sock")
	if r := run(t, "", "user", "list", "--address", socket); r.err == nil || !strings.Contains(r.err.Error(), "--db FILE") {
		t.Errorf("got %v", r.err)
	}
}

func TestSomethingElseAnswers(t *testing.T) {
	for name, body := range map[string]string{"text": "404 page not found", "JSON": `{"error":"unknown"}`} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, body)
			}))
			defer server.Close()
			r := run(t, "", "user", "list", "--address", server.Listener.Addr().String())
			if r.err == nil || !strings.Contains(r.err.Error(), "with this plug-in") {
				t.Errorf("got %v", r.err)
			}
		})
	}
}

func TestAdminEndpointOnSocket(t *testing.T) {
	folder := t.TempDir()
	socket := filepath.Join(folder, "caddy.sock")
	config := fmt.Sprintf(`{"admin":{"listen":"unix/%s|0600","config":{"persist":false}},
		"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},
		"apps":{"api_keys":{"store":{"module":"bbolt","path":%q}}}}`, socket, filepath.Join(folder, "keys.db"))
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &shell{t: t, where: []string{"--address", "unix/" + socket + "|0600"}}
	s.must("", "user", "create", "alice")
	contains(t, s.must("", "user", "list"), "alice")

	// The store belongs to the running Caddy.
	r := run(t, "", "user", "list", "--db", filepath.Join(folder, "keys.db"))
	if r.err == nil || !strings.Contains(r.err.Error(), "leave --db out") {
		t.Errorf("got %v", r.err)
	}
}

func TestStoreThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	r := run(t, "", "user", "list", "--db", path)
	if r.err == nil || !strings.Contains(r.err.Error(), "user create") {
		t.Errorf("got %v", r.err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("it was made")
	}
}

func TestOfflineAgainstConfiguration(t *testing.T) {
	folder := t.TempDir()
	config := filepath.Join(folder, "Caddyfile")
	err := os.WriteFile(config, []byte(`{
	api_keys {
		key_prefix acme
	}
}
http://localhost:8080 {
	handle /v2/* {
		api_keys {
			scope Inputs:Get
			scope Inputs:Add {
				needs Inputs:Get
			}
			route GET /v2/inputs Inputs:Get
		}
	}
}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, where: []string{"--db", filepath.Join(folder, "keys.db")}}
	s.must("", "user", "create", "alice")
	create := []string{"key", "create", "--user", "alice", "--pat", "--scopes"}
	if r := s.run("", append(create, "Anything")...); r.err != nil || !strings.Contains(r.errOut, "--config") {
		t.Errorf("without a configuration: %v, %q", r.err, r.errOut)
	}
	s.where = append(s.where, "--config", config)
	for scopes, says := range map[string]string{"Anything": "no Anything", "Inputs:Add": "need Inputs:Get"} {
		if r := s.run("", append(create, scopes)...); r.err == nil || !strings.Contains(r.err.Error(), says) {
			t.Errorf("%s: %v, want %q", scopes, r.err, says)
		}
	}
	r := s.run("", append(create, "Inputs:Add,Inputs:Get")...)
	if r.err != nil || strings.Contains(r.errOut, "not checked") || !strings.Contains(r.out, "acmep_") {
		t.Errorf("%v, %q, %q", r.err, r.errOut, r.out)
	}
}
