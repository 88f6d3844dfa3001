package manage

import (
	"errors"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// MyScopes is what the caller's credential grants; All means every scope.
type MyScopes struct {
	Granted
	// Plan, Limits, Addresses and Resources are those of the credential, as in a
	// [Key].
	Plan      string        `json:"plan,omitempty"`
	Limits    policy.Limits `json:"limits,omitzero"`
	Addresses []string      `json:"addresses,omitzero"`
	Resources policy.Values `json:"resources,omitzero"`
	// Everyone is set for a collaborator of an app that everyone may use too. A
	// request is allowed if either grant allows it.
	Everyone *Granted `json:"everyone,omitempty"`
}

// Granted are scopes and endpoints. Endpoints is null for all endpoints. An empty
// list permits nothing, because the credential and the collaborator have no
// endpoint in common.
type Granted struct {
	Scopes    []string `json:"scopes"`
	Endpoints []string `json:"endpoints"`
}

// getMyScopes answers what the caller's credential grants, or under an app, what it
// grants there.
func (r *request) getMyScopes(from keys.Reader) (*Answer, error) {
	mine, err := r.granted(from)
	if err != nil {
		return nil, err
	}
	switch {
	case r.app().AppID == "":
		if r.user() != "" {
			_, err = r.findUser(from)
		}
	case r.caller.Operator || r.user() == r.caller.UserID:
		_, err = r.findApp(from)
	default:
		err = r.grantedTo(from, mine)
	}
	return &Answer{MyScopes: mine}, err
}

// granted returns what the caller's credential grants on its user's own apps.
func (r *request) granted(from keys.Reader) (*MyScopes, error) {
	if r.caller.Operator || r.caller.Kind == policy.Session {
		return &MyScopes{Granted: Granted{Scopes: []string{policy.ScopeAll}}}, nil
	}
	c, err := from.Credential(r.caller.Digest)
	if errors.Is(err, keys.ErrNotFound) {
		return nil, refuse(CodeKeyUnknown, "", "the credential of this call was revoked meanwhile")
	}
	return &MyScopes{
		Granted: Granted{append([]string{}, c.Scopes...), c.Endpoints},
		Plan:    c.Plan, Limits: c.Limits, Addresses: c.Addresses.Texts(), Resources: c.Resources,
	}, err
}

// grantedTo limits what the credential grants to the grants of a collaborator of
// someone else's app.
func (r *request) grantedTo(from keys.Reader, mine *MyScopes) error {
	var found []*Granted
	for _, user := range []string{r.caller.UserID, keys.Everyone} {
		c, err := from.Collaborator(keys.CollaboratorRef{AppRef: r.app(), UserID: user})
		if errors.Is(err, keys.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, mine.Granted.and(&c))
	}
	if len(found) == 0 {
		return refuse(CodeKeyInvalid, "", "the credential is not for this owner or app")
	}
	mine.Granted = *found[0]
	if len(found) > 1 {
		mine.Everyone = found[1]
	}
	return nil
}

// and returns what both the credential and the collaborator grant.
func (g *Granted) and(c *keys.Collaborator) *Granted {
	both := &Granted{Scopes: []string{}}
	switch {
	case slices.Contains(g.Scopes, policy.ScopeAll):
		both.Scopes = append(both.Scopes, c.Scopes...)
	case slices.Contains(c.Scopes, policy.ScopeAll):
		both.Scopes = append(both.Scopes, g.Scopes...)
	default:
		both.Scopes = append(both.Scopes, common(g.Scopes, c.Scopes)...)
	}
	switch {
	case g.Endpoints == nil:
		both.Endpoints = c.Endpoints
	case c.Endpoints == nil:
		both.Endpoints = g.Endpoints
	default:
		both.Endpoints = append([]string{}, common(g.Endpoints, c.Endpoints)...)
	}
	return both
}

// common returns the elements that two lists have in common.
func common(a, b []string) []string { return difference(a, difference(a, b)) }
