package keys

import (
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Field describes a field of a credential, once for all that walk the fields:
// the audit log, and the merge of a backup with what the store has now.
type Field struct {
	// Name is the field's name in the API.
	Name string
	// Fact returns what the audit log shows, nil for nothing.
	Fact func(*Credential) any
	// Narrow leaves a credential nothing that the other record of it doesn't
	// have, and reports whether it had more. It is nil if the field grants
	// nothing.
	Narrow func(c, than *Credential) bool
}

// CredentialFields are the fields of a credential that its holder chooses, or
// that say who made it.
var CredentialFields = []Field{
	{Name: "type", Fact: func(c *Credential) any { return c.Kind.String() }},
	{Name: "description", Fact: func(c *Credential) any { return c.Description }},
	{Name: "scopes", Fact: func(c *Credential) any { return c.Scopes }, Narrow: narrowScopes},
	{Name: "endpoints", Fact: func(c *Credential) any { return c.Endpoints }, Narrow: narrowEndpoints},
	{Name: "plan", Fact: func(c *Credential) any { return textFact(c.Plan) }, Narrow: narrowPlan},
	{Name: "limits", Fact: limitsFact, Narrow: narrowLimits},
	{Name: "addresses", Fact: addressesFact, Narrow: narrowAddresses},
	{Name: "resources", Fact: resourcesFact, Narrow: narrowResources},
	{Name: "disabled", Fact: func(c *Credential) any { return c.Disabled }, Narrow: narrowDisabled},
	{Name: "created_by", Fact: func(c *Credential) any { return c.CreatedBy }},
	{Name: "expires_at", Fact: expiryFact, Narrow: narrowExpiry},
	{Name: "rotated_from", Fact: func(c *Credential) any { return textFact(c.RotatedFrom) }},
	{Name: "rotated_to", Fact: func(c *Credential) any { return textFact(c.RotatedTo) }},
}

// Narrow leaves the credential nothing that another record of it doesn't have,
// and reports whether it had more.
func (c *Credential) Narrow(than *Credential) (had bool) {
	for _, f := range CredentialFields {
		if f.Narrow != nil && f.Narrow(c, than) {
			had = true
		}
	}
	return had
}

// textFact leaves an empty text out.
func textFact(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func limitsFact(c *Credential) any {
	if !c.Limits.Bounded() {
		return nil
	}
	return c.Limits
}

func addressesFact(c *Credential) any {
	if c.Addresses == nil {
		return nil
	}
	return c.Addresses.Texts()
}

func resourcesFact(c *Credential) any {
	if c.Resources == nil {
		return nil
	}
	return c.Resources
}

func expiryFact(c *Credential) any {
	if c.ExpiresAt.IsZero() {
		return nil
	}
	return c.ExpiresAt.UTC().Format(time.RFC3339Nano)
}

func narrowScopes(c, than *Credential) bool {
	was := c.Scopes
	c.Scopes = SharedScopes(was, than.Scopes)
	return !slices.Equal(was, c.Scopes)
}

// narrowEndpoints disables a credential whose list is left empty. Such a list
// grants none, but is shown as if there were no list: a disabled key leaves no
// doubt.
func narrowEndpoints(c, than *Credential) bool {
	was, disabled := c.Endpoints, c.Disabled
	c.Endpoints = SharedEndpoints(was, than.Endpoints)
	c.Disabled = disabled || c.Endpoints != nil && len(c.Endpoints) == 0
	return c.Disabled != disabled || (was == nil) != (c.Endpoints == nil) || !slices.Equal(was, c.Endpoints)
}

// narrowPlan prefers the other plan. Only the configuration knows which of two plans
// permits less.
func narrowPlan(c, than *Credential) bool {
	if than.Plan == "" || than.Plan == c.Plan {
		return false
	}
	c.Plan = than.Plan
	return true
}

func narrowLimits(c, than *Credential) bool {
	was := c.Limits
	c.Limits = was.And(than.Limits)
	return c.Limits != was
}

func narrowAddresses(c, than *Credential) bool {
	was := c.Addresses
	c.Addresses = was.And(than.Addresses)
	return (was == nil) != (c.Addresses == nil) || !slices.Equal(was, c.Addresses)
}

func narrowResources(c, than *Credential) bool {
	was := c.Resources
	c.Resources = was.And(than.Resources)
	return !c.Resources.Equal(was)
}

func narrowDisabled(c, than *Credential) bool {
	was := c.Disabled
	c.Disabled = was || than.Disabled
	return c.Disabled != was
}

func narrowExpiry(c, than *Credential) bool {
	if than.ExpiresAt.IsZero() || !c.ExpiresAt.IsZero() && !than.ExpiresAt.Before(c.ExpiresAt) {
		return false
	}
	c.ExpiresAt = than.ExpiresAt
	return true
}

// SharedScopes returns the scopes that both lists grant.
func SharedScopes(a, b []string) []string {
	switch {
	case slices.Contains(b, policy.ScopeAll):
		return a
	case slices.Contains(a, policy.ScopeAll):
		return b
	}
	return shared(a, b)
}

// SharedEndpoints returns the endpoints that both lists grant. The result is
// nil, which is all, only where both are: with nothing shared it is an empty
// list, which grants none.
func SharedEndpoints(a, b []string) []string {
	switch {
	case b == nil:
		return a
	case a == nil:
		return b
	}
	return shared(a, b)
}

// shared is never nil.
func shared(a, b []string) []string {
	both := []string{}
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}
