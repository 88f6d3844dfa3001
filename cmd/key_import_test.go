package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// Credentials as others mint them.
const (
	foreign      = "9f86d081884c7d659a2feaa0c55ad015"
	otherForeign = "Zq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtA"
	weakForeign  = "production-password-2024"
)

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// dump writes a file of keys.
func dump(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// many keys as CSV, of one user and app, with n-th credentials that nobody
// could guess.
func manyKeys(n int) string {
	var b strings.Builder
	b.WriteString("credential,user,app,scopes\n")
	for i := range n {
		fmt.Fprintf(&b, "%s,alice,photos,Predict\n", sumOf(fmt.Sprint(i))[:40])
	}
	return b.String()
}

func TestKeyImport(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.secrets = append(s.secrets, foreign, otherForeign, weakForeign)
		s.must("", "user", "create", "alice")
		file := dump(t, "keys.csv", "credential,sha256,user,app,scopes,disabled\n"+
			foreign+",,alice,photos,Predict,\n,"+sumOf(otherForeign)+",bob,music,Predict,\n"+weakForeign+",,bob,music,Predict,true\n")

		// All missing users and apps are found before anything is imported.
		r := s.run("", "key", "import", file)
		contains(t, r.out, "line 2: app: this user has no such app", "line 3: user: there is no such user", "line 4: user", "3 keys read: 0 to import", "3 that can't be imported")
		contains(t, r.out, "have it made with --create-missing")
		if r.err == nil || !strings.Contains(r.err.Error(), "nothing was imported") {
			t.Errorf("ended with %v", r.err)
		}
		if r := s.run("", "key", "import", file+".none.csv"); r.err == nil || r.out != "" {
			t.Errorf("of no file it reported %q (%v)", r.out, r.err)
		}
		contains(t, s.must("", "key", "import", file, "--create-missing", "--dry-run"), "3 to import", "line 4: warning", "1 warning")
		if list := s.answer("", "user", "list").Users; len(list) != 1 {
			t.Errorf("a dry run made %v", list)
		}

		out := s.must("", "key", "import", file, "--create-missing")
		contains(t, out, "3 keys read: 3 imported", "line 4: warning: it looks as if it could be guessed")
		for _, secret := range s.secrets {
			if strings.Contains(out, secret) {
				t.Errorf("it printed a credential: %s", out)
			}
		}
		contains(t, s.must(foreign, "key", "verify"), "active", "alice", "photos", "cak_")
		contains(t, s.must(otherForeign, "key", "verify"), "active", "bob", "music")
		if r := s.run(weakForeign, "key", "verify"); r.err == nil || !strings.Contains(r.out, "disabled") {
			t.Errorf("verified with %v", r.err)
		}
		contains(t, s.must("", "key", "import", file), "0 imported, 3 there already")

		// Of two that can't both be, the second is refused, and no key is named
		// that there isn't.
		fresh := strings.ToUpper(otherForeign)
		r = s.run("", "key", "import", dump(t, "twice.csv", "credential,user,app,scopes\n"+fresh+",alice,photos,Predict\n"+fresh+",bob,music,Predict\n"))
		if contains(t, r.out, "line 3: this credential is there already, as a key of an earlier line, of another user"); r.err == nil {
			t.Error("one credential was imported for two")
		}

		// A revoked one stays so.
		s.must(foreign, "key", "revoke", "-")
		r = s.run("", "key", "import", file)
		if contains(t, r.out, "line 2: this credential was revoked", "--skip-revoked"); r.err == nil {
			t.Error("a revoked key was imported")
		}
		contains(t, s.must("", "key", "import", file, "--skip-revoked"), "0 imported, 2 there already, 1 revoked")
		if r := s.run(foreign, "key", "verify"); r.err == nil || !strings.Contains(r.out, "revoked") {
			t.Errorf("verified with %v", r.err)
		}

		// In JSON.
		var report struct {
			Report []struct {
				Line    int
				Field   string
				Reason  string
				Warning bool
			}
			DryRun                                               bool `json:"dry_run"`
			Read, Imported, Existing, Revoked, Refused, Warnings int
		}
		jsonl := dump(t, "keys.jsonl", fmt.Sprintf(`{"credential":%q,"user":"bob","app":"music","scopes":["Predict"]}`+"\n"+`{"credential":"short","user":"bob","app":"music","scopes":["Predict"]}`, strings.ToUpper(foreign)))
		r = s.run("", "key", "import", jsonl, "-o", "json", "--skip-invalid")
		if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.err != nil {
			t.Fatalf("printed %s (%v, %v)", r.out, err, r.err)
		}
		if len(report.Report) != 1 || report.Report[0].Line != 2 || report.Report[0].Field != "credential" || report.Read != 2 || report.Imported != 1 || report.Refused != 1 || report.DryRun {
			t.Errorf("reported %+v", report)
		}
		if out := s.must("", "key", "import", jsonl, "-o", "json", "--skip-invalid", "--dry-run"); !json.Valid([]byte(out)) {
			t.Errorf("printed %s", out)
		}
	})
}

