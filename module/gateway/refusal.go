package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// refusal is an answer of the gate's own. Those that say the same every time
// are made once.
type refusal struct {
	reason authz.Reason
	// answer is the reason's, except where a body is refused.
	answer
	scope string // all that the route needs
	lack  policy.Lack
	allow []string
	// cause is for the log alone.
	cause error
}

// Error makes a refusal the error by which a handler behind the gate tells it
// what to answer.
func (ref *refusal) Error() string { return "refused: " + ref.reason.String() }

// answer is what a client is answered.
type answer struct {
	status  int
	code    manage.Code
	grpc    int
	details string // what to do
	// challenge is the error of WWW-Authenticate (RFC 6750, section 3); "-"
	// for a challenge without one, empty for no challenge.
	challenge string
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

// answers is how each reason is answered.
var answers = map[authz.Reason]answer{
	authz.Target: {
		status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "The request has more than one reading.",
	},
	authz.NearLiteral: {
		status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "The path resembles that of another route. Spell it exactly.",
	},
	authz.MethodUnknown: {
		status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "The request was refused: the method is none of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS (they are case-sensitive).",
	},
	authz.CredentialMissing: {
		status: http.StatusUnauthorized, code: manage.CodeInvalid, grpc: grpcUnauthenticated,
		details:   "Send the header Authorization: Key YOUR_KEY.",
		challenge: "-",
	},
	authz.CredentialSeveral: {
		status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "More than one credential was sent. Send exactly one.",
	},
	authz.CredentialMalformed: {
		status: http.StatusBadRequest, code: manage.CodeInvalid, grpc: grpcInvalidArgument,
		details: "The credential is malformed. Send the scheme Key or Bearer, one space and the credential.",
	},
	authz.CredentialUnknown: {
		status: http.StatusUnauthorized, code: manage.CodeKeyUnknown, grpc: grpcUnauthenticated,
		details:   "There is no such credential, or it was revoked.",
		challenge: "invalid_token",
	},
	authz.Expired: {
		status: http.StatusUnauthorized, code: manage.CodeKeyInvalid, grpc: grpcUnauthenticated,
		details:   "The credential has expired. Make a new one.",
		challenge: "invalid_token",
	},
	authz.Disabled: {
		status: http.StatusUnauthorized, code: manage.CodeKeyInvalid, grpc: grpcUnauthenticated,
		details:   "The credential is disabled. Enable it, or use another.",
		challenge: "invalid_token",
	},
	authz.Suspended: {
		status: http.StatusUnauthorized, code: manage.CodeKeyInvalid, grpc: grpcUnauthenticated,
		details:   "The credential's user is suspended.",
		challenge: "invalid_token",
	},
	authz.StoreUnavailable: {
		status: http.StatusServiceUnavailable, code: manage.CodeUnavailable, grpc: grpcUnavailable,
		details: "The key store can't answer now. Try again.",
	},
	authz.Stale: {
		status: http.StatusServiceUnavailable, code: manage.CodeUnavailable, grpc: grpcUnavailable,
		details: "The key store can't answer now. Try again.",
	},
	authz.RouteUnknown: {
		status: http.StatusNotFound, code: manage.CodeNotFound, grpc: grpcUnimplemented,
		details: "No route of this API has this path.",
	},
	authz.MethodNotAllowed: {
		status: http.StatusMethodNotAllowed, code: manage.CodeMethod, grpc: grpcUnimplemented,
		details: "This path doesn't answer this method.",
	},
	authz.Kind: {
		status: http.StatusForbidden, code: manage.CodeInsufficientScopes, grpc: grpcPermissionDenied,
		details: "This route accepts no credential of any kind.",
	},
	authz.Owner: {
		status: http.StatusForbidden, code: manage.CodeKeyInvalid, grpc: grpcPermissionDenied,
		details: "The credential has no right to what the request addresses.",
	},
	authz.Scopes: {
		status: http.StatusForbidden, code: manage.CodeInsufficientScopes, grpc: grpcPermissionDenied,
		details:   "The credential has not been granted what this route needs.",
		challenge: "insufficient_scope",
	},
}

var (
	errNoCredential = refuseAs(authz.CredentialMissing)
	errSeveral      = refuseAs(authz.CredentialSeveral)
	errMalformed    = refuseAs(authz.CredentialMalformed)
	errUnknown      = refuseAs(authz.CredentialUnknown)
	errExpired      = refuseAs(authz.Expired)
	errDisabled     = refuseAs(authz.Disabled)
	errSuspended    = refuseAs(authz.Suspended)
	errNoRoute      = refuseAs(authz.RouteUnknown)
	errOwner        = refuseAs(authz.Owner)
	errOverride     = refuseTarget(wire.ErrOverride)
)

// refuseAs is the refusal for a reason, with the text that it always has.
func refuseAs(reason authz.Reason) *refusal {
	return &refusal{reason: reason, answer: answers[reason]}
}

// refuseBecause is the refusal for a reason, with a text of its own.
func refuseBecause(reason authz.Reason, details string) *refusal {
	ref := refuseAs(reason)
	ref.details = details
	return ref
}

// refuseTarget refuses a request that has more than one reading.
func refuseTarget(why error) *refusal {
	return refuseBecause(authz.Target, "The request was refused: "+why.Error()+".")
}

// webMethods are registered methods that Caddy's users need for other things
// than APIs, such as WebDAV (IANA, HTTP Method Registry). CONNECT, PRI and
// TRACE are not among them.
var webMethods = []string{
	"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY",
	"MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPFIND", "PROPPATCH", "QUERY", "REBIND",
	"REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
}

// refuseUnknownMethod answers 501 to a method that exists, and that no route
// can have.
func refuseUnknownMethod(method string) *refusal {
	ref := refuseAs(authz.MethodUnknown)
	if slices.Contains(webMethods, method) {
		ref.status = http.StatusNotImplemented
	}
	return ref
}

func refuseMethod(allow []string) *refusal {
	ref := refuseBecause(authz.MethodNotAllowed, "This path answers "+strings.Join(allow, ", ")+".")
	ref.allow = allow
	return ref
}

// refuseKind names the kinds that the route accepts.
func refuseKind(r *policy.Rule) *refusal {
	if slices.Contains(r.Accept, "none") {
		return refuseAs(authz.Kind)
	}
	return refuseBecause(authz.Kind, "This route doesn't accept this kind of credential. Use one of the kind "+strings.Join(r.Accept, " or ")+".")
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
	ref := refuseBecause(authz.Scopes, "The request was refused: "+strings.Join(parts, "; ")+".")
	ref.scope, ref.lack = strings.Join(r.Scopes, " "), lack
	return ref
}

func refuseUnavailable(cause error) *refusal {
	ref := refuseAs(authz.StoreUnavailable)
	ref.cause = cause
	return ref
}
