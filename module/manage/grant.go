package manage

import (
	"slices"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// grantChange is what a PATCH does with the scopes and endpoints of a key or a
// collaborator. A list that isn't given stays.
type grantChange struct {
	// path is where the element stands in the body, and of is what it is
	// called in an error: a key or a collaborator.
	path, of                    string
	scopes, endpoints           []string
	givesScopes, givesEndpoints bool
}

func readGrantChange(o *object, of string) grantChange {
	g := grantChange{path: o.path, of: of}
	g.givesScopes = o.listed("scopes", &g.scopes)
	g.givesEndpoints = o.listed("endpoints", &g.endpoints)
	return g
}

// listed reads a list that is to change another. Null is refused, because it
// could mean that the list stays, as without it, or that it becomes empty.
func (o *object) listed(name string, into *[]string) bool {
	if isNull(o.fields[name]) {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be a list of texts; leave it out and it stays as it is"))
	}
	return o.texts(name, into)
}

// changeGrant applies a change to the lists of a key or a collaborator.
func (a *API) changeGrant(scopes, endpoints *[]string, g grantChange, act action) error {
	if act == "" && (g.givesScopes || g.givesEndpoints) {
		return refuse(CodeInvalid, "action", "say what becomes of the lists: merge, overwrite or remove")
	}
	if g.givesScopes {
		if err := a.changeScopes(scopes, g, act); err != nil {
			return err
		}
	}
	if g.givesEndpoints {
		return a.changeEndpoints(endpoints, g, act)
	}
	return nil
}

// changeScopes refuses a removal that would take nothing away, because the
// client would believe that it did.
func (a *API) changeScopes(scopes *[]string, g grantChange, act action) error {
	field := join(g.path, "scopes")
	if err := a.checkGrantable(field, g.scopes, *scopes); err != nil {
		return err
	}
	*scopes = act.apply(*scopes, g.scopes)
	if act == remove && len(g.scopes) > 0 && slices.Contains(*scopes, policy.ScopeAll) {
		return refuse(CodeInvalid, field, "the %s would keep %s, which grants them all the same; overwrite with those it may keep", g.of, policy.ScopeAll)
	}
	return a.checkComplete(field, *scopes)
}

// changeEndpoints refuses two changes that would say less and grant more: a
// list that becomes empty would be no list, which is all endpoints; and from
// no list nothing can be removed.
func (a *API) changeEndpoints(endpoints *[]string, g grantChange, act action) error {
	field := join(g.path, "endpoints")
	limited := *endpoints != nil
	if !limited && act == remove && len(g.endpoints) > 0 {
		return refuse(CodeInvalid, field, "the %s has no list, which is all endpoints, so there is nothing to remove; overwrite with those it may keep", g.of)
	}
	if err := a.checkEndpoints(field, g.endpoints, *endpoints); err != nil {
		return err
	}
	*endpoints = act.apply(*endpoints, g.endpoints)
	if limited && len(*endpoints) == 0 {
		return refuse(CodeInvalid, field, "none would be left, and no list is all endpoints; to take the %s out of use, %s it", g.of, map[string]string{"key": "disable or revoke", "collaborator": "remove"}[g.of])
	}
	return nil
}
