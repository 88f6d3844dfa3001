package main

import (
	"context"
	"fmt"
	"net"
)

// ports are the ports of a contender, 0 for those that it doesn't have. Calls of
// gRPC have ports of their own, because contenders forward them by HTTP/2.
type ports struct {
	plain, tls, plainGRPC, tlsGRPC int
	// plain2 is for HTTP/2 without TLS, 0 if plain is for that too.
	plain2 int
}

// place is a port and what is served there.
type place struct {
	port      int
	tls, grpc bool
}

// all returns the ports with what is served there, without plain2.
func (p *ports) all() []place {
	return []place{
		{port: p.plain},
		{port: p.tls, tls: true},
		{port: p.plainGRPC, grpc: true},
		{port: p.tlsGRPC, tls: true, grpc: true},
	}
}

// address returns where a contender serves a protocol and a kind of request.
func (p *ports) address(s scenario) string {
	for _, place := range p.all() {
		if place.tls == s.protocol.tls() && place.grpc == (s.request == grpcCall) {
			if s.protocol == http2Clear && p.plain2 != 0 {
				place.port = p.plain2
			}
			return fmt.Sprintf("127.0.0.1:%d", place.port)
		}
	}
	return ""
}

// freePorts returns ports at which nobody listens. Another program may take one
// before it is used; then the contender doesn't start.
func freePorts() (*ports, error) {
	p := new(ports)
	for _, port := range []*int{&p.plain, &p.tls, &p.plainGRPC, &p.tlsGRPC, &p.plain2} {
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer listener.Close() // all at the same time, so that they differ
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}
