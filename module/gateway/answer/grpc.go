package answer

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// writeGRPC writes a response of trailers only (gRPC over HTTP/2, "Responses"):
// they stand where headers do, and there is no body.
func (a *Answer) writeGRPC(w http.ResponseWriter, r *http.Request, reqID string) {
	h := w.Header()
	h.Set("Content-Type", grpcContentType(r.Header.Get("Content-Type")))
	h.Set("Grpc-Status", strconv.Itoa(int(a.GRPC)))
	message := a.Code.Description() + ": " + a.Details
	h.Set("Grpc-Message", grpcMessage(message))
	if details := a.grpcDetails(message, reqID); details != "" {
		h.Set("Grpc-Status-Details-Bin", details)
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// maxGRPCDetails bounds the details, for many clients take 8 KiB of headers
// and no more, and would see no status at all.
const maxGRPCDetails = 3 << 10

// grpcDetails is what the JSON answers have in fields of their own, for a
// program to read (google.rpc.ErrorInfo in google.rpc.Status). A route with so
// many scopes that they don't fit names them in the message alone.
func (a *Answer) grpcDetails(message, reqID string) string {
	fields := map[string]string{"code": strconv.Itoa(int(a.Code)), "req_id": reqID}
	if len(a.Lack.Scopes) > 0 {
		fields["missing_scopes"] = strings.Join(a.Lack.Scopes, " ")
	}
	if len(a.Lack.Endpoints) > 0 {
		fields["missing_endpoints"] = strings.Join(a.Lack.Endpoints, " ")
	}
	// Refusals that say the same have to be the same bytes.
	deterministic := proto.MarshalOptions{Deterministic: true}
	info := new(anypb.Any)
	if err := anypb.MarshalFrom(info, &errdetails.ErrorInfo{
		Reason:   strings.ToUpper(strings.ReplaceAll(a.Code.Description(), " ", "_")),
		Domain:   "caddy-api-keys",
		Metadata: fields,
	}, deterministic); err != nil {
		return ""
	}
	text, err := deterministic.Marshal(&status.Status{Code: int32(a.GRPC), Message: message, Details: []*anypb.Any{info}})
	if err != nil || base64.RawStdEncoding.EncodedLen(len(text)) > maxGRPCDetails {
		return ""
	}
	return base64.RawStdEncoding.EncodeToString(text)
}

// grpcContentType is plain gRPC's, or for a gRPC-Web client its own.
func grpcContentType(sent string) string {
	for _, web := range []string{"application/grpc-web-text", "application/grpc-web"} {
		if len(sent) >= len(web) && strings.EqualFold(sent[:len(web)], web) {
			return web
		}
	}
	return "application/grpc"
}

// grpcMessage percent-encodes (gRPC over HTTP/2, "Percent-Encoded").
func grpcMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 0x20 && c <= 0x7e && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
