package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// refuse answers in the form that the site has chosen, or as gRPC does where
// the client speaks it.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, ref *refusal) error {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	reqID, _ := repl.GetString("http.request.uuid")
	logFields(r, zap.Inline(ref)) // the answer's req_id is there too: Caddy logs it as uuid
	g.logCause(reqID, ref)
	g.metrics.refused(ref)

	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch {
	case ref.challenge == "-":
		h.Set("WWW-Authenticate", `Bearer realm="api"`)
	case ref.scope != "":
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="api", error=%q, scope=%q`, ref.challenge, ref.scope))
	case ref.challenge != "":
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="api", error=%q`, ref.challenge))
	}
	if ref.allow != nil {
		h.Set("Allow", strings.Join(ref.allow, ", "))
	}
	if ref.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	closes := wire.InChunks(r) // which nobody may have looked at
	switch ref.status {
	case http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		// What else is on this connection may not be what it seems, or is a
		// body that the server would wait for before it answers.
		closes = r.ProtoMajor == 1
	}
	if closes {
		h.Set("Connection", "close")
	}
	// A gRPC call is a POST. Clients that use another method look at the HTTP
	// status.
	if wire.IsGRPC(r) && r.Method == http.MethodPost {
		answerGRPC(w, r, ref, reqID)
		return nil
	}
	switch g.Errors {
	case "caddy":
		// The error routes may lead to an upstream too.
		if !g.ForwardCredential {
			g.stripCredential(r)
		}
		return caddyhttp.Error(ref.status, errors.New(ref.details))
	case "problem":
		return answerJSON(w, ref.status, "application/problem+json", problem{
			Type: "about:blank", Title: http.StatusText(ref.status), Status: ref.status,
			Detail: ref.details, Code: ref.code, ReqID: reqID,
			MissingScopes: ref.lack.Scopes, MissingEndpoints: ref.lack.Endpoints,
		})
	default:
		return answerJSON(w, ref.status, "application/json", map[string]manage.Status{"status": {
			Code: ref.code, Description: ref.code.Description(), Details: ref.details, ReqID: reqID,
			MissingScopes: ref.lack.Scopes, MissingEndpoints: ref.lack.Endpoints,
		}})
	}
}

// logCause logs what the client is not told.
func (g *Gate) logCause(reqID string, ref *refusal) {
	if ref.cause != nil {
		g.logger.Error("the key store can't answer", zap.String("uuid", reqID), zap.Error(ref.cause))
	}
}

// problem is that of RFC 9457, with our own members beside.
type problem struct {
	Type             string      `json:"type"`
	Title            string      `json:"title"`
	Status           int         `json:"status"`
	Detail           string      `json:"detail"`
	Code             manage.Code `json:"code"`
	ReqID            string      `json:"req_id"`
	MissingScopes    []string    `json:"missing_scopes,omitempty"`
	MissingEndpoints []string    `json:"missing_endpoints,omitempty"`
}

func answerJSON(w http.ResponseWriter, code int, contentType string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	// A client that has gone away needs no answer.
	_, _ = w.Write(text)
	return nil
}

// answerGRPC is a response of trailers only (gRPC over HTTP/2, "Responses"):
// they stand where headers do, and there is no body.
func answerGRPC(w http.ResponseWriter, r *http.Request, ref *refusal, reqID string) {
	h := w.Header()
	h.Set("Content-Type", grpcContentType(r.Header.Get("Content-Type")))
	h.Set("Grpc-Status", strconv.Itoa(ref.grpc))
	message := ref.code.Description() + ": " + ref.details
	h.Set("Grpc-Message", grpcMessage(message))
	if details := grpcDetails(ref, message, reqID); details != "" {
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
func grpcDetails(ref *refusal, message, reqID string) string {
	fields := map[string]string{"code": strconv.Itoa(int(ref.code)), "req_id": reqID}
	if len(ref.lack.Scopes) > 0 {
		fields["missing_scopes"] = strings.Join(ref.lack.Scopes, " ")
	}
	if len(ref.lack.Endpoints) > 0 {
		fields["missing_endpoints"] = strings.Join(ref.lack.Endpoints, " ")
	}
	// Refusals that say the same have to be the same bytes.
	deterministic := proto.MarshalOptions{Deterministic: true}
	info := new(anypb.Any)
	if err := anypb.MarshalFrom(info, &errdetails.ErrorInfo{
		Reason:   strings.ToUpper(strings.ReplaceAll(ref.code.Description(), " ", "_")),
		Domain:   "caddy-api-keys",
		Metadata: fields,
	}, deterministic); err != nil {
		return ""
	}
	text, err := deterministic.Marshal(&status.Status{Code: int32(ref.grpc), Message: message, Details: []*anypb.Any{info}})
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
