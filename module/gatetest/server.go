package gatetest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // directives and log outputs of the configurations

	_ "github.com/caddy-api-keys/gateway/module" // the gate
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/gateway"
)

// Server is a running Caddy with a gate in front of an upstream.
type Server struct {
	// T is the test that the server belongs to.
	T testing.TB
	// Addr is the host and port of the site.
	Addr string
	// StorePath is the store's file.
	StorePath string
	// Upstream is what the site forwards requests to.
	Upstream *Upstream
	// Logs is what Caddy logs.
	Logs *Logs
	// Directives stand next to the gate in the site. A change takes effect with
	// the next Reload.
	Directives string
	// Options stand in the global option api_keys. A change takes effect with the
	// next Reload.
	Options string

	storeModule string
	started     bool
}

// Start runs Caddy with one site: a gate with these options of api_keys, and
// these directives next to it.
func Start(tb testing.TB, options string, directives ...string) *Server {
	tb.Helper()
	return startOn(tb, "bbolt", options, directives...)
}

func startOn(tb testing.TB, storeModule, options string, directives ...string) *Server {
	tb.Helper()
	s := New(tb)
	s.storeModule, s.Directives = storeModule, strings.Join(directives, "\n")
	s.Reload(options)
	return s
}

// New returns a server that has no configuration yet: Load gives it one. The
// configuration names the site's address, the store's path, the upstream and the
// log's address itself. When the test ends, no credential may be in the log.
func New(tb testing.TB) *Server {
	tb.Helper()
	return &Server{
		T: tb, Addr: machine.FreeAddress(tb), StorePath: filepath.Join(tb.TempDir(), "keys.db"),
		Upstream: NewUpstream(tb), Logs: CaptureLogs(tb), storeModule: "bbolt",
	}
}

// Caddyfile returns the configuration of a server that Start runs, with these
// options of the site's gate.
func (s *Server) Caddyfile(options string) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	log {
		level DEBUG
		output net %s
		format filter {
			fields {
				request>headers>X-Clarifai-Session-Token delete
				request>headers>X-Api-Key delete
				request>uri query {
					delete api_key
				}
			}
		}
	}
	servers {
		protocols h1 h2c
	}
	api_keys {
		store %s %s
%s
	}
}
http://:%s {
	log
	api_keys {
%s
	}
	reverse_proxy %s {
		flush_interval -1
	}
	%s
}
`, s.Logs.Addr, s.storeModule, s.StorePath, s.Options, Port(s.Addr), options, s.Upstream.Addr, s.Directives)
}

// Reload gives Caddy a configuration of the same site, with other options of the
// gate.
func (s *Server) Reload(options string) {
	s.T.Helper()
	if err := s.Load(s.Caddyfile(options)); err != nil {
		s.T.Fatal(err)
	}
}

// Load gives Caddy the configuration in a Caddyfile.
func (s *Server) Load(caddyfile string) error {
	s.T.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		return err
	}
	return s.LoadJSON(config)
}

// LoadJSON gives Caddy a configuration, and returns when it is the only one that
// serves.
func (s *Server) LoadJSON(config []byte) error {
	s.T.Helper()
	if !s.started {
		s.started = true
		s.T.Cleanup(s.stop)
	}
	err := caddy.Load(config, true)
	// The old server listens for another moment, and the kernel resets the
	// connections that wait for it when it ends.
	Until(s.T, "the end of the old listener", func() bool { return listeners(s.Addr) <= 1 })
	http.DefaultClient.CloseIdleConnections() // to the old server
	return err
}

func (s *Server) stop() {
	if err := caddy.Stop(); err != nil {
		s.T.Error(err)
	}
	s.Logs.Check(s.T)
}

// listeners counts the sockets that listen on an address's port. It knows them
// from Linux; elsewhere it counts none.
func listeners(addr string) (n int) {
	port, _ := strconv.Atoi(Port(addr))
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		all, _ := os.ReadFile(file)
		for line := range strings.Lines(string(all)) {
			const local, state, listen = 1, 3, "0A"
			if f := strings.Fields(line); len(f) > state && f[state] == listen && strings.HasSuffix(f[local], fmt.Sprintf(":%04X", port)) {
				n++
			}
		}
	}
	return n
}

// Port returns the port of an address.
func Port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// Directory returns the directory of the running configuration.
func (s *Server) Directory() *directory.Lease {
	s.T.Helper()
	lease, err := Directory()
	if err != nil {
		s.T.Fatal(err)
	}
	return lease
}

// Directory returns the directory of the configuration that Caddy runs.
func Directory() (*directory.Lease, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("api_keys")
	if err != nil {
		return nil, err
	}
	return app.(*gateway.App).Directory()
}

// Forget drops what the harness has kept of past requests and of the log. It
// fails the test if a credential is in that part of the log.
func (s *Server) Forget() {
	s.T.Helper()
	s.Logs.Check(s.T)
	s.Logs.forget()
	s.Upstream.forget()
}
