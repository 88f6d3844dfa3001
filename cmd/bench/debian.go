package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nginxGuard is what nginx checks keys with: directives for the blocks http,
// server and location.
type nginxGuard struct{ http, server, location string }

// nginxConfig returns a configuration of nginx.
func nginxConfig(b *bench, folder string, p *ports, guard nginxGuard) string {
	return fmt.Sprintf(`daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	proxy_http_version 1.1;
	proxy_set_header Connection "";
	upstream up {
		server %[2]s;
		keepalive 64;
		keepalive_requests 1000000000;
	}
	server {
		listen 127.0.0.1:%[3]d;
		listen 127.0.0.1:%[10]d http2;
		listen 127.0.0.1:%[4]d ssl http2;
		ssl_certificate %[5]s;
		ssl_certificate_key %[6]s;
		%[8]s
		location / {
			%[9]s
			proxy_pass http://up;
		}
	}
	%[7]s
}
`, folder, b.upstream, p.plain, p.tls, b.certificate.cert, b.certificate.key, guard.http, guard.server, guard.location, p.plain2)
}

func startNginxMap(b *bench, folder string) (*instance, error) {
	table := filepath.Join(folder, "keys.map")
	if err := b.writeTable(table, "\"Key %s\" %s;\n"); err != nil {
		return nil, err
	}
	return startNginx(b, folder, nginxGuard{
		http: fmt.Sprintf(`map_hash_max_size %d;
	map_hash_bucket_size 256;
	map $http_authorization $caller {
		default "";
		include %s;
	}`, 4*b.few.count, table),
		location: `if ($caller = "") { return 401; }`,
	})
}

func startNginxAuthRequest(b *bench, folder string) (*instance, error) {
	service, address, err := b.startService()
	if err != nil {
		return nil, err
	}
	return b.join(service)(startNginx(b, folder, nginxGuard{
		http: fmt.Sprintf(`upstream service {
		server %s;
		keepalive 64;
		keepalive_requests 1000000000;
	}`, address),
		server: `location = /auth {
			internal;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_set_header Connection "";
			proxy_pass http://service;
		}`,
		location: "auth_request /auth;",
	}))
}

func startNginx(b *bench, folder string, guard nginxGuard) (*instance, error) {
	return b.startDebian("nginx", folder, func(p *ports) string { return nginxConfig(b, folder, p, guard) },
		"-p", folder, "-e", "stderr", "-c")
}

func startHAProxy(b *bench, folder string) (*instance, error) {
	table := filepath.Join(folder, "keys.map")
	if err := b.writeTable(table, "%s %s\n"); err != nil {
		return nil, err
	}
	return b.startDebian("haproxy", folder, func(p *ports) string { return haproxyConfig(b, p, table) }, "-db", "-f")
}

// haproxyConfig returns a configuration of HAProxy. Keys of its maps end at the
// first space, so that of Authorization is cut off.
func haproxyConfig(b *bench, p *ports, table string) string {
	return fmt.Sprintf(`global
	maxconn 1000
	ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
	mode http
	timeout connect 5s
	timeout client 1h
	timeout server 1h
	option http-keep-alive
	http-reuse always
frontend site
	bind 127.0.0.1:%d
	bind 127.0.0.1:%d proto h2
	bind 127.0.0.1:%d ssl crt %s alpn h2,http/1.1
	http-request deny deny_status 401 unless { req.fhdr(authorization),word(2," "),map_str(%s) -m found }
	default_backend upstream
backend upstream
	server upstream %s
`, p.plain, p.plain2, p.tls, b.certificate.both, table, b.upstream)
}

// writeTable writes a line for each key that may call. The format has the key and
// its user.
func (b *bench) writeTable(file, format string) error {
	known, err := os.ReadFile(b.few.known)
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	var table strings.Builder
	for line := range strings.Lines(string(known)) {
		key, user, _ := strings.Cut(strings.TrimSpace(line), " ")
		fmt.Fprintf(&table, format, key, user)
	}
	if err := os.WriteFile(file, []byte(table.String()), 0o600); err != nil {
		return fmt.Errorf("writing the keys: %w", err)
	}
	return nil
}

// startDebian starts a program with a configuration, whose file is its last
// argument, and waits until it listens.
func (b *bench) startDebian(name, folder string, config func(*ports) string, args ...string) (*instance, error) {
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, name+".conf")
	if err := os.WriteFile(file, []byte(config(ports)), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration of %s: %w", name, err)
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return nil, err
	}
	p, err := b.run(name, exec.Command(program, append(args, file)...))
	if err != nil {
		return nil, err
	}
	i := &instance{processes: []*process{p}, ports: ports}
	err = p.waitFor(func() error {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", ports.plain))
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		b.stop(i)
		return nil, err
	}
	return i, nil
}
