package manage

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// DefaultBase is the base path of the calls in the API's description.
const DefaultBase = "/v2"

// Mount is the API under the base path of a site, or of the operator. A mount is
// immutable.
type Mount struct {
	base string
	list []call
	// calls finds a call by the method and the pattern of its route.
	calls map[string]*call
	// byRole is true if the callers are users with the operator's role.
	byRole bool
}

// NewMount mounts a site's calls under a path such as [DefaultBase].
func NewMount(base string) *Mount { return newMount(base, calls) }

func newMount(base string, list []call) *Mount {
	m := &Mount{base: base, list: list, calls: map[string]*call{}}
	for i, r := range m.Routes() {
		m.calls[r.String()] = &list[i]
	}
	return m
}

// Path translates a path of the API's description, such as /v2/users/me, to this
// mount. A path outside [DefaultBase] stays.
func (m *Mount) Path(described string) string {
	if rest, ok := strings.CutPrefix(described, DefaultBase); ok {
		return m.base + rest
	}
	return described
}

// Routes returns the calls of the mount, with what each requires of a credential.
func (m *Mount) Routes() []policy.Route {
	routes := make([]policy.Route, len(m.list))
	for i, c := range m.list {
		routes[i] = policy.Route{Method: c.method, Pattern: m.Path(c.pattern), Scopes: strings.Fields(c.demand.scopes), Accept: c.demand.accept}
		if c.demand.accept == nil {
			routes[i].Accept = tokens
		}
		if c.demand.endpoint != "" {
			routes[i].Endpoint = []string{service + c.demand.endpoint}
		}
	}
	return routes
}

// OwnerOnly reports whether only the owner can call one of [Mount.Routes], and no
// collaborator.
func (m *Mount) OwnerOnly(r policy.Route) bool { return m.calls[r.String()].demand.owner }

// Routes returns the routes of a mount under [DefaultBase].
func Routes() []policy.Route { return site.Routes() }

// resolver is a mount that also finds the rule of a request.
type resolver struct {
	*Mount
	table *policy.Table
}

// site has the calls of users, and operator those of the operator, each under
// [DefaultBase].
var (
	site     = newResolver(calls)
	operator = newResolver(slices.Concat(calls, operatorCalls))
)

func newResolver(list []call) resolver {
	m := newMount(DefaultBase, list)
	table, err := policy.NewTable(m.Routes(), "user_id", "app_id")
	if err != nil {
		panic(err) // only for a mistake in the lists of calls
	}
	return resolver{m, table}
}

// find returns the rule of a request.
func (m *resolver) find(r *http.Request) (*policy.Rule, error) {
	path := r.URL.EscapedPath()
	if rule := m.table.Find(r.Method, false, path); rule != nil {
		return rule, nil
	}
	if allow := m.table.Allowed(path); len(allow) > 0 {
		return nil, &Error{Code: CodeMethod, Details: "this path answers " + strings.Join(allow, ", "), allow: allow}
	}
	return nil, refuse(CodeNotFound, "", "no call of this API has this path")
}
