package manage

import (
	"slices"

	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// WithCalls returns a catalogue with the calls of the management API: the scopes
// that they need, with the scopes that those need, and the calls that need a
// scope. Any credential may make the other calls, for example to ask for its own
// scopes. The catalogue's own declaration of a scope wins.
func WithCalls(c *policy.Catalogue) (*policy.Catalogue, error) {
	scopes, err := scopesOfCalls()
	if err != nil {
		return nil, err
	}
	withoutScopes := func(r *policy.Rule) bool { return len(r.Scopes) == 0 }
	return c.With(scopes, slices.DeleteFunc(slices.Clone(site.table.Rules()), withoutScopes)), nil
}

// scopesOfCalls returns the scopes that calls need, with Clarifai's descriptions.
func scopesOfCalls() ([]policy.Scope, error) {
	described, err := tables.Shipped("clarifai")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range Routes() {
		names = append(names, r.Scopes...)
	}
	var scopes []policy.Scope
	for ; len(names) > 0; names = names[1:] {
		known := func(s policy.Scope) bool { return s.Name == names[0] }
		i := slices.IndexFunc(described.Scopes, known)
		if i >= 0 && !slices.ContainsFunc(scopes, known) {
			scopes = append(scopes, described.Scopes[i])
			names = append(names, described.Scopes[i].Needs...)
		}
	}
	return scopes, nil
}
