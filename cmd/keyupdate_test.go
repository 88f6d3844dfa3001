package cmd

import (
	"strings"
	"testing"
	"time"
)

// A key is made and changed with every kind of limit. Flags that are not given leave
// their fields unchanged.
func TestKeyBounds(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		key := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "Predict", "--plan", "free", "--rate", "10/s burst 20",
			"--quota", "10000/month", "--concurrent", "5", "--from", "192.0.2.0/24,2001:db8::/32", "--from", "198.51.100.7",
			"--resource", "model=llama-3*", "--resource", "model=a,b").Keys[0].KeyID
		const bounds = "plan free, rate 10/s burst 20, quota 10000/month, concurrent 5, from 192.0.2.0/24 198.51.100.7 2001:db8::/32, model=a,b, model=llama-3*"
		listed := func(want string) {
			t.Helper()
			contains(t, s.must("", "key", "list", "--user", "alice"), "  "+want+"  ")
		}
		listed(bounds)
		contains(t, s.must("", "key", "list", "--user", "alice", "--plan", "free"), key)
		if out := s.must("", "key", "list", "--user", "alice", "--plan", "half"); strings.Contains(out, key) {
			t.Errorf("of another plan are\n%s", out)
		}
		contains(t, s.must("", "key", "show", key), "Plan", "rate 10/s burst 20, quota 10000/month, concurrent 5", "192.0.2.0/24, 198.51.100.7", "model=llama-3*")

		contains(t, s.must("", "key", "update", key, "--description", "one", "--rate", "600/m"), "Changed "+key)
		listed("plan free, rate 600/m, quota 10000/month, concurrent 5, from 192.0.2.0/24 198.51.100.7 2001:db8::/32, model=a,b, model=llama-3*")
		s.must("", "key", "update", key, "--from", "198.51.100.7", "--resource", "model=x", "--action", "merge", "--plan", "half")
		listed("plan half, rate 600/m, quota 10000/month, concurrent 5, from 192.0.2.0/24 198.51.100.7 2001:db8::/32, model=a,b, model=llama-3*, model=x")
		s.must("", "key", "update", key, "--from", "2001:db8::/32,192.0.2.0/24", "--action", "remove", "--concurrent", "0", "--quota", "")
		listed("plan half, rate 600/m, from 198.51.100.7, model=a,b, model=llama-3*, model=x")
		s.must("", "key", "update", key, "--plan", "", "--rate", "", "--from", "", "--resource", "model=")
		listed("-")

		s.must("", "key", "update", key, "--scopes", "Predict,Models:Get", "--endpoints", "/a.B/C", "--expires-in", "90d")
		k := s.answer("", "key", "show", key).Key
		if k.Description != "one" || len(k.Scopes) != 2 || len(k.Endpoints) != 1 || k.ExpiresAt == nil || time.Until(*k.ExpiresAt) < 89*24*time.Hour {
			t.Errorf("it is %+v", k)
		}
		s.must("", "key", "update", key, "--expires-in", "0s", "--description", "")
		if k := s.answer("", "key", "show", key).Key; k.ExpiresAt != nil || k.Description != "" || len(k.Scopes) != 2 {
			t.Errorf("it is %+v", k)
		}
		for want, args := range map[string][]string{
			"at least one flag":                     {"key", "update", key},
			"cak_0123456789AB: there is no such":    {"key", "update", "cak_0123456789AB", "--rate", "1/s"},
			"--rate: rate":                          {"key", "update", key, "--rate", "10"},
			"--quota: quota":                        {"key", "update", key, "--quota", "10"},
			"--concurrent: ":                        {"key", "update", key, "--concurrent", "-1"},
			"--from: ":                              {"key", "update", key, "--from", "here"},
			"--resource takes":                      {"key", "update", key, "--resource", "llama-3"},
			"--resource: model: ":                   {"key", "update", key, "--resource", "model=*****"},
			"--plan: ":                              {"key", "update", key, "--plan", "a b"},
			"--action: it has to be merge":          {"key", "update", key, "--rate", "1/s", "--action", "add"},
			"--scopes: ":                            {"key", "create", "--user", "alice", "--pat", "--scopes", "a b", "--rate", "1/s"},
			"--resource: \"Model\" is not the name": {"key", "create", "--user", "alice", "--pat", "--scopes", "Predict", "--resource", "Model=x"},
		} {
			if r := s.run("", args...); r.err == nil || !strings.Contains(r.err.Error()+r.errOut, want) {
				t.Errorf("%v ended with %v %s, want %s", args, r.err, r.errOut, want)
			}
		}
	})
}

func TestPlansOfUsersAndApps(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice", "--plan", "free")
		s.must("", "app", "create", "shop", "--user", "alice", "--plan", "half")
		contains(t, s.must("", "user", "show", "alice"), "Plan", "free")
		contains(t, s.must("", "app", "list", "--user", "alice"), "half")
		s.must("", "user", "update", "alice", "--plan", "")
		contains(t, s.must("", "user", "show", "alice"), "Plan", "default")
		for _, args := range [][]string{
			{"user", "create", "bob", "--plan", "a b"}, {"user", "update", "alice", "--plan", "a b"}, {"app", "create", "--user", "alice", "--plan", "a b"},
		} {
			if r := s.run("", args...); r.err == nil || !strings.Contains(r.err.Error(), "--plan: ") {
				t.Errorf("%v ended with %v", args, r.err)
			}
		}
	})
}