// A file of more than one batch, of which one has mistakes.
func TestKeyImportInBatches(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		s.answer("", "app", "create", "photos", "--user", "alice")
		lines := strings.SplitAfter(manyKeys(2500), "\n")
		bad := strings.Join(append(append([]string{}, lines[:1500]...), strings.Replace(lines[1500], "Predict", "Predict/", 1), strings.Join(lines[1501:], "")), "")
		file := dump(t, "keys.csv", bad)
		r := s.run("", "key", "import", file)
		contains(t, r.out, "line 1501: scopes: ", "2499 to import")
		if n := len(s.answer("", "key", "list", "--user", "alice").Keys); r.err == nil || n != 1 {
			t.Errorf("ended with %v, and %d keys", r.err, n)
		}

		// From standard input, batches before the mistake are imported.
		r = s.run(bad, "key", "import", "-", "--format", "csv")
		contains(t, r.out, "line 1501: scopes: ", "2000 keys read: 1000 imported")
		if r.err == nil || !strings.Contains(r.err.Error(), "until then 1000 keys were imported") {
			t.Errorf("ended with %v", r.err)
		}
		if n := len(s.answer("", "key", "list", "--user", "alice").Keys); n != 1001 {
			t.Errorf("%d keys", n)
		}
		contains(t, s.must("", "key", "import", file, "--skip-invalid"), "2500 keys read: 1499 imported, 1000 there already", "1 that can't")
		contains(t, s.must(strings.Join(lines, ""), "key", "import", "-", "--format", "csv"), "1 imported, 2499 there already")
		contains(t, s.must(strings.Join(lines, ""), "key", "import", "-", "--format", "csv", "--dry-run"), "0 to import, 2500 there already")
		if n := len(s.answer("", "key", "list", "--user", "alice").Keys); n != 2501 {
			t.Errorf("%d keys", n)
		}
	})
}

// A credential that the file has twice, for two users and in two batches, is
// found only when the first of them is there.
func TestKeyImportOfOneCredentialForTwo(t *testing.T) {
	file := dump(t, "keys.csv", manyKeys(batchKeysOffline)+strings.Replace(strings.Split(manyKeys(1), "\n")[1], "alice", "bob", 1)+"\n")
	for _, args := range [][]string{nil, {"--skip-invalid"}} {
		s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
		s.must("", "user", "create", "alice")
		args = append([]string{"key", "import", file, "--create-missing"}, args...)
		r := s.run("", args...)
		contains(t, r.out, "10001 keys read: 10000 imported")
		says := "line 10002: this credential is there already, as the key "
		if len(args) == 5 {
			says = "1 key was refused that could have been imported"
		}
		if r.err == nil || !strings.Contains(r.err.Error(), says) {
			t.Errorf("%v ended with %v", args, r.err)
		}
		contains(t, s.run("", args...).out, "line 10002: this credential is there already")
	}
}

// Other inputs than files can be read only once.
func TestKeyImportFromAPipe(t *testing.T) {
	s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
	s.must("", "user", "create", "alice")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		_, _ = io.WriteString(w, manyKeys(10))
		_ = w.Close()
	}()
	contains(t, s.must("", "key", "import", fmt.Sprintf("/dev/fd/%d", r.Fd()), "--format", "csv", "--create-missing"), "10 keys read: 10 imported")
}

