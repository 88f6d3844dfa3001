package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

const explained = `a.example.com {
	api_keys {
		route GET  /v2/users/{user_id}/apps/{app_id}/inputs Predict
		route POST /v2/users/{user_id}/apps/{app_id}/inputs Models:Get
	}
}
b.example.com {
	api_keys {
		route GET /healthz {
			accept public
		}
	}
}
`

func TestRoutesExplain(t *testing.T) {
	config := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, []byte(explained), 0o600); err != nil {
		t.Fatal(err)
	}
	const inputs = "/v2/users/alice/apps/photos/inputs"
	out := run(t, "", "routes", "explain", "GET", inputs, "--scopes", "Predict", "--against", config)
	if out.err != nil {
		t.Fatal(out.err)
	}
	contains(t, out.out, "a.example.com: allowed", "b.example.com: refused by 404", ", reason route_unknown", "8 scopes", "9 limits", "X-Caller-User-Id: alice")

	s := &shell{t: t, where: []string{"--db", filepath.Join(t.TempDir(), "keys.db")}}
	s.must("", "user", "create", "alice")
	s.must("", "app", "create", "photos", "--user", "alice")
	key := s.answer("", "key", "create", "--user", "alice", "--app", "photos", "--scopes", "Predict").Keys[0].KeyID
	var got struct{ Explanations []manage.Explanation }
	text := s.must("", "routes", "explain", "POST", inputs, "--key", key, "--against", config, "--site", "a.example.com", "-o", "json")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Explanations) != 1 || got.Explanations[0].Status != 403 || got.Explanations[0].Steps[7].Change != "grant Models:Get to the credential" {
		t.Errorf("got %s", text)
	}

	for name, args := range map[string][]string{
		"key and scopes":      {"--key", key, "--scopes", "Predict", "--against", config},
		"no key ID":           {"--key", "0123", "--against", config},
		"no address":          {"--from", "here", "--scopes", "Predict", "--against", config},
		"no such site":        {"--site", "c.example.com", "--against", config},
		"no such kind":        {"--kind", "kex", "--against", config},
		"no such file":        {"--against", config + "x"},
		"no running Caddy":    {"--address", "127.0.0.1:1"},
		"no header":           {"--header", "x", "--against", config},
		"a key and no store":  {"--key", key, "--against", config, "--address", "127.0.0.1:1"},
		"the store by itself": {"--db", s.where[1], "--scopes", "Predict"},
	} {
		if out := run(t, "", append([]string{"routes", "explain", "GET", inputs}, args...)...); out.err == nil {
			t.Errorf("%s: printed %s", name, out.out)
		}
	}
}
