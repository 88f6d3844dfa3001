package manage

import (
	"slices"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// grantChange is the change of the scopes and endpoints of a key or a collaborator
// in a PATCH. A list that isn't given stays.
type grantChange struct {
	// path is the element's path in the body, and of its kind in errors: key or
	// collaborator.
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

// listed reads the change of a list. It refuses null, which could mean that the
// list stays, or that it becomes empty.
func (o *object) listed(name string, into *[]string) bool {
	if isNull(o.fields[name]) {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be a list of texts; leave it out to keep it as it is"))
	}
	return o.texts(name, into)
}

// changeGrant applies a change to the lists of a key or a collaborator.
func (a *API) changeGrant(scopes, endpoints *[]string, g grantChange, act action) error {
	if act == "" && (g.givesScopes || g.givesEndpoints) {
		return refuse(CodeInvalid, "action", "it is missing; say what to do with the lists: merge, overwrite or remove")
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

// changeScopes changes the scopes. It refuses a removal without effect, because
// the client would believe that the scopes are gone.
func (a *API) changeScopes(scopes *[]string, g grantChange, act action) error {
	field := join(g.path, "scopes")
	if err := a.checkGrantable(field, g.scopes, *scopes); err != nil {
		return err
	}
	*scopes = act.apply(*scopes, g.scopes)
	if act == remove && len(g.scopes) > 0 && slices.Contains(*scopes, policy.ScopeAll) {
		return refuse(CodeInvalid, field, "the %s would keep %s, which still grants them; overwrite with the scopes to keep", g.of, policy.ScopeAll)
	}
	return a.checkComplete(field, *scopes)
}

// changeEndpoints changes the endpoints. It refuses to empty a list, because an
// empty list means all endpoints, and to remove from an empty list, because that
// has no effect.
func (a *API) changeEndpoints(endpoints *[]string, g grantChange, act action) error {
	field := join(g.path, "endpoints")
	limited := *endpoints != nil
	if !limited && act == remove && len(g.endpoints) > 0 {
		return refuse(CodeInvalid, field, "the %s has no list, which means all endpoints; overwrite with the endpoints to keep", g.of)
	}
	if err := a.checkEndpoints(field, g.endpoints, *endpoints); err != nil {
		return err
	}
	*endpoints = act.apply(*endpoints, g.endpoints)
	if limited && len(*endpoints) == 0 {
		return refuse(CodeInvalid, field, "none would be left, which means all endpoints; to end the use of the %s, %s it", g.of, map[string]string{"key": "disable or revoke", "collaborator": "remove"}[g.of])
	}
	return nil
}