func TestKeyImportFromOtherGateways(t *testing.T) {
	for _, c := range []struct {
		file  string
		args  []string
		keys  int
		wrong string
		user  string // one of whom keys were imported
	}{
		{"kong-deck.yaml", []string{"--app", "imported"}, 8, "line 40: credential: this is a reference to a key", "ada-example-com-b5fc85e55755"},
		{"kong-db_export.yaml", []string{"--pat"}, 1, "line 16: consumer", "storefront"},
		{"tyk-detailed.json", []string{"--app", "imported"}, 3, "line 6: key_hash: it looks like a murmur hash", "hashed"},
		{"apisix-standalone.yaml", []string{"--app", "imported"}, 3, "line 12: credential: this is a reference to a key", "jack"},
		{"aws-keys.json", []string{"--user", "aws", "--app", "imported"}, 2, "line 20: value: the key itself is not in the dump", "aws"},
	} {
		t.Run(c.file, func(t *testing.T) {
			s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
			format, _, _ := strings.Cut(c.file, "-")
			args := append([]string{"key", "import", filepath.Join("migrate", "testdata", c.file), "--format", format, "--scopes", "Predict", "--create-missing", "--skip-invalid"}, c.args...)
			contains(t, s.must("", args...), fmt.Sprintf(" %d imported", c.keys), c.wrong)
			if n := len(s.answer("", "key", "list", "--user", c.user).Keys); n == 0 {
				t.Errorf("%s has no keys", c.user)
			}
		})
	}
}

// The report says which page is missing, which line can't be read, where the
// old gateway's clients send their keys, and what each key is called now.
func TestKeyImportReport(t *testing.T) {
	const kong = "consumers:\n- username: ada\n  keyauth_credentials:\n  - id: 59d1ef15-24a5-4373-b957-e8192c15ff6e\n    key: " + foreign +
		"\nplugins:\n- name: key-auth\n  config:\n    key_names: [X-Kong-Key]\n    key_in_query: false\n    key_in_body: true\n"
	for _, c := range []struct {
		name, format, text string
		args               []string
		fails              bool
		parts              []string
	}{
		{
			"AWS, one page of several", "aws", `{"items":[{"id":"a1","value":"` + foreign + `","name":"first","enabled":true}],"NextToken":"c29tZQ=="}`, nil, false,
			[]string{"line 1: warning: NextToken: it is not empty, so there are more pages", "1 key read: 1 imported", "1 warning", "\tcredential header x-api-key\n", "line 1: AWS, first, key a1 is cak_"},
		},
		{
			"Kong", "kong", kong, nil, false,
			[]string{"\tcredential header X-Kong-Key\n", "Note: keys in the body (X-Kong-Key) are not read here", "line 4: Kong, consumer ada, key 59d1ef15-24a5-4373-b957-e8192c15ff6e is cak_"},
		},
		{
			"Tyk", "tyk", `[{"key_id":"` + foreign + otherForeign + `","alias":"shop"}]`, nil, false,
			[]string{"line 1: Tyk, alias shop is cak_", "Note: clients send the key in Authorization"},
		},
		{
			"Latin-1", "csv", "credential,user,app,description,scopes\n" + foreign + ",u1,main,caf\xe9,Predict\n", nil, true,
			[]string{"line 2: it has, or once had, bytes that are not UTF-8", "0 to import"},
		},
		{"nothing imported", "aws", `{"items":[{"value":"` + foreign + `","name":"first"}]}`, []string{"--dry-run"}, false, []string{"1 to import", "credential header x-api-key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}, secrets: []string{foreign, otherForeign}}
			s.must("", "user", "create", "alice")
			args := append([]string{"key", "import", dump(t, "keys", c.text), "--format", c.format, "--app", "main", "--scopes", "Predict", "--create-missing"}, c.args...)
			r := s.run("", args...)
			if (r.err != nil) != c.fails {
				t.Errorf("ended with %v %s", r.err, r.errOut)
			}
			contains(t, r.out, c.parts...)
			for _, secret := range s.secrets {
				if strings.Contains(r.out+r.errOut, secret) {
					t.Errorf("it printed a credential: %s", r.out)
				}
			}
			if strings.Contains(r.out, "caf") {
				t.Errorf("it repeats the file: %s", r.out)
			}
			var report struct {
				Keys []struct {
					Line          int
					Name, Outcome string
					KeyID         string `json:"key_id"`
					UserID        string `json:"user_id"`
				}
				Lines    []string `json:"credential_lines"`
				Notes    []string `json:"credential_notes"`
				Imported int
				Existing int
			}
			r = s.run("", append(args, "-o", "json")...)
			if err := json.Unmarshal([]byte(r.out), &report); err != nil {
				t.Fatalf("printed %s (%v)", r.out, err)
			}
			switch {
			case c.fails || len(c.args) > 0:
				if len(report.Keys) != 0 {
					t.Errorf("reported %+v", report)
				}
			case len(report.Keys) != 1 || report.Keys[0].Line == 0 || report.Keys[0].Name == "" || report.Keys[0].Outcome != "existing" ||
				!strings.HasPrefix(report.Keys[0].KeyID, "cak_") || len(report.Lines)+len(report.Notes) == 0:
				t.Errorf("reported %+v", report)
			}
		})
	}
}

