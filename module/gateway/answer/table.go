// Package answer turns the reason of a refusal into what a client is told: by
// HTTP, in the form that the site has chosen, or as gRPC does.
package answer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Answer is what a client is answered whose request is refused.
type Answer struct {
	Reason authz.Reason
	Status int
	Code   manage.Code
	GRPC   codes.Code
	// Details say what to do.
	Details string
	// Scope is all that the route needs, if the credential lacks some of it,
	// and Lack is that.
	Scope string
	Lack  policy.Lack
	// Allow are the methods that the path has, if it hasn't the request's.
	Allow []string
	// After is how many seconds the request has to wait, 0 if nothing is known.
	After int64

	// challenge is the error of WWW-Authenticate (RFC 6750, section 3); "-"
	// for a challenge without one, empty for no challenge.
	challenge string
}

// table is how each reason is answered.
var table = [...]Answer{
	authz.Target: {
		Status: http.StatusBadRequest, Code: manage.CodeInvalid, GRPC: codes.InvalidArgument,
		Details: "The request has more than one reading.",
	},
	authz.NearLiteral: {
		Status: http.StatusBadRequest, Code: manage.CodeInvalid, GRPC: codes.InvalidArgument,
		Details: "The path resembles that of another route. Spell it exactly.",
	},
	authz.MethodUnknown: {
		Status: http.StatusBadRequest, Code: manage.CodeInvalid, GRPC: codes.InvalidArgument,
		Details: "The request was refused: the method is none of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS (they are case-sensitive).",
	},
	authz.CredentialMissing: {
		Status: http.StatusUnauthorized, Code: manage.CodeInvalid, GRPC: codes.Unauthenticated,
		Details:   "Send the header Authorization: Key YOUR_KEY.",
		challenge: "-",
	},
	authz.CredentialSeveral: {
		Status: http.StatusBadRequest, Code: manage.CodeInvalid, GRPC: codes.InvalidArgument,
		Details: "More than one credential was sent. Send exactly one.",
	},
	authz.CredentialMalformed: {
		Status: http.StatusBadRequest, Code: manage.CodeInvalid, GRPC: codes.InvalidArgument,
		Details: "The credential is malformed. Send the scheme Key or Bearer, one space and the credential.",
	},
	authz.CredentialUnknown: {
		Status: http.StatusUnauthorized, Code: manage.CodeKeyUnknown, GRPC: codes.Unauthenticated,
		Details:   "There is no such credential, or it was revoked.",
		challenge: "invalid_token",
	},
	authz.Expired: {
		Status: http.StatusUnauthorized, Code: manage.CodeKeyInvalid, GRPC: codes.Unauthenticated,
		Details:   "The credential has expired. Make a new one.",
		challenge: "invalid_token",
	},
	authz.Disabled: {
		Status: http.StatusUnauthorized, Code: manage.CodeKeyInvalid, GRPC: codes.Unauthenticated,
		Details:   "The credential is disabled. Enable it, or use another.",
		challenge: "invalid_token",
	},
	authz.Suspended: {
		Status: http.StatusUnauthorized, Code: manage.CodeKeyInvalid, GRPC: codes.Unauthenticated,
		Details:   "The credential's user is suspended.",
		challenge: "invalid_token",
	},
	authz.StoreUnavailable: {
		Status: http.StatusServiceUnavailable, Code: manage.CodeUnavailable, GRPC: codes.Unavailable,
		Details: "The key store can't answer now. Try again.",
	},
	authz.Stale: {
		Status: http.StatusServiceUnavailable, Code: manage.CodeUnavailable, GRPC: codes.Unavailable,
		Details: "This node may not know the newest changes. Try again.",
	},
	authz.RouteUnknown: {
		Status: http.StatusNotFound, Code: manage.CodeNotFound, GRPC: codes.Unimplemented,
		Details: "No route of this API has this path.",
	},
	authz.MethodNotAllowed: {
		Status: http.StatusMethodNotAllowed, Code: manage.CodeMethod, GRPC: codes.Unimplemented,
		Details: "This path doesn't answer this method.",
	},
	authz.Kind: {
		Status: http.StatusForbidden, Code: manage.CodeInsufficientScopes, GRPC: codes.PermissionDenied,
		Details: "This route accepts no credential of any kind.",
	},
	authz.Owner: {
		Status: http.StatusForbidden, Code: manage.CodeKeyInvalid, GRPC: codes.PermissionDenied,
		Details: "The credential has no right to what the request addresses.",
	},
	authz.Resource: {
		Status: http.StatusForbidden, Code: manage.CodeKeyInvalid, GRPC: codes.PermissionDenied,
		Details: "The key is limited to some values of a resource, and the request may address others.",
	},
	authz.Scopes: {
		Status: http.StatusForbidden, Code: manage.CodeInsufficientScopes, GRPC: codes.PermissionDenied,
		Details:   "The credential has not been granted what this route needs.",
		challenge: "insufficient_scope",
	},
	authz.Address: {
		Status: http.StatusForbidden, Code: manage.CodeKeyInvalid, GRPC: codes.PermissionDenied,
		Details: "The key can't be used from the address that the request comes from.",
	},
	authz.Rate: {
		Status: http.StatusTooManyRequests, Code: manage.CodeThrottled, GRPC: codes.ResourceExhausted,
		Details: "Too many requests. Try again later.",
	},
	authz.Quota: {
		Status: http.StatusTooManyRequests, Code: manage.CodeLimit, GRPC: codes.ResourceExhausted,
		Details: "The quota is used up. Try again later.",
	},
}

