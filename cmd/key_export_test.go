package cmd

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func TestKeyExport(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		if out := s.must("", "user", "create", "alice"); out == "" {
			t.Error("nothing was said")
		}
		s.answer("", "app", "create", "photos", "--user", "alice")
		contains(t, s.must(manyKeys(2100), "key", "import", "-", "--format", "csv"), "2100 imported")
		s.must("", "user", "create", "bob")
		pat := s.answer("", "key", "create", "--user", "bob", "--pat", "--scopes", "Predict", "--description", `=HYPERLINK("x"), or "so"`, "--endpoints", "/a.B/C").Keys[0]

		lines := strings.Split(strings.TrimSuffix(s.must("", "key", "export"), "\n"), "\n")
		if len(lines) != 2102 {
			t.Fatalf("%d lines", len(lines))
		}
		var listed []string
		for _, user := range []string{"alice", "bob"} {
			for _, k := range s.answer("", "key", "list", "--user", user).Keys {
				listed = append(listed, k.KeyID)
			}
		}
		for n, line := range lines {
			var k manage.Key
			if err := json.Unmarshal([]byte(line), &k); err != nil {
				t.Fatalf("line %d is %s: %v", n, line, err)
			}
			if k.ID != listed[n] || k.KeyID != listed[n] {
				t.Errorf("line %d is %s, want %s", n, k.ID, listed[n])
			}
		}
		whole := strings.Join(lines, "")
		first := sumOf("0")[:40]
		for _, secret := range []string{pat.ID, first, sumOf(first)} {
			if strings.Contains(whole, secret) {
				t.Errorf("%s is in it", secret)
			}
		}
		for args, n := range map[string]int{"--user bob": 1, "--user alice --app photos": 2101, "--user bob --format csv": 2} {
			if got := strings.Count(s.must("", append([]string{"key", "export"}, strings.Fields(args)...)...), "\n"); got != n {
				t.Errorf("%s: %d lines, want %d", args, got, n)
			}
		}
		contains(t, s.must("", "key", "export", "--format", "csv", "--user", "bob"),
			"id,type,user,app,description,scopes,endpoints,plan,limits,addresses,resources,disabled,created_at,created_by,modified_at,expires_at,last_used_at,last_used_from,version,rotated_from,rotated_to\n"+
				pat.KeyID+`,personal_access_token,bob,,"'=HYPERLINK(""x""), or ""so""",Predict,/a.B/C,,,,,false,`, ",(operator),")
		if r := s.run("", "key", "export", "--user", "nobody"); r.err == nil || !strings.Contains(r.err.Error(), "no such user") {
			t.Errorf("ended with %v", r.err)
		}
		for _, args := range [][]string{{"--app", "photos"}, {"--format", "xml"}, {"--format", "csv", "-o", "json"}} {
			if r := s.run("", append([]string{"key", "export"}, args...)...); r.err == nil || r.err.Error() != "exiting with status 2" {
				t.Errorf("%v: %v", args, r.err)
			}
		}
	})
}
