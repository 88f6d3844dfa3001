package manage

import (
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// delegable refuses a key that could do more than the caller's own credential: a
// key can't have a scope, an endpoint or an expiry beyond the caller's. Every new
// and every changed key is checked. element is the path of the key in the body.
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
	return nil
}

// delegableTo is delegable for a collaborator. A collaborator never expires, so a
// credential that expires can't add one.
func (r *request) delegableTo(element string, c *keys.Collaborator) error {
	if own := r.own; own != nil && own.Kind != policy.Session && !own.ExpiresAt.IsZero() {
		return refuse(CodeInsufficientScopes, element, "the credential of this call expires at %s, and a collaborator does not: use one that doesn't expire, or a session", own.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return r.delegable(element, &keys.Credential{Scopes: c.Scopes, Endpoints: c.Endpoints})
}

// grantAll grants a key everything that the caller can grant.
func (r *request) grantAll(c *keys.Credential) {
	c.Scopes = []string{policy.ScopeAll}
	if own := r.own; own != nil && own.Kind != policy.Session {
		c.Scopes, c.Endpoints, c.ExpiresAt = own.Scopes, own.Endpoints, own.ExpiresAt
	}
}