// Of clear text nothing is left in the store, in an error or in a log.
func TestKeyImportLeavesNoClearText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	s := &shell{t: t, where: []string{"--db", path}}
	secrets := []string{foreign, otherForeign, weakForeign}
	text := "user,app,scopes,credential\n"
	for _, secret := range secrets {
		text += "alice,photos,All," + secret + "\n"
	}
	// Mixed-up columns.
	for n := range 4 {
		cells := []string{"alice", "photos", "All", "Aq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtB"}
		cells[n] = "Cq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtD,"
		text += `"` + strings.Join(cells, `","`) + "\"\n"
	}
	// A column that repeats it, as where a consumer is named by the key.
	const named = "Eq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtF"
	text += named + ",photos,All," + named + "\nalice," + named + ",All," + named + "\n"
	secrets = append(secrets, "Cq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtD", "Aq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtB", named)
	r := s.run("", "key", "import", dump(t, "keys.csv", text), "--create-missing", "--skip-invalid")
	contains(t, r.out, "9 keys read: 3 imported", "6 that can't", "line 9: user: the credential stands here too", "line 10: app: the credential stands here too")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		for where, text := range map[string][]byte{"the store": file, "the output": []byte(r.out), "the errors": []byte(r.errOut + fmt.Sprint(r.err))} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s is in %s", secret, where)
			}
		}
	}
}

// At the gate of a running Caddy an imported key works as it is, whether its
// text was imported or its SHA-256, and a revoked one never again; and its logs
// say nothing of it.
func TestKeyImportAtTheGate(t *testing.T) {
	folder := t.TempDir()
	site := machine.FreeAddress(t)
	socket, log, store := filepath.Join(folder, "caddy.sock"), filepath.Join(folder, "log"), filepath.Join(folder, "keys.db")
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(fmt.Appendf(nil, `{
	admin "unix/%s|0600"
	persist_config off
	log {
		output file %s
		level DEBUG
	}
	api_keys {
		store bbolt %s
	}
}
http://%s {
	log
	api_keys {
		route GET /v2/users/{user_id}/apps/{app_id}/inputs Predict
	}
	respond "through"
}
`, socket, log, store, site), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			if err := caddy.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	asked := func(credential string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+site+"/v2/users/alice/apps/photos/inputs", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Key "+credential)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(resp.StatusCode, " ", string(text))
	}
	s := &shell{t: t, where: []string{"--address", "unix/" + socket + "|0600"}}
	credentials := []string{foreign, otherForeign}
	for _, credential := range credentials {
		if got := asked(credential); !strings.HasPrefix(got, "401 ") {
			t.Errorf("before, it is answered %s", got)
		}
	}
	file := dump(t, "keys.csv", "credential,sha256,user,app,scopes\n"+foreign+",,alice,photos,Predict\n,"+sumOf(otherForeign)+",alice,photos,Predict\n")
	contains(t, s.must("", "key", "import", file, "--create-missing"), "2 imported")
	for _, credential := range credentials {
		if got := asked(credential); got != "200 through" {
			t.Errorf("imported, it is answered %s", got)
		}
	}
	s.must(foreign+"\n"+otherForeign, "key", "revoke", "-")
	contains(t, s.must("", "key", "import", file, "--skip-revoked"), "2 revoked")
	for _, credential := range credentials {
		if got := asked(credential); !strings.HasPrefix(got, "401 ") {
			t.Errorf("revoked, it is answered %s", got)
		}
	}
	stop()
	for _, path := range []string{log, store} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, credential := range credentials {
			if bytes.Contains(text, []byte(credential)) {
				t.Errorf("%s is in %s", credential, filepath.Base(path))
			}
		}
	}
}

