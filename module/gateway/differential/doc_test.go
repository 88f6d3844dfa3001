// Package differential tests that the gate decides about the request that its
// upstream reads: what fuzzers make up goes through a gate to net/http and to Node,
// whose readings are compared with the gate's.
package differential
