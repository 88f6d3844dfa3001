package manage

import (
	"errors"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A user with the operator's role has some of the operator's calls on a site, for
// the operator's pages of the portal. The role is given and taken by the operator
// only.

// OperatorBase is the base path of [NewOperatorMount].
const OperatorBase = "/operator"

// viewCalls are the calls that users with the operator's role have. They can't set
// a password, give the role, or see a credential. Of a user they change whether the
// user is suspended, and the plan; of an app, the plan.
var viewCalls = slices.Concat(
	among(operatorCalls, "GET /v2/users", "GET /v2/keys", "DELETE /v2/keys", "GET /v2/keys/{key_id}", "GET /v2/audit"),
	among(calls, "GET /v2/users/{user_id}", "GET /v2/users/{user_id}/apps", "GET /v2/users/{user_id}/apps/{app_id}",
		"GET /v2/users/{user_id}/keys", "DELETE /v2/users/{user_id}/sessions"),
	[]call{{
		"PATCH", "/v2/users/{user_id}",
		changesBy(bodyOf(readUserChange).then((*request).checkUserChange).then((*request).onlySuspendsOrPlans), suspends, (*request).changeUser),
		demand{},
	}, {
		"PATCH", "/v2/users/{user_id}/apps/{app_id}",
		changes(bodyOf(readAppChange).then((*request).checkAppChange).then((*request).onlyPlans), (*request).changeApp),
		demand{},
	}},
)

// among returns some calls of a list, for sessions.
func among(list []call, names ...string) []call {
	some := make([]call, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(list, func(c call) bool { return c.method+" "+c.pattern == name })
		c := list[i]
		c.demand = demand{}
		some = append(some, c)
	}
	return some
}

// NewOperatorMount mounts the calls of users with the operator's role. Each call
// refuses other users with 404.
func NewOperatorMount() *Mount {
	list := slices.Clone(viewCalls)
	for i := range list {
		list[i].demand.accept = sessions
	}
	m := newMount(OperatorBase, list)
	m.byRole = true
	return m
}

// byRole reports whether the caller is an operator by a user's role.
func (c *Caller) byRole() bool { return c.Operator && c.UserID != "" }

// mayOperate refuses a caller who hasn't the role any more, or never had it.
func (r *request) mayOperate(from keys.Reader) error {
	if !r.caller.byRole() {
		return nil
	}
	u, err := from.User(r.caller.UserID)
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	if err != nil || !u.Operator || u.Suspended || r.caller.Kind != policy.Session {
		return refuse(CodeNotFound, "", "no call of this API has this path")
	}
	return nil
}

// hasRole is mayOperate before anything else, so that other users don't learn
// from errors which calls there are.
func (r *request) hasRole() error {
	if !r.caller.byRole() {
		return nil
	}
	return r.view(func(keys.Reader) error { return nil })
}

// onlySuspendsOrPlans refuses a change to any other field of a user. It also refuses a
// change to the caller, who could be locked out by a suspension or by the addresses of
// a plan.
func (r *request) onlySuspendsOrPlans(list *[]userFields) error {
	f := &(*list)[0]
	if f.name != nil || f.email != nil || f.password != nil || f.noPassword || f.operator != nil {
		return refuse(CodeInvalid, f.path, "only suspended and plan can be changed here; change the rest with the command caddy api-keys user update")
	}
	switch {
	case f.id != r.caller.UserID:
		return nil
	case f.plan != nil:
		return refuse(CodeInvalid, join(f.path, "plan"), "this is your own account, and the plan could lock you out; another operator can change it")
	}
	return refuse(CodeInvalid, join(f.path, "suspended"), "this would suspend your own account")
}

// onlyPlans refuses a change to any other field of an app.
func (r *request) onlyPlans(f *appFields) error {
	if f.name != nil {
		return refuse(CodeInvalid, f.path, "only plan can be changed here; the owner changes the name")
	}
	return nil
}
