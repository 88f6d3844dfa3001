package grpctest

import (
	"crypto/x509"
	"fmt"
	"net"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// clarifaiService is what the calls of these tests are of. Its methods:
const (
	clarifaiService = "/clarifai.api.V2/"
	unary           = "PostModelOutputs"     // one message, one answer
	serverStream    = "GenerateModelOutputs" // one message, several answers
	bidirectional   = "StreamModelOutputs"   // messages and answers, as they come
)

// answersPerMessage are what the upstream gives in a server's stream.
const answersPerMessage = 3

// grpcServer is a running Caddy with the same gate on two sites, one with h2c
// and one with TLS, in front of a gRPC server.
type grpcServer struct {
	*gatetest.Server
	tlsAddr string
	// certificate is the file of the one that the site over TLS has, which
	// signs itself.
	certificate  string
	roots        *x509.CertPool
	grpcUpstream *grpcUpstream
}

// startGRPC runs Caddy with these api_keys options. The server's upstream gets
// what the gRPC server doesn't speak: gRPC-Web, and /raw.Service. There is no
// access log, because Caddy's counts the bytes of a body that may still be read,
// which the race detector finds.
func startGRPC(t *testing.T, options string) *grpcServer {
	t.Helper()
	server := &grpcServer{
		Server:       gatetest.New(t),
		tlsAddr:      machine.FreeAddress(t),
		grpcUpstream: newGRPCUpstream(t),
	}
	var key string
	server.certificate, key, server.roots = gatetest.NewCertificate(t)
	_, port, _ := net.SplitHostPort(server.Addr)
	_, tlsPort, _ := net.SplitHostPort(server.tlsAddr)
	if err := server.Load(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	log {
		level DEBUG
		output net %s
		format filter {
			fields {
				request>headers>X-Clarifai-Session-Token delete
			}
		}
	}
	servers :%s {
		protocols h1 h2c
	}
	api_keys {
		store bbolt %s
	}
}
(site) {
	api_keys {
		%s
	}
	@web header Content-Type application/grpc-web*
	@raw path /raw.Service/*
	reverse_proxy @web %s
	reverse_proxy @raw h2c://%s
	reverse_proxy h2c://%s
}
http://:%s {
	import site
}
https://:%s {
	tls %s %s
	import site
}
`, server.Logs.Addr, port, server.StorePath, options, server.Upstream.Addr, server.Upstream.Addr, server.grpcUpstream.addr,
		port, tlsPort, server.certificate, key)); err != nil {
		t.Fatal(err)
	}
	return server
}
