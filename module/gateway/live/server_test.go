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

// stage is a running Caddy with one site, in clear and over TLS, in front of
// an upstream of which a test plays the part in each request.
type stage struct {
	*gatetest.Server
	secure string // the address over TLS
	roots  *x509.CertPool

	mu    sync.Mutex
	parts map[string]*part
	cases int
}

// part is the upstream's in one request.
type part struct {
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

// startStage runs Caddy. The site hands requests on over HTTP/1.1 or, where
// the header Via asks for it, over one connection of HTTP/2. There is no access
// log, for Caddy's counts the bytes of a body that may still be read, which the
// race detector finds.
func startStage(t *testing.T, options string) *stage {
	t.Helper()
	return startStageOf(t, `
	api_keys {
		`+options+`
	}
	@calls header Content-Type application/grpc*
	@via header Via h2c
	reverse_proxy @calls h2c://CALLS
	reverse_proxy @via h2c://PLAIN
	reverse_proxy PLAIN`)
}

// startStageOf is startStage with a site of these directives. CALLS and PLAIN
// are the upstream's addresses, DEAD is one where nobody listens.
func startStageOf(t *testing.T, site string) *stage {
	t.Helper()
	s := &stage{
		Server: gatetest.New(t),
		secure: machine.FreeAddress(t),
		parts:  map[string]*part{},
	}
	certificate, key, roots := gatetest.NewCertificate(t)
	s.roots = roots
	_, port, _ := net.SplitHostPort(s.Addr)
	_, tlsPort, _ := net.SplitHostPort(s.secure)
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

// part makes the part of a request, and the name by which the upstream finds
// it.
func (s *stage) part() (string, *part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &part{ready: make(chan struct{}), finish: make(chan struct{}), left: make(chan error, 1)}
	name := strconv.Itoa(len(s.parts))
	s.parts[name] = p
	return name, p
}

func (s *stage) find(name string) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[name]
}
