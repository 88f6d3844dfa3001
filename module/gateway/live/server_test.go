package live

import (
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// liveServer is a running Caddy with one site, in clear and over TLS, in front of
// an upstream whose side of each request a test directs.
type liveServer struct {
	*gatetest.Server
	tlsAddr string // the address over TLS
	roots   *x509.CertPool

	mu    sync.Mutex
	sides map[string]*upstreamSide
	cases int
}

// upstreamSide is the upstream's side of one request.
type upstreamSide struct {
	ready    chan struct{} // closed when the request is where its kind has it
	finish   chan struct{} // closed by the test, for the request to end well
	left     chan error    // how it ended for the upstream, nil for well
	leftAt   time.Time     // when
	progress atomic.Int64  // bytes written
}

const liveSite = `
	route * /v2/users/{user_id}/apps/{app_id}/live Live:Get {
		endpoint /test.Live/Call
	}
	route grpc /test.Live/Call Live:Get
	owner_message /test.Live/Call user_app_id.user_id=1.1 user_app_id.app_id=1.2
	descriptors ../../../testdata/proto/service.binpb
	upgrade websocket`

// startServer runs Caddy. The site hands requests on over HTTP/1.1 or, where
// the header Via asks for it, over one connection of HTTP/2. There is no access
// log, because Caddy's counts the bytes of a body that may still be read, which the
// race detector finds.
func startServer(t *testing.T, options string) *liveServer {
	t.Helper()
	return startSite(t, `
	api_keys {
		`+options+`
	}
	@calls header Content-Type application/grpc*
	@via header Via h2c
	reverse_proxy @calls h2c://CALLS
	reverse_proxy @via h2c://PLAIN
	reverse_proxy PLAIN`)
}

// startSite is startServer with a site of these directives. CALLS and PLAIN
// are the upstream's addresses, DEAD is one where nobody listens.
func startSite(t *testing.T, site string) *liveServer {
	t.Helper()
	s := &liveServer{
		Server:  gatetest.New(t),
		tlsAddr: machine.FreeAddress(t),
		sides:   map[string]*upstreamSide{},
	}
	certificate, key, roots := gatetest.NewCertificate(t)
	s.roots = roots
	_, port, _ := net.SplitHostPort(s.Addr)
	_, tlsPort, _ := net.SplitHostPort(s.tlsAddr)
	plain, calls := s.serveHTTP(t), s.serveGRPC(t)
	site = strings.NewReplacer("CALLS", calls, "PLAIN", plain, "DEAD", machine.FreeAddress(t)).Replace(site)
	if err := s.Load(fmt.Sprintf(`{
	admin off
	order copy_request first
	order intercept before api_keys
	persist_config off
	auto_https off
	log {
		level INFO
		output net %s
	}
	servers :%s {
		protocols h1 h2c
	}
	servers :%s {
		protocols h1 h2 h3
	}
	api_keys {
		store bbolt %s
	}
}
(site) {
	%s
}
http://:%s {
	import site
}
https://:%s {
	tls %s %s
	import site
}
`, s.Logs.Addr, port, tlsPort, s.StorePath, site, port, tlsPort, certificate, key)); err != nil {
		t.Fatal(err)
	}
	return s
}

// newSide makes the upstream's side of a request, and the name by which the
// upstream finds it.
func (s *liveServer) newSide() (string, *upstreamSide) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &upstreamSide{ready: make(chan struct{}), finish: make(chan struct{}), left: make(chan error, 1)}
	name := strconv.Itoa(len(s.sides))
	s.sides[name] = p
	return name, p
}

func (s *liveServer) side(name string) *upstreamSide {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sides[name]
}
