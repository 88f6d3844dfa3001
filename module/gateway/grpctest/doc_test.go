// Package grpctest tests calls of published gRPC and gRPC-Web clients through
// a gate.
package grpctest
