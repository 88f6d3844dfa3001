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
}

// place is a port and what is served there.
type place struct {
	port      int
	tls, grpc bool
}

// all returns the ports with what is served there.
func (p *ports) all() []place {
	return []place{
		{port: p.plain},
		{port: p.tls, tls: true},
		{port: p.plainGRPC, grpc: true},
		{port: p.tlsGRPC, tls: true, grpc: true},
	}
}

// address returns where a contender serves a protocol and a kind of request.
func (p *ports) address(s scenario) (string, bool) {
	for _, place := range p.all() {
		if place.tls == s.protocol.tls() && place.grpc == (s.request == grpcCall) {
			return fmt.Sprintf("127.0.0.1:%d", place.port), place.port != 0
		}
	}
	return "", false
}

// freePorts returns ports at which nobody listens. Another program may take one
// before it is used; then the contender doesn't start.
func freePorts(grpc bool) (*ports, error) {
	p := new(ports)
	list := []*int{&p.plain, &p.tls}
	if grpc {
		list = append(list, &p.plainGRPC, &p.tlsGRPC)
	}
	for _, port := range list {
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer listener.Close() // all at the same time, so that they differ
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}
