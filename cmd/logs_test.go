package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogsFilter(t *testing.T) {
	config := filepath.Join(t.TempDir(), "Caddyfile")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`a.example.com {
	api_keys {
		route GET /v2/inputs
		credential header X-Api-Key
		credential query "api key"
	}
}
b.example.com:8443 {
	api_keys {
		include clarifai
	}
}
`)
	const a, b = "\t\trequest>headers>X-Api-Key delete\n", "\t\trequest>headers>X-Clarifai-Session-Token delete\n"
	const query = "\t\trequest>uri query {\n\t\t\tdelete `api key`\n\t\t}\n\t\trequest>headers>Referer delete\n"
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{config}, a + b + query},
		{[]string{"--config", config}, a + b + query},
		{[]string{config, "--site", "a.example.com"}, a + query},
		{[]string{config, "--site", "b.example.com:8443"}, b},
	} {
		out := run(t, "", append([]string{"logs", "filter"}, row.args...)...)
		if want := "format filter {\n\tfields {\n" + row.want + "\t}\n}\n"; out.err != nil || out.out != want {
			t.Errorf("%q: printed %q, %v, want %q", row.args, out.out, out.err, want)
		}
	}
	if out := run(t, "", "logs", "filter", config, "--site", "c.example.com"); out.err == nil {
		t.Error("a site that isn't there is accepted")
	}
	// The management API takes sessions in a header too.
	write("a.example.com {\n\tapi_keys_manage\n}\n")
	if out := run(t, "", "logs", "filter", config); out.err != nil || !strings.Contains(out.out, b) {
		t.Errorf("printed %q, %v", out.out, out.err)
	}
	// Nothing is printed if all credentials are in Authorization.
	write("a.example.com {\n\tapi_keys {\n\t\troute GET /v2/inputs\n\t}\n}\n")
	if out := run(t, "", "logs", "filter", config); out.err != nil || strings.TrimSpace(out.out) != "" {
		t.Errorf("printed %q, %v", out.out, out.err)
	}
}
