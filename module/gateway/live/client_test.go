package live

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// liveClient is a client with one connection to a site.
type liveClient struct {
	t        *testing.T
	protocol string
	http     *http.Client
	base     string
	dials    atomic.Int64
	dial     func() (net.Conn, error) // one of its own
	calls    *grpc.ClientConn
}

// liveProtocols are the ways by which a client comes: h1 and h2c in clear, the
// others over TLS.
var liveProtocols = []string{"h1", "h1s", "h2c", "h2", "h3"}

func (s *liveServer) newClient(t *testing.T, protocol string) *liveClient {
	t.Helper()
	c := &liveClient{t: t, protocol: protocol, base: "http://" + s.Addr}
	config := &tls.Config{RootCAs: s.roots, ServerName: "localhost"}
	address := s.Addr
	if protocol != "h1" && protocol != "h2c" {
		_, port, _ := net.SplitHostPort(s.tlsAddr)
		address = s.tlsAddr
		c.base = "https://localhost:" + port
	}
	if protocol == "h3" {
		conn, err := quic.DialAddr(t.Context(), address, http3.ConfigureTLSConfig(config), &quic.Config{MaxStreamReceiveWindow: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		// Not by way of a transport: it would open another connection behind
		// any error.
		tr := new(http3.Transport)
		t.Cleanup(func() { tr.Close() })
		c.http = &http.Client{Transport: tr.NewClientConn(conn), Timeout: gatetest.Deadline}
		return c
	}
	dial := func(context.Context, string, string) (net.Conn, error) {
		c.dials.Add(1)
		return net.Dial("tcp", address)
	}
	tr := &http.Transport{
		DialContext: dial, TLSClientConfig: config, DisableCompression: true, Protocols: new(http.Protocols),
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
	}
	tr.Protocols.SetHTTP1(protocol == "h1" || protocol == "h1s")
	tr.Protocols.SetHTTP2(protocol == "h2")
	tr.Protocols.SetUnencryptedHTTP2(protocol == "h2c")
	t.Cleanup(tr.CloseIdleConnections)
	c.http = &http.Client{Transport: tr, Timeout: gatetest.Deadline}
	c.dial = func() (net.Conn, error) {
		conn, err := dial(t.Context(), "", "")
		if err != nil || protocol == "h1" {
			return conn, err
		}
		return tls.Client(conn, config), nil
	}
	return c
}

// multiplexes reports whether all requests of a client are on one connection.
func (c *liveClient) multiplexes() bool { return c.protocol[:2] != "h1" }
