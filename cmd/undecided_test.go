package cmd

import (
	"os"
	"path/filepath"
	"testing"
)

// routes check and routes explain name what a matcher keeps from the gate, and
// tell sites apart that differ by their port.
func TestAMatcherAroundTheGateIsNamed(t *testing.T) {
	config := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, []byte(`http://localhost:18330 {
	api_keys /api/* {
		route GET /api/v1/items Predict
	}
	reverse_proxy 127.0.0.1:18000
}
http://localhost:18331 {
	api_keys {
		route GET /api/v1/items Predict
	}
	reverse_proxy 127.0.0.1:18000
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run(t, "", "routes", "check", config)
	if out.err != nil {
		t.Fatal(out.err)
	}
	contains(t, out.out, "localhost:18330:\n", "localhost:18331:\n", "warning: reverse_proxy 127.0.0.1:18000 gets requests outside the gate's matcher path /api/*", `"accept public"`, "1 finding\n", "0 findings\n")
	if out := run(t, "", "routes", "check", "--strict", config); out.err == nil {
		t.Error("--strict passes")
	}
	out = run(t, "", "routes", "explain", "GET", "/other", "--against", config)
	if out.err != nil {
		t.Fatal(out.err)
	}
	contains(t, out.out, "localhost:18330: undecided", "never reaches the gate", "it goes to reverse_proxy 127.0.0.1:18000", "localhost:18331: refused by 401")
}
