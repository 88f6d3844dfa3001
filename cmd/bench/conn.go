package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// conn is a connection to a contender. Each of its slots has at most one request
// under way. Two goroutines may send and receive at the same time.
type conn interface {
	// send sends a request in a free slot.
	send(slot int, r *request) error
	// receive waits for the end of the next response and returns its slot. It
	// returns an error if it isn't the expected response.
	receive() (slot int, err error)
	// close ends the connection. What is under way fails.
	close()
}

// dial connects to a contender.
func dial(s scenario, address string, c certificate, want expectation) (conn, error) {
	raw, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to a contender: %w", err)
	}
	if s.protocol.tls() {
		config := &tls.Config{RootCAs: c.roots, ServerName: host, MinVersion: tls.VersionTLS12}
		if s.protocol.http2() {
			config.NextProtos = []string{"h2"}
		}
		secure := tls.Client(raw, config)
		if err := secure.Handshake(); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("connecting to a contender: %w", err)
		}
		if p := secure.ConnectionState().NegotiatedProtocol; s.protocol.http2() && p != "h2" {
			_ = raw.Close()
			return nil, fmt.Errorf("the contender doesn't speak HTTP/2: it negotiated %q", p)
		}
		raw = secure
	}
	if s.protocol.http2() {
		return newConn2(raw, want)
	}
	return newConn1(raw, want), nil
}