// webMethods are registered methods that Caddy's users need for other things
// than APIs, such as WebDAV (IANA, HTTP Method Registry). CONNECT, PRI and
// TRACE are not among them.
var webMethods = []string{
	"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY",
	"MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPFIND", "PROPPATCH", "QUERY", "REBIND",
	"REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
}

// failure is the answer where the table has none, which is a failure of ours.
var failure = Answer{
	Status: http.StatusInternalServerError, Code: manage.CodeInternal, GRPC: codes.Internal,
	Details: "The gate failed, and the server's log says why.",
}

// To returns the answer to a request that is refused.
func To(q *authz.Question, o *authz.Outcome) *Answer {
	a := failure
	if int(o.Reason) < len(table) && table[o.Reason].Status != 0 {
		a = table[o.Reason]
	}
	a.Reason = o.Reason
	switch o.Reason {
	case authz.Target:
		a.misread(o.Err)
	case authz.MethodUnknown:
		// It exists, and no route can have it.
		if slices.Contains(webMethods, q.Method) {
			a.Status = http.StatusNotImplemented
		}
	case authz.MethodNotAllowed:
		a.Details, a.Allow = "This path answers "+strings.Join(o.Allow, ", ")+".", o.Allow
	case authz.Kind:
		if accept := q.Rule.Accept; !slices.Contains(accept, "none") {
			a.Details = "This route doesn't accept this kind of credential. Use one of the kind " + strings.Join(accept, " or ") + "."
		}
	case authz.Scopes:
		a.Details = "The request was refused: " + missing(o.Lack) + "."
		a.Scope, a.Lack = strings.Join(q.Rule.Scopes, " "), o.Lack
	case authz.Resource:
		a.Details = "The key is limited to some values of " + o.Beyond + ", and the request may address others."
	case authz.Rate, authz.Quota:
		a.After = max(int64((o.After+time.Second-1)/time.Second), 1)
		a.Details = fmt.Sprintf("The request exceeds %s. Try again in %d s.", o.Limit, a.After)
	default: // the table says it all
	}
	return &a
}

// misread says what in a request has more than one reading. What is wrong with
// a body is answered by a status of its own.
func (a *Answer) misread(err error) {
	body, ok := errors.AsType[*tenant.Error](err)
	if !ok {
		if err != nil {
			a.Details = "The request was refused: " + err.Error() + "."
		}
		return
	}
	a.Details = body.Details
	switch body.Problem {
	case tenant.Unreadable:
		a.Status = http.StatusUnsupportedMediaType
	case tenant.TooLarge:
		a.Status, a.Code, a.GRPC = http.StatusRequestEntityTooLarge, manage.CodeTooLarge, codes.ResourceExhausted
	case tenant.Slow:
		a.Status, a.GRPC = http.StatusRequestTimeout, codes.DeadlineExceeded
	default: // the answer is that of the reason
	}
}

// missing says what has not been granted.
func missing(lack policy.Lack) string {
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
	return strings.Join(parts, "; ")
}
