package manage

import (
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// delegable refuses a key that could do more than the caller's own credential:
// a key has no scope, endpoint or time that the caller's hasn't. Every key that
// a change results in is checked. element is where the key stands in the body.
//
// A session is the user, who may do anything with their own things, so it can
// pass on everything without a limit of time.
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
			return refuse(CodeInsufficientScopes, join(element, "endpoints"), "the credential of this call is limited to endpoints, and no list is all of them; list those that are to be granted")
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

// delegableTo is delegable for a collaborator. A collaborator stays until it is
// removed, so a credential that expires can't add one.
func (r *request) delegableTo(element string, c *keys.Collaborator) error {
	if own := r.own; own != nil && own.Kind != policy.Session && !own.ExpiresAt.IsZero() {
		return refuse(CodeInsufficientScopes, element, "the credential of this call expires at %s, and a collaborator does not: use one that doesn't expire, or a session", own.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return r.delegable(element, &keys.Credential{Scopes: c.Scopes, Endpoints: c.Endpoints})
}

// grantAll grants a key everything that the caller can pass on.
func (r *request) grantAll(c *keys.Credential) {
	c.Scopes = []string{policy.ScopeAll}
	if own := r.own; own != nil && own.Kind != policy.Session {
		c.Scopes, c.Endpoints, c.ExpiresAt = own.Scopes, own.Endpoints, own.ExpiresAt
	}
}
