package main

import (
	"fmt"
	"slices"
	"strings"
)

// protocol is the version of HTTP that a load speaks.
type protocol string

// The protocols.
const (
	http1      protocol = "h1"     // HTTP/1.1
	http1TLS   protocol = "h1-tls" // HTTP/1.1 over TLS
	http2TLS   protocol = "h2"     // HTTP/2 over TLS
	http2Clear protocol = "h2c"    // HTTP/2 without TLS
)

var protocols = []protocol{http1, http1TLS, http2TLS, http2Clear}

func (p protocol) tls() bool   { return p == http1TLS || p == http2TLS }
func (p protocol) http2() bool { return p == http2TLS || p == http2Clear }

// requestKind is what a load sends.
type requestKind string

// The kinds of requests.
const (
	get      requestKind = "get"  // GET without a body
	post     requestKind = "post" // POST of 1 KiB of JSON, which names the owner and the app too
	grpcCall requestKind = "grpc" // unary call, whose message names the owner and the app
)

var requestKinds = []requestKind{get, post, grpcCall}

// scenario is a kind of request by a protocol.
type scenario struct {
	protocol protocol
	request  requestKind
}

// scenarios returns the combinations of protocols and requests that exist: gRPC
// needs HTTP/2.
func scenarios(ps []protocol, rs []requestKind) (list []scenario) {
	for _, p := range ps {
		for _, r := range rs {
			if r != grpcCall || p.http2() {
				list = append(list, scenario{p, r})
			}
		}
	}
	return list
}

// parseList reads a list of known names that are separated by commas.
func parseList[T ~string](text string, known []T) (list []T, err error) {
	for name := range strings.SplitSeq(text, ",") {
		if !slices.Contains(known, T(name)) {
			return nil, fmt.Errorf("%q is not one of %v", name, known)
		}
		list = append(list, T(name))
	}
	return list, nil
}
