package wire

import (
	"net/http"
	"strings"
)

const grpcType = "application/grpc"

// IsGRPC tells gRPC requests by their content type (gRPC over HTTP/2,
// "Content-Type"): application/grpc alone, with a codec or parameters behind
// it, or one of gRPC-Web's.
func IsGRPC(r *http.Request) bool {
	if !resemblesGRPC(r) {
		return false
	}
	rest := r.Header["Content-Type"][0][len(grpcType):]
	return rest == "" || strings.IndexByte("+; \t", rest[0]) >= 0 || len(rest) >= 4 && EqualFold(rest[:4], "-web")
}

func resemblesGRPC(r *http.Request) bool {
	ct := r.Header["Content-Type"]
	return len(ct) > 0 && len(ct[0]) >= len(grpcType) && EqualFold(ct[0][:len(grpcType)], grpcType)
}
