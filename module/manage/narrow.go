package manage

import (
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// comparison tells whether a change grants less, more, or both.
type comparison struct{ narrower, wider bool }

// add compares one record's grant before and after a change.
func (c *comparison) add(oldScopes, newScopes, oldEndpoints, newEndpoints []string) {
	c.lists(oldScopes, newScopes, slices.Contains(oldScopes, policy.ScopeAll), slices.Contains(newScopes, policy.ScopeAll))
	c.lists(oldEndpoints, newEndpoints, oldEndpoints == nil, newEndpoints == nil)
}

// lists compares two lists. allBefore and allAfter are true if a list grants
// everything.
func (c *comparison) lists(before, after []string, allBefore, allAfter bool) {
	switch {
	case allBefore && allAfter:
	case allBefore:
		c.narrower = true
	case allAfter:
		c.wider = true
	default:
		c.narrower = c.narrower || len(difference(before, after)) > 0
		c.wider = c.wider || len(difference(after, before)) > 0
	}
}

// within adds a comparison of a field. after reports whether the new value is within
// the old one, and before reports whether the old value is within the new one.
func (c *comparison) within(after, before bool) {
	c.narrower = c.narrower || !before
	c.wider = c.wider || !after
}

func (c *comparison) keys(before, after *keys.Credential) {
	c.add(before.Scopes, after.Scopes, before.Endpoints, after.Endpoints)
	switch {
	case before.ExpiresAt.Equal(after.ExpiresAt):
	case before.ExpiresAt.IsZero(), !after.ExpiresAt.IsZero() && after.ExpiresAt.Before(before.ExpiresAt):
		c.narrower = true
	default:
		c.wider = true
	}
	c.within(before.Plan == "" || before.Plan == after.Plan, after.Plan == "" || before.Plan == after.Plan)
	c.within(after.Limits.Within(before.Limits), before.Limits.Within(after.Limits))
	c.within(after.Addresses.Within(before.Addresses), before.Addresses.Within(after.Addresses))
	c.within(after.Resources.Within(before.Resources), before.Resources.Within(after.Resources))
	c.narrower = c.narrower || after.Disabled && !before.Disabled
	c.wider = c.wider || before.Disabled && !after.Disabled
}

// restricts reports whether a change only grants less.
func (c *comparison) restricts() bool { return c.narrower && !c.wider }

// narrowsKeys reports whether a change of keys only grants less. It ignores
// mistakes in the change, which the change itself refuses.
func (r *request) narrowsKeys(in keyChanges) (bool, error) {
	var all comparison
	err := r.view(func(from keys.Reader) error {
		for _, k := range in.list {
			c, err := r.findKeyInBody(from, k.id, "")
			if isNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			next := c
			next.Scopes, next.Endpoints = slices.Clone(c.Scopes), slices.Clone(c.Endpoints)
			if r.api.change(&next, k, in.action) == nil {
				all.keys(&c, &next)
			}
		}
		return nil
	})
	return all.restricts(), err
}

// narrowsCollaborators is narrowsKeys for collaborators.
func (r *request) narrowsCollaborators(in collaboratorChanges) (bool, error) {
	var all comparison
	err := r.view(func(from keys.Reader) error {
		for _, n := range in.list {
			ref, err := r.collaboratorRef(n.namedUser)
			if err != nil {
				return nil // the change refuses it
			}
			c, err := r.findCollaborator(from, ref, "")
			if isNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			scopes, endpoints := slices.Clone(c.Scopes), slices.Clone(c.Endpoints)
			if r.api.changeGrant(&scopes, &endpoints, n.grantChange, in.action) == nil {
				all.add(c.Scopes, scopes, c.Endpoints, endpoints)
			}
		}
		return nil
	})
	return all.restricts(), err
}
