// Package forwarding tests what an upstream is told of a request: no
// credential, the caller's identity, and the headers of CORS.
package forwarding
