package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ScopeAll grants every scope, including those declared later.
const ScopeAll = "All"

// Scope declares an operation scope.
type Scope struct {
	// Name is what routes need and keys are granted: letters and digits, with _
	// - . : between them, for example Inputs:Get.
	Name string `json:"name"`
	// Description tells people what it permits.
	Description string `json:"description,omitempty"`
	// Needs are further scopes that a key with this one must have. They are
	// checked when scopes are granted and don't matter when a request is
	// decided.
	Needs []string `json:"needs,omitempty"`
	// Hidden keeps the scope out of lists and the portal. It can still be
	// granted by name.
	Hidden bool `json:"hidden,omitempty"`

	// Resource describes the scope's resource to people. Only shipped tables
	// describe resources.
	Resource string `json:"-"`
	// Place is where the scope is declared, for errors.
	Place string `json:"-"`
}

// ResourceOf returns the resource of a scope's name, such as Inputs for Inputs:Get,
// or an empty string for an action without a resource.
func ResourceOf(scope string) string {
	resource, _, found := strings.Cut(scope, ":")
	if !found {
		return ""
	}
	return resource
}

// CheckScopeName returns an error if name can't be the name of a scope.
func CheckScopeName(name string) error {
	if name == "" || len(name) > 128 || strings.Trim(name, "_-.:") != name ||
		strings.ContainsFunc(name, func(c rune) bool {
			return c > 0x7e || c != ':' && (!isUnreserved(byte(c)) || c == '~')
		}) {
		return fmt.Errorf("scope name %q: use letters and digits, with _ - . : between them, for example Inputs:Get", name)
	}
	return nil
}

// allScopes is the entry of [ScopeAll] in a catalogue if no line declares it.
var allScopes = Scope{Name: ScopeAll, Description: "Everything, scopes of later versions too"}

// Catalogue is the set of scopes that can be granted.
type Catalogue struct {
	scopes map[string]Scope
	// endpoints are the ones that routes name. Keys can be limited to them.
	endpoints map[string]bool
	// derived are the scopes that no line declares. Only routes name them, or,
	// in the case of [ScopeAll], possibly nothing.
	derived map[string]bool
	// rules are the routes that require a credential.
	rules []*Rule
}

