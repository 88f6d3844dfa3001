// Package authz holds what a decision about a request is made of, without
// HTTP and without Caddy.
package authz

import "fmt"

// Reason is why a request was decided as it was. Logs, metrics and
// explanations all use its name.
type Reason uint8

// The reasons, in the order in which a request is decided.
const (
	// Target: the target, the framing or an inspected body has more than one
	// reading.
	Target Reason = iota + 1
	// NearLiteral: the path is close to another route with other demands.
	NearLiteral
	// MethodUnknown: no route can have this method.
	MethodUnknown
	// Preflight: the request is a CORS preflight, and the gate answers it.
	Preflight
	// Public: the route needs no credential.
	Public
	// CredentialMissing: there is no credential.
	CredentialMissing
	// CredentialSeveral: there is more than one credential.
	CredentialSeveral
	// CredentialMalformed: the credential can't be one.
	CredentialMalformed
	// CredentialUnknown: the credential is unknown or revoked.
	CredentialUnknown
	// Expired: the credential has expired, or the session was idle too long.
	Expired
	// Disabled: the credential is disabled.
	Disabled
	// Suspended: the credential's user is suspended.
	Suspended
	// StoreUnavailable: the store can't answer.
	StoreUnavailable
	// Stale: this node doesn't know the newest revision.
	Stale
	// RouteUnknown: no route has this path.
	RouteUnknown
	// MethodNotAllowed: no route of this path has this method.
	MethodNotAllowed
	// Kind: the route doesn't accept this kind of credential.
	Kind
	// Owner: the request names an owner or an app that isn't the caller's.
	Owner
	// Resource: the request names a resource that the key is not limited to.
	Resource
	// Scopes: a scope or an endpoint is not granted.
	Scopes
	// Address: the key can't be used from this address.
	Address
	// Rate: the caller sends more requests than its rate allows.
	Rate
	// Quota: the caller has used up its quota.
	Quota
	// Allowed: nothing refuses the request.
	Allowed

	reasonEnd // one past the last
)

// reasons are the names of the reasons and the steps that they belong to.
var reasons = [reasonEnd]struct {
	name string
	step Step
}{
	Target:              {"target", StepTarget},
	NearLiteral:         {"near_literal", StepTarget},
	MethodUnknown:       {"method_unknown", StepTarget},
	Preflight:           {"preflight", StepTarget},
	Public:              {"public", StepPublic},
	CredentialMissing:   {"credential_missing", StepCredential},
	CredentialSeveral:   {"credential_several", StepCredential},
	CredentialMalformed: {"credential_malformed", StepCredential},
	CredentialUnknown:   {"credential_unknown", StepKnown},
	Expired:             {"expired", StepKnown},
	Disabled:            {"disabled", StepKnown},
	Suspended:           {"suspended", StepKnown},
	StoreUnavailable:    {"store_unavailable", StepKnown},
	Stale:               {"stale", StepKnown},
	RouteUnknown:        {"route_unknown", StepRoute},
	MethodNotAllowed:    {"method_not_allowed", StepRoute},
	Kind:                {"kind", StepKind},
	Owner:               {"owner", StepOwnership},
	Resource:            {"resource", StepOwnership},
	Scopes:              {"scopes", StepScopes},
	Address:             {"address", StepLimits},
	Rate:                {"rate", StepLimits},
	Quota:               {"quota", StepLimits},
	Allowed:             {"allowed", StepForward},
}

// Reasons lists every reason, in the order in which a request is decided.
func Reasons() []Reason {
	list := make([]Reason, 0, reasonEnd-1)
	for r := Target; r < reasonEnd; r++ {
		list = append(list, r)
	}
	return list
}

// ParseReason returns the reason of that name.
func ParseReason(name string) (Reason, error) {
	for _, r := range Reasons() {
		if reasons[r].name == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%q is not a reason of a decision", name)
}

// String returns the name of the reason, empty for the zero value.
func (r Reason) String() string {
	if r >= reasonEnd {
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
	return reasons[r].name
}

// Unavailable reports whether the reason is that this process can't decide now,
// which says nothing about the request.
func (r Reason) Unavailable() bool { return r == StoreUnavailable || r == Stale }

// Step returns the step of the decision that gives this reason.
func (r Reason) Step() Step {
	if r >= reasonEnd {
		return 0
	}
	return reasons[r].step
}

// Step is a step of a decision.
type Step uint8

// The steps of a decision, in their order.
const (
	StepTarget     Step = iota + 1 // target and framing have one reading
	StepPublic                     // the route is public
	StepCredential                 // there is one well-formed credential
	StepKnown                      // the credential is known and good
	StepRoute                      // the route is known
	StepKind                       // the route accepts the kind of credential
	StepOwnership                  // the addressed owner, app and resource are the caller's
	StepScopes                     // scopes and endpoint are granted
	StepLimits                     // address, rate and quota are within limits
	StepForward                    // the request is forwarded
)

var steps = [...]string{
	StepTarget: "target", StepPublic: "public", StepCredential: "credential", StepKnown: "known", StepRoute: "route",
	StepKind: "kind", StepOwnership: "ownership", StepScopes: "scopes", StepLimits: "limits", StepForward: "forward",
}

// String returns the name of the step, empty for the zero value.
func (s Step) String() string {
	if int(s) >= len(steps) {
		return fmt.Sprintf("Step(%d)", uint8(s))
	}
	return steps[s]
}
