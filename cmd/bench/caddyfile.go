package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// caddySite is what the configuration of a Caddy contender consists of. All of
// them serve the same sites: they differ in the gate and the service alone.
type caddySite struct {
	// folder is the contender's own.
	folder string
	// upstream is the address that requests are forwarded to.
	upstream string
	ports    *ports
	// certificate and key are files; without them there is no site with TLS.
	certificate, key string
	// gate adds api_keys with the table of Clarifai's API and this store.
	gate  bool
	store string
	// etcd is the URL of the etcd with the keys. The store is its mirror then. etcd is
	// empty if the store is a file.
	etcd string
	// service is the address of the service that forward_auth asks, if any.
	service string
}

func (s caddySite) file() string   { return filepath.Join(s.folder, "Caddyfile") }
func (s caddySite) socket() string { return filepath.Join(s.folder, "admin.sock") }
func (s caddySite) admin() string  { return "unix/" + s.socket() }

// caddyfile returns the configuration. There are no access logs, as with all
// contenders.
func (s caddySite) caddyfile() string {
	var text strings.Builder
	fmt.Fprintf(&text, `{
	admin %s
	persist_config off
	auto_https off
	grace_period 1s
	log {
		level ERROR
	}
	servers {
		protocols h1 h2 h2c
	}
`, s.admin())
	switch {
	case s.etcd != "":
		fmt.Fprintf(&text, "\tapi_keys {\n\t\tstore etcd %s {\n\t\t\tmirror %s\n\t\t}\n\t}\n", s.etcd, s.store)
	case s.gate:
		fmt.Fprintf(&text, "\tapi_keys {\n\t\tstore bbolt %s\n\t}\n", s.store)
	}
	text.WriteString("}\n")
	for _, place := range s.ports.all() {
		text.WriteString(s.site(place))
	}
	return text.String()
}

// write writes the configuration to its file.
func (s caddySite) write() error {
	if err := os.WriteFile(s.file(), []byte(s.caddyfile()), 0o600); err != nil {
		return fmt.Errorf("writing a Caddyfile: %w", err)
	}
	return nil
}

// site returns the block of the site at an address.
func (s caddySite) site(p place) string {
	if p.port == 0 || p.tls && s.certificate == "" {
		return ""
	}
	var text strings.Builder
	scheme, upstream := "http", s.upstream
	if p.tls {
		scheme = "https"
	}
	if p.grpc {
		upstream = "h2c://" + upstream
	}
	fmt.Fprintf(&text, "%s://127.0.0.1:%d {\n\tbind 127.0.0.1\n", scheme, p.port)
	if p.tls {
		fmt.Fprintf(&text, "\ttls %s %s\n", s.certificate, s.key)
	}
	if s.gate {
		text.WriteString("\tapi_keys {\n\t\tinclude clarifai\n\t}\n")
	}
	if s.service != "" {
		fmt.Fprintf(&text, "\tforward_auth %s {\n\t\turi /auth\n\t\tcopy_headers X-Caller-User-Id\n\t}\n", s.service)
	}
	fmt.Fprintf(&text, "\treverse_proxy %s\n}\n", upstream)
	return text.String()
}