// NewCatalogue returns a catalogue of declared scopes. It always contains
// [ScopeAll]. Every scope that another one needs must be declared. A scope may
// be declared again in the same words.
func NewCatalogue(declared []Scope) (*Catalogue, error) {
	c := &Catalogue{
		scopes: map[string]Scope{ScopeAll: allScopes}, endpoints: map[string]bool{}, derived: map[string]bool{ScopeAll: true},
	}
	errs := []error{c.merge(declared)}
	for _, s := range c.List() {
		for _, need := range s.Needs {
			if _, ok := c.scopes[need]; !ok {
				errs = append(errs, at(s.Place, fmt.Errorf("scope %s needs %s, which is not declared: add a line \"scope %s\"", s.Name, need, need)))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// CatalogueOf returns the scopes that can be granted on a site: those that it
// declares or, if it declares none, those that its routes need. If it declares
// any, a route that needs an undeclared scope is an error.
func CatalogueOf(declared []Scope, rules []*Rule) (*Catalogue, error) {
	if len(declared) == 0 {
		return needed(rules)
	}
	c, err := NewCatalogue(declared)
	if err != nil {
		return nil, err
	}
	c.takeRoutes(rules)
	var errs []error
	for _, r := range rules {
		if unknown := c.Unknown(r.Scopes); len(unknown) > 0 {
			errs = append(errs, at(r.Place, fmt.Errorf("route %s needs %s, which is not declared: add a line \"scope %s\"",
				r, strings.Join(unknown, " "), unknown[0])))
		}
	}
	return c, errors.Join(errs...)
}

func needed(rules []*Rule) (*Catalogue, error) {
	var scopes []Scope
	for _, r := range rules {
		for _, name := range r.Scopes {
			scopes = append(scopes, Scope{Name: name})
		}
	}
	c, err := NewCatalogue(scopes)
	if err != nil {
		return nil, err
	}
	for name := range c.scopes {
		c.derived[name] = true
	}
	c.takeRoutes(rules)
	return c, nil
}

func (c *Catalogue) takeRoutes(rules []*Rule) {
	for _, r := range rules {
		if !r.Accepts().Public() {
			c.rules = append(c.rules, r)
		}
		for _, name := range r.Endpoint {
			c.endpoints[name] = true
		}
	}
}

// Union returns the catalogue of several sites. Two sites that declare the same
// scope and disagree on what it needs are an error; a site that only needs a
// scope can't disagree. The result may be an argument of another Union, which
// gives the same catalogue as a single Union of all sites.
func Union(catalogues ...*Catalogue) (*Catalogue, error) {
	u, err := NewCatalogue(nil)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, c := range catalogues {
		maps.Copy(u.endpoints, c.endpoints)
		u.rules = append(u.rules, c.rules...)
		for _, s := range c.List() {
			errs = append(errs, u.take(s, c.derived[s.Name]))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return u, nil
}

// Useless reports whether a credential of this kind and grant could call none
// of the routes that require one. It returns false if there is no such route.
func (c *Catalogue) Useless(kind Kind, grant *Grant) bool {
	return len(c.rules) > 0 && !slices.ContainsFunc(c.rules, func(r *Rule) bool {
		return r.Accepts().Kind(kind) && grant.Permits(r)
	})
}

// With returns the catalogue with the scopes of more that it lacks, and with
// more routes.
func (c *Catalogue) With(more []Scope, rules []*Rule) *Catalogue {
	all := &Catalogue{
		scopes: maps.Clone(c.scopes), endpoints: c.endpoints, derived: c.derived,
		rules: slices.Concat(c.rules, rules),
	}
	for _, s := range more {
		if _, ok := all.scopes[s.Name]; !ok {
			all.scopes[s.Name] = s
		}
	}
	return all
}

// take adds another site's entry of a scope.
func (c *Catalogue) take(s Scope, derived bool) error {
	other, ok := c.scopes[s.Name]
	switch {
	case !ok:
		c.scopes[s.Name] = s
		if derived {
			c.derived[s.Name] = true
		}
	case derived:
	case c.derived[s.Name]:
		c.scopes[s.Name] = s
		delete(c.derived, s.Name)
	case !slices.Equal(s.Needs, other.Needs):
		return at(s.Place, fmt.Errorf("scope %s needs %s here, but %s%s; sites of one configuration have to agree",
			s.Name, orNothing(s.Needs), orNothing(other.Needs), inPlace(other.Place)))
	}
	return nil
}

func (c *Catalogue) merge(declared []Scope) error {
	var errs []error
	for _, s := range declared {
		if err := CheckScopeName(s.Name); err != nil {
			errs = append(errs, at(s.Place, err))
			continue
		}
		if len(sortedSet(s.Needs)) != len(s.Needs) {
			errs = append(errs, at(s.Place, fmt.Errorf("scope %s needs a scope twice", s.Name)))
		}
		s.Needs = sortedSet(s.Needs)
		other, ok := c.scopes[s.Name]
		switch {
		case !ok:
			c.scopes[s.Name] = s
		case s.Name == ScopeAll && len(s.Needs) == 0:
			if s.Description == "" {
				s.Description = other.Description
			}
			s.Hidden = s.Hidden || other.Hidden
			c.scopes[ScopeAll] = s
			delete(c.derived, ScopeAll)
		case !slices.Equal(s.Needs, other.Needs) || s.Description != other.Description || s.Hidden != other.Hidden:
			errs = append(errs, at(s.Place, fmt.Errorf("scope %s is declared differently%s; remove one of the two", s.Name, inPlace(other.Place))))
		}
	}
	return errors.Join(errs...)
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, " ")
}

// List returns every scope, sorted by name.
func (c *Catalogue) List() []Scope {
	return slices.SortedFunc(maps.Values(c.scopes), func(a, b Scope) int {
		return strings.Compare(a.Name, b.Name)
	})
}

// Endpoints returns the endpoints that keys can be limited to, sorted by name.
func (c *Catalogue) Endpoints() []string { return slices.Sorted(maps.Keys(c.endpoints)) }

// UnknownEndpoints returns the endpoints of a list that no route names.
func (c *Catalogue) UnknownEndpoints(list []string) []string {
	var unknown []string
	for _, e := range list {
		if !c.endpoints[e] {
			unknown = append(unknown, e)
		}
	}
	return unknown
}

// Unknown returns the scopes of a list that the catalogue lacks.
func (c *Catalogue) Unknown(scopes []string) []string {
	var unknown []string
	for _, s := range scopes {
		if _, ok := c.scopes[s]; !ok {
			unknown = append(unknown, s)
		}
	}
	return unknown
}

// Lacking returns, sorted, the scopes that the given scopes need, directly or
// through others, and that are not among them. [ScopeAll] satisfies every need.
func (c *Catalogue) Lacking(scopes []string) []string {
	if slices.Contains(scopes, ScopeAll) {
		return nil
	}
	seen := map[string]bool{}
	for _, s := range scopes {
		seen[s] = true
	}
	var lacking []string
	for queue := slices.Clone(scopes); len(queue) > 0; queue = queue[1:] {
		for _, need := range c.scopes[queue[0]].Needs {
			if !seen[need] {
				seen[need] = true
				lacking = append(lacking, need)
				queue = append(queue, need)
			}
		}
	}
	slices.Sort(lacking)
	return lacking
}