func TestKeyImportUsage(t *testing.T) {
	file := dump(t, "keys.csv", "credential\n")
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no file", nil, "1 argument"},
		{"no format", []string{"-"}, "--format is missing"},
		{"unknown format", []string{file, "--format", "xml"}, "no such format"},
		{"app and PAT", []string{file, "--app", "a", "--pat"}, "leave out --pat or --app"},
		{"users of CSV", []string{file, "--user-from", "consumer"}, "column user"},
		{"a folder", []string{t.TempDir(), "--format", "csv"}, "folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
			s.must("", "user", "create", "alice")
			r := s.run("", append([]string{"key", "import"}, c.args...)...)
			if r.err == nil || r.err.Error() != "exiting with status 2" || !strings.Contains(r.errOut, c.says) {
				t.Errorf("ended with %v: %s", r.err, r.errOut)
			}
		})
	}
	s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
	s.must("", "user", "create", "alice")
	for says, args := range map[string][]string{
		"no such file":       {filepath.Join(t.TempDir(), "none.csv")},
		"no keys were found": {file},
		"isn't known":        {dump(t, "keys.csv", foreign+",alice\n")},
	} {
		r := s.run("", append([]string{"key", "import"}, args...)...)
		if r.err == nil || !strings.Contains(r.err.Error(), says) || strings.Contains(r.err.Error(), foreign) {
			t.Errorf("ended with %v, want %q", r.err, says)
		}
	}
}

// The limits of a key are imported with the key, by every way into a store.
func TestKeyImportBounds(t *testing.T) {
	test := func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		file := dump(t, "keys.csv", "credential,user,type,scopes,plan,rate,quota,concurrent,addresses,resources\n"+
			foreign+",alice,personal_access_token,Predict,free,10/s burst 20,10000/month,5,192.0.2.7;2001:db8::/32,model=gpt model=llama-3*\n"+
			otherForeign+",alice,personal_access_token,Predict,,,,,,\n")
		contains(t, s.must("", "key", "import", file), "2 imported")
		contains(t, s.must("", "key", "list", "--user", "alice"),
			"plan free, rate 10/s burst 20, quota 10000/month, concurrent 5, from 192.0.2.7 2001:db8::/32, model=gpt, model=llama-3*")
		wrong := dump(t, "wrong.csv", "credential,user,type,scopes,rate,addresses,resources\n"+
			sumOf("1")+",alice,personal_access_token,Predict,fast,,\n"+
			sumOf("2")+",alice,personal_access_token,Predict,,basement,\n"+
			sumOf("3")+",alice,personal_access_token,Predict,,,Model=x\n")
		r := s.run("", "key", "import", wrong)
		contains(t, r.out, "line 2: limits.rate: it is not a rate", "line 3: addresses: one of them is neither a network", "line 4: resources: one of them is not a valid name", "3 that can't be imported")
		if r.err == nil || strings.Contains(r.out, "fast") || strings.Contains(r.out, "basement") {
			t.Errorf("ended with %v, and reported %s", r.err, r.out)
		}
	}
	shells(t, test)
	t.Run("built", func(t *testing.T) {
		buildsAlways(t)
		test(t, &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}})
	})
}
