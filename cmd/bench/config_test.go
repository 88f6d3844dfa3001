package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // directives

	_ "github.com/caddy-api-keys/gateway/module" // the gate
)

// The Caddyfiles are valid, and differ in the gate and the service alone.
func TestCaddyfiles(t *testing.T) {
	base := caddySite{
		folder: "/tmp/bench", upstream: "127.0.0.1:1", certificate: "cert.pem", key: "key.pem",
		ports: &ports{plain: 2, tls: 3, plainGRPC: 4, tlsGRPC: 5},
	}
	gate, service := base, base
	gate.gate, gate.store = true, "/tmp/bench/keys.db"
	service.service = "127.0.0.1:6"
	for _, tt := range []struct {
		name  string
		site  caddySite
		extra []string
	}{
		{"none", base, nil},
		{"gate", gate, []string{"api_keys {", "store bbolt /tmp/bench/keys.db", "}", "api_keys {", "include clarifai", "}"}},
		{"service", service, []string{"forward_auth 127.0.0.1:6 {", "uri /auth", "copy_headers X-Caller-User-Id", "}"}},
	} {
		text := tt.site.caddyfile()
		if _, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil); err != nil {
			t.Errorf("%s: %v %v in\n%s", tt.name, err, warnings, text)
		}
		without := text
		for _, line := range tt.extra {
			if !strings.Contains(text, line) {
				t.Errorf("%s lacks %q in\n%s", tt.name, line, text)
			}
			without = removeLines(without, line)
		}
		if want := base.caddyfile(); removeLines(without, "}") != removeLines(want, "}") {
			t.Errorf("%s differs otherwise:\n%s\nwant\n%s", tt.name, without, want)
		}
		if n := strings.Count(text, "reverse_proxy h2c://127.0.0.1:1"); n != 2 {
			t.Errorf("%s forwards %d sites by HTTP/2, want 2", tt.name, n)
		}
	}
}

// removeLines removes the lines that are a text, but for tabs.
func removeLines(text, line string) string {
	var kept strings.Builder
	for l := range strings.Lines(text) {
		if strings.TrimSpace(l) != line {
			kept.WriteString(l)
		}
	}
	return kept.String()
}

// The configurations of nginx and HAProxy name what they need.
func TestDebianConfigs(t *testing.T) {
	b := &bench{upstream: "127.0.0.1:1", certificate: certificate{cert: "cert.pem", key: "key.pem", both: "both.pem"}}
	p := &ports{plain: 2, tls: 3, plain2: 4}
	nginx := nginxConfig(b, "/tmp/bench", p, nginxGuard{http: "HTTP", server: "SERVER", location: "LOCATION"})
	haproxy := haproxyConfig(b, p, "keys.map")
	for _, tt := range []struct{ config, want string }{
		{nginx, "listen 127.0.0.1:2;"},
		{nginx, "listen 127.0.0.1:4 http2;"},
		{nginx, "listen 127.0.0.1:3 ssl http2;"},
		{nginx, "server 127.0.0.1:1;"},
		{nginx, "ssl_certificate cert.pem;\n\t\tssl_certificate_key key.pem;"},
		{nginx, "location / {\n\t\t\tLOCATION\n"},
		{nginx, "\t\tSERVER\n"},
		{nginx, "\tHTTP\n"},
		{haproxy, "bind 127.0.0.1:2\n"},
		{haproxy, "bind 127.0.0.1:4 proto h2\n"},
		{haproxy, "bind 127.0.0.1:3 ssl crt both.pem alpn"},
		{haproxy, "map_str(keys.map)"},
		{haproxy, "server upstream 127.0.0.1:1\n"},
	} {
		if !strings.Contains(tt.config, tt.want) || strings.Contains(tt.config, "%!") {
			t.Errorf("%q is missing in\n%s", tt.want, tt.config)
		}
	}
}

// A keyring has keys of all kinds, and its files have those that are to be
// imported and those that may call.
func TestKeyring(t *testing.T) {
	k, err := newKeyring(t.TempDir(), 1000, 300)
	if err != nil {
		t.Fatal(err)
	}
	for h, want := range map[holder]int{appKeys: 300, tokens: 100, collaborators: 100, unscoped: 100, unknown: 100} {
		if n := len(k.used[h]); n != want {
			t.Errorf("%d keys are used of the kind %s, want %d", n, h, want)
		}
	}
	imported, known := readFile(t, k.imported), readFile(t, k.known)
	if n := strings.Count(imported, "\n"); n != 1001 {
		t.Errorf("%d lines are imported, want 1001", n)
	}
	if n := strings.Count(known, "\n"); n != 900 {
		t.Errorf("%d keys may call, want 900", n)
	}
	for _, stranger := range k.used[unknown] {
		if strings.Contains(imported, stranger.text) || strings.Contains(known, stranger.text) {
			t.Error("an unknown key is known")
		}
	}
	table := filepath.Join(t.TempDir(), "table")
	b := &bench{few: &keyStore{keyring: k}}
	if err := b.writeTable(table, "%s is of %s\n"); err != nil || strings.Count(readFile(t, table), " is of ") != 900 {
		t.Errorf("the table has other keys: %v", err)
	}
	if keys, err := readKnown(k.known); err != nil || len(keys) != 900 {
		t.Errorf("the service knows %d keys: %v", len(keys), err)
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
