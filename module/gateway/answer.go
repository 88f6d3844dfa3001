package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// refusal is an answer of the gate's own. Those that say the same every time
// are made once.
type refusal struct {
	step    int // which one refuses, of those in ServeHTTP
	status  int
	code    manage.Code
	grpc    int
	details string // what to do
	// challenge is the error of WWW-Authenticate (RFC 6750, section 3); "-"
	// for a challenge without one, empty for no challenge.
	challenge string
	scope     string // all that the route needs
	lack      policy.Lack
	allow     []string
	// cause is for the log alone.
	cause error
}

// The gRPC status codes that are used.
const (
	grpcInvalidArgument   = 3
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

var (
	refuseNoCredential = &refusal{
		step: 3, status: http.StatusUnauthorized, code: manage.CodeInvalid, grpc: grpcUnauthenticated,
		details:   "Send the header Authorization: Key YOUR_KEY.",
		challenge: "-",
	}
	refuseSeveral = &refusal{
		step: 3, status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "More than one credential was sent. Send exactly one.",
	}
	refuseMalformed = &refusal{
		step: 3, status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "The credential is malformed. Send the scheme Key or Bearer, one space and the credential.",
	}
	refuseUnknown = &refusal{
		step: 4, status: http.StatusUnauthorized, code: manage.CodeKeyUnknown, grpc: grpcUnauthenticated,
		details:   "There is no such credential, or it was revoked.",
		challenge: "invalid_token",
	}
	refuseExpired   = refuseStanding("The credential has expired. Make a new one.")
	refuseDisabled  = refuseStanding("The credential is disabled. Enable it, or use another.")
	refuseSuspended = refuseStanding("The credential's user is suspended.")
	refuseOwner     = &refusal{
		step: 7, status: http.StatusForbidden, code: manage.CodeKeyInvalid, grpc: grpcPermissionDenied,
		details: "The credential has no right to what the request addresses.",
	}
	refuseNoRoute = &refusal{
		step: 5, status: http.StatusNotFound, code: manage.CodeNotFound, grpc: grpcUnimplemented,
		details: "No route of this API has this path.",
	}
)

func refuseStanding(details string) *refusal {
	return &refusal{
		step: 4, status: http.StatusUnauthorized, code: manage.CodeKeyInvalid, grpc: grpcUnauthenticated,
		details: details, challenge: "invalid_token",
	}
}

func refuseTarget(why string) *refusal {
	return &refusal{
		step: 1, status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "The request was refused: " + why + ".",
	}
}

func refuseMethod(allow []string) *refusal {
	return &refusal{
		step: 5, status: http.StatusMethodNotAllowed, code: manage.CodeMethod, grpc: grpcUnimplemented,
		details: "This path answers " + strings.Join(allow, ", ") + ".",
		allow:   allow,
	}
}

// refuseKind names the kinds that the route accepts.
func refuseKind(r *policy.Rule) *refusal {
	details := "This route accepts no credential of any kind."
	if !slices.Contains(r.Accept, "none") {
		details = "This route doesn't accept this kind of credential. Use one of the kind " + strings.Join(r.Accept, " or ") + "."
	}
	return &refusal{
		step: 6, status: http.StatusForbidden, code: manage.CodeInsufficientScopes, grpc: grpcPermissionDenied, details: details,
	}
}

func refuseScopes(r *policy.Rule, lack policy.Lack) *refusal {
	var parts []string
	if len(lack.Scopes) > 0 {
		parts = append(parts, "missing scopes "+strings.Join(lack.Scopes, ", "))
	}
	if len(lack.Endpoints) > 0 {
		parts = append(parts, "missing endpoints "+strings.Join(lack.Endpoints, ", "))
	}
	if lack.NoEndpoint {
		parts = append(parts, "the credential is limited to endpoints, and this route has none")
	}
	return &refusal{
		step: 8, status: http.StatusForbidden, code: manage.CodeInsufficientScopes, grpc: grpcPermissionDenied,
		details:   "The request was refused: " + strings.Join(parts, "; ") + ".",
		challenge: "insufficient_scope", scope: strings.Join(r.Scopes, " "), lack: lack,
	}
}

func refuseUnavailable(cause error) *refusal {
	return &refusal{
		step: 4, status: http.StatusServiceUnavailable, code: manage.CodeUnavailable, grpc: grpcUnavailable,
		details: "The key store can't answer now. Try again.",
		cause:   cause,
	}
}

// refuse answers in the form that the site has chosen, or as gRPC does where
// the client speaks it.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, ref *refusal) error {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	reqID, _ := repl.GetString("http.request.uuid")
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		// The answer's req_id is there too: Caddy logs it as uuid.
		extra.Add(zap.Int("code", int(ref.code)))
	}
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
	closes := inChunks(r) // which nobody may have looked at
	switch ref.status {
	case http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		// What else is on this connection may not be what it seems, or is a
		// body that the server would wait for before it answers.
		closes = r.ProtoMajor == 1
	}
	if closes {
		h.Set("Connection", "close")
	}
	// A gRPC call is a POST. Whoever asks otherwise looks at the HTTP status.
	if isGRPC(r) && r.Method == http.MethodPost {
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
	// Whoever has gone away needs no answer.
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
