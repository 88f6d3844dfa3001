package manage

import (
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// delegable refuses a key that could do more than the caller's own credential: a
// key can't have a scope, an endpoint, an expiry, a limit, an address or a resource
// beyond the caller's. Every new and every changed key is checked. element is the
// path of the key in the body.
//
// A session acts as the user, who may do everything with their own records, so it
// can grant everything without an expiry.
func (r *request) delegable(element string, c *keys.Credential) error {
	own := r.own
	if own == nil || own.Kind == policy.Session {
		return nil
	}
	if !slices.Contains(own.Scopes, policy.ScopeAll) {
		if lacking := difference(c.Scopes, own.Scopes); len(lacking) > 0 {
			e := refuse(CodeInsufficientScopes, join(element, "scopes"), "the credential of this call doesn't have %s itself, and can't grant more than it has", texts(lacking))
			e.MissingScopes = lacking
			return e
		}
	}
	if own.Endpoints != nil {
		if c.Endpoints == nil {
			return refuse(CodeInsufficientScopes, join(element, "endpoints"), "the credential of this call is limited to endpoints, and without a list the key would have all; list the endpoints to grant")
		}
		if lacking := difference(c.Endpoints, own.Endpoints); len(lacking) > 0 {
			return refuse(CodeInsufficientScopes, join(element, "endpoints"), "the credential of this call doesn't have %s itself, and can't grant more than it has", texts(lacking))
		}
	}
	if !own.ExpiresAt.IsZero() && (c.ExpiresAt.IsZero() || c.ExpiresAt.After(own.ExpiresAt)) {
		return refuse(CodeInsufficientScopes, join(element, "expires_at"), "the credential of this call expires at %s, and the key can't live longer: give it an expires_at no later", own.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return r.delegableBounds(element, c)
}

// delegableBounds refuses a key that could be used more often, from more addresses or
// for more resources than the caller's own credential. Plans are compared by their
// current limits.
func (r *request) delegableBounds(element string, c *keys.Credential) error {
	own, lacks := r.own, CodeInsufficientScopes
	plan := r.api.Plans[c.Plan]
	if own.Plan != "" && own.Plan != c.Plan {
		bound := r.api.Plans[own.Plan]
		if bound == nil || !withinLimits(bound.Limits, c.Limits, plan) || !addressesOf(c, plan).Within(bound.Addresses) {
			return refuse(lacks, join(element, "plan"), "the credential of this call has the plan %s, and the key can't have more: give it the same plan", own.Plan)
		}
	}
	if !withinLimits(own.Limits, c.Limits, plan) {
		return refuse(lacks, join(element, "limits"), "the credential of this call is limited to %s, and the key can't have more: give it limits no higher", texts(LimitTexts(own.Limits)))
	}
	if !addressesOf(c, plan).Within(own.Addresses) {
		return refuse(lacks, join(element, "addresses"), "the credential of this call can only be used from %s, and the key can't be used from elsewhere: give it some of these addresses", texts(own.Addresses.Texts()))
	}
	if !c.Resources.Within(own.Resources) {
		return refuse(lacks, join(element, "resources"), "the credential of this call is limited to %s, and the key can't have more: give it some of these values", texts(ValueTexts(own.Resources)))
	}
	return nil
}

// withinLimits reports whether a key's own limits or its plan meet each limit of
// bound. For a key without a plan, plan is nil.
func withinLimits(bound, own policy.Limits, plan *policy.Plan) bool {
	for _, one := range []policy.Limits{{Rate: bound.Rate}, {Quota: bound.Quota}, {Concurrent: bound.Concurrent}} {
		if !own.Within(one) && (plan == nil || !plan.Limits.Within(one)) {
			return false
		}
	}
	return true
}

// addressesOf returns the addresses that a key and its plan permit.
func addressesOf(c *keys.Credential, plan *policy.Plan) policy.Addresses {
	if plan == nil {
		return c.Addresses
	}
	return c.Addresses.And(plan.Addresses)
}

// delegableTo is delegable for a collaborator. A collaborator never expires and has no
// limits, so a credential that expires or has limits can't add one.
func (r *request) delegableTo(element string, c *keys.Collaborator) error {
	own := r.own
	if own == nil || own.Kind == policy.Session {
		return nil
	}
	if bound := boundOf(own); bound != "" {
		return refuse(CodeInsufficientScopes, element, "the credential of this call has %s, which a collaborator does not have: use one without, or a session", bound)
	}
	if !own.ExpiresAt.IsZero() {
		return refuse(CodeInsufficientScopes, element, "the credential of this call expires at %s, and a collaborator does not: use one that doesn't expire, or a session", own.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return r.delegable(element, &keys.Credential{Scopes: c.Scopes, Endpoints: c.Endpoints})
}

// boundOf returns a limit that a credential has, in words, or an empty text.
func boundOf(c *keys.Credential) string {
	switch {
	case c.Plan != "":
		return "a plan"
	case c.Limits.Bounded():
		return "limits"
	case c.Addresses != nil:
		return "a list of addresses"
	case c.Resources != nil:
		return "a list of resources"
	}
	return ""
}

// grantAll grants a key everything that the caller can grant.
func (r *request) grantAll(c *keys.Credential) {
	c.Scopes = []string{policy.ScopeAll}
	if own := r.own; own != nil && own.Kind != policy.Session {
		c.Scopes, c.Endpoints, c.ExpiresAt = own.Scopes, own.Endpoints, own.ExpiresAt
		c.Plan, c.Limits, c.Addresses, c.Resources = own.Plan, own.Limits, own.Addresses, own.Resources
	}
}
