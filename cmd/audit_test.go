package cmd

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func TestAudit(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		s.must("", "user", "create", "bob")
		s.answer("", "app", "create", "photos", "--user", "alice")
		key := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "Predict", "--description", "for CI").Keys[0]
		s.must("", "key", "disable", key.KeyID)
		s.must("", "key", "revoke", key.KeyID)

		out := s.must("", "audit")
		contains(t, out, "TIME", "user.create", "bob", "alice/photos", "(operator)", `disabled: false → true`, `reason: "revoked"`, `scopes: ["Predict"]`)
		if lines := strings.Count(out, "\n"); lines != 8 {
			t.Errorf("%d lines:\n%s", lines, out)
		}
		if strings.Contains(out, key.ID) {
			t.Error("the log holds a whole credential")
		}
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"--user", "bob"}, "user.create"},
			{[]string{"--app", "photos"}, "app.create key.create"},
			{[]string{"--key", key.KeyID}, "key.create key.change key.revoke"},
			{[]string{"--user", "alice", "--action", "key.change"}, "key.change"},
			{[]string{"--actor", "(operator)", "--action", "app.create"}, "app.create"},
			{[]string{"--since", "1h", "--user", "bob"}, "user.create"},
			{[]string{"--until", "1h"}, ""},
			{[]string{"--since", time.Now().AddDate(0, 0, 2).Format(time.DateOnly)}, ""},
			{[]string{"--until", time.Now().Add(time.Hour).Format(time.RFC3339), "--user", "bob"}, "user.create"},
		} {
			var a struct{ Entries []manage.AuditEntry }
			out := s.must("", append(append([]string{"audit"}, c.args...), "-o", "json")...)
			if err := json.Unmarshal([]byte(out), &a); err != nil {
				t.Fatalf("%v printed %s: %v", c.args, out, err)
			}
			var got []string
			for _, e := range a.Entries {
				got = append(got, e.Action)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v shows %v, want %s", c.args, got, c.want)
			}
		}
		contains(t, s.must("", "audit", "--verify"), "is whole", "Entries", "7", "Newest hash")
		if v := s.answer("", "audit", "--verify").Verification; !v.Whole || v.Entries != 7 || len(v.Hash) != 64 {
			t.Errorf("verified as %+v", v)
		}
	})
}

func TestAuditHasNoEnd(t *testing.T) {
	s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
	s.must("", "user", "create", "alice")
	contains(t, s.must("", "audit", "--verify"), "Entries", "1")
	client, err := openStore(&call{Command: flagsOf(s.where)}, s.where[1])
	if err != nil {
		t.Fatal(err)
	}
	list := make([]any, 1000)
	for i := range list {
		list[i] = map[string]any{}
	}
	if _, _, err := client.ask(t.Context(), "POST", []string{"users", "alice", "apps"}, nil, map[string]any{"apps": list}); err != nil {
		t.Fatal(err)
	}
	if err := client.close(); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(s.must("", "audit"), "\n"); lines != 2002 {
		t.Errorf("%d lines, want one for each app, its key, the user and the header", lines)
	}
}

func TestAuditBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	s := &shell{t: t, where: []string{"--db", path}}
	s.must("", "user", "create", "alice")
	s.must("", "user", "create", "bob")
	s.must("", "user", "create", "carol")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte("audit")).Cursor()
		c.First()
		c.Next()
		return c.Delete()
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.run("", "audit", "--verify")
	if r.err == nil || !strings.Contains(r.err.Error(), "not whole") || !strings.Contains(r.err.Error(), "entry 2") {
		t.Errorf("ended with %v\n%s", r.err, r.out)
	}
	r = s.run("", "audit", "--verify", "-o", "json")
	contains(t, r.out, `"whole": false`)
	if r.err == nil {
		t.Error("for scripts it went well")
	}
}

func TestRevokeMany(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		first := s.answer("", "app", "create", "photos", "--user", "alice").Keys[0]
		pat := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]
		contains(t, s.must("", "key", "revoke", "--user", "alice", "--minted-by", pat.KeyID), "Revoked none")
		contains(t, s.must("", "key", "revoke", "--user", "alice", "--created-before", "24h"), "Revoked none")
		contains(t, s.must("", "key", "revoke", "--user", "alice", "--app", "photos"), "Revoked 1 key of alice", first.KeyID)
		if a := s.answer("", "key", "revoke", "--user", "alice", "--all"); *a.Count != 1 || a.KeyIDs[0] != pat.KeyID {
			t.Errorf("revoked %v", a.KeyIDs)
		}
		if r := s.run("", "key", "revoke", "--user", "alice", "--app", "nope"); r.err == nil || !strings.Contains(r.err.Error(), "no such app") {
			t.Errorf("got %v", r.err)
		}
	})
}

func TestMistakesOfAuditAndRevoke(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"audit", "--since", "yesterday"}, "--since takes a time"},
		{[]string{"audit", "--until", "-1h"}, "--until takes a time"},
		{[]string{"audit", "--verify", "--user", "alice"}, "whole log"},
		{[]string{"audit", "alice"}, "no arguments"},
		{[]string{"key", "revoke", "--user", "alice"}, "--all"},
		{[]string{"key", "revoke", "--all"}, "--user is missing"},
		{[]string{"key", "revoke", "--user", "alice", "--all", "--app", "photos"}, "leave out either"},
		{[]string{"key", "revoke", "cap_000000000000", "--all"}, "either name keys"},
		{[]string{"key", "revoke", "--user", "alice", "--minted-by", "0123456789abcdef0123456789abcdef"}, "key ID"},
		{[]string{"key", "revoke", "--user", "alice", "--created-before", "x"}, "takes a time"},
	} {
		r := run(t, "", append(c.args, "--db", filepath.Join(t.TempDir(), "none.db"))...)
		if r.err == nil || r.err.Error() != "exiting with status 2" {
			t.Errorf("%v ended with %v, want the exit status 2", c.args, r.err)
		}
		contains(t, r.errOut, c.says)
		if strings.Contains(r.errOut, "0123456789abcdef") {
			t.Errorf("it repeats what may be a credential: %s", r.errOut)
		}
	}
}
