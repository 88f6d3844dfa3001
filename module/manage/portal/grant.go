package portal

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// all is the scope that grants all others.
const all = "All"

// catalogue lists what can be selected.
type catalogue struct {
	Groups    []group
	Endpoints []string
	needs     map[string][]string
	// sites list what can be called, and full holds a key of the form's kind
	// that grants everything.
	sites []authz.Site
	full  *authz.Holder
}

// group is the scopes of one resource.
type group struct {
	Resource string
	// About describes the resource. It may be empty.
	About  string
	Scopes []manage.Scope
}

// catalogue reads the catalogue from the API.
func (v *visit) catalogue() (*catalogue, error) {
	a, err := v.get(mine("scopes"))
	if err != nil {
		return nil, err
	}
	c := &catalogue{needs: map[string][]string{}, Endpoints: a.Endpoints, sites: v.portal.sites()}
	groups := map[string][]manage.Scope{}
	for _, s := range a.Scopes {
		resource := policy.ResourceOf(s.Scope)
		groups[resource] = append(groups[resource], s)
		c.needs[s.Scope] = s.DependingScopes
	}
	about := map[string]string{}
	for _, r := range a.ScopeResources {
		about[r.Resource] = r.Description
	}
	for _, resource := range slices.Sorted(maps.Keys(groups)) {
		c.Groups = append(c.Groups, group{resource, about[resource], groups[resource]})
	}
	return c, nil
}

// Needs returns the scopes that a scope needs directly, for the script.
func (c *catalogue) Needs(scope string) string { return strings.Join(c.needs[scope], " ") }

// addition is a scope that was selected because another needs it.
type addition struct{ Scope, NeededBy string }

// complete lists the further scopes that the selected ones need, each with the
// scope that needs it.
func (c *catalogue) complete(selected []string) (added []addition) {
	if slices.Contains(selected, all) {
		return nil
	}
	seen := map[string]bool{}
	for _, s := range selected {
		seen[s] = true
	}
	for queue := slices.Clone(selected); len(queue) > 0; queue = queue[1:] {
		for _, need := range c.needs[queue[0]] {
			if !seen[need] {
				seen[need] = true
				added = append(added, addition{need, queue[0]})
				queue = append(queue, need)
			}
		}
	}
	return added
}
