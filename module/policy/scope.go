package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ScopeAll grants every scope, those declared later too.
const ScopeAll = "All"

// Scope declares an operation scope.
type Scope struct {
	// Name is what routes need and keys are granted: letters, digits and
	// _ - . : between them, as in Inputs:Get.
	Name string `json:"name"`
	// Description says to people what it permits.
	Description string `json:"description,omitempty"`
	// Needs are the scopes that a key has to have beside this one. They are
	// checked when scopes are granted, and play no part when a request is
	// decided.
	Needs []string `json:"needs,omitempty"`
	// Hidden keeps the scope out of lists and of the portal; it can be
	// granted by name all the same.
	Hidden bool `json:"hidden,omitempty"`

	// Place is where the scope is declared, for errors.
	Place string `json:"-"`
}

// CheckScopeName refuses what can't be the name of a scope.
func CheckScopeName(name string) error {
	if name == "" || len(name) > 128 || strings.Trim(name, "_-.:") != name ||
		strings.ContainsFunc(name, func(c rune) bool {
			return c > 0x7e || c != ':' && (!isUnreserved(byte(c)) || c == '~')
		}) {
		return fmt.Errorf("scope name %q: use letters and digits, with _ - . : between them, as in Inputs:Get", name)
	}
	return nil
}

// allScopes is what a catalogue says of [ScopeAll] where no line declares it.
var allScopes = Scope{Name: ScopeAll, Description: "Everything, scopes of later versions too"}

// Catalogue is the set of scopes that can be granted.
type Catalogue struct {
	scopes map[string]Scope
	// endpoints are those that routes name, which keys can be limited to.
	endpoints map[string]bool
	// derived are the scopes that no line declares: only routes name them, or
	// nobody does, as may be with [ScopeAll].
	derived map[string]bool
	// rules are the routes that ask for a credential.
	rules []*Rule
}

// NewCatalogue makes a catalogue of declared scopes, with [ScopeAll] always in
// it. Every scope that another needs has to be declared. A scope declared
// again in the same words is one scope.
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

// CatalogueOf is what can be granted on a site: the scopes that it declares,
// or where it declares none those that its routes need. Where any is declared,
// a route that needs another is an error.
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

// Union is the catalogue of several sites. Two that declare the same scope and
// disagree on what it needs are an error; one that only needs a scope has no
// say in that. A union may be taken together with more: it comes to the same
// as all at once.
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

// Useless reports whether a credential of this kind and grant could call no
// route that asks for one. Without any such route there is nothing to tell.
func (c *Catalogue) Useless(kind Kind, grant *Grant) bool {
	return len(c.rules) > 0 && !slices.ContainsFunc(c.rules, func(r *Rule) bool {
		return r.Accepts().Kind(kind) && grant.Permits(r)
	})
}

// With is the catalogue with more scopes, where it lacks them, and more routes.
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

// take takes in what another site says of a scope.
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
			errs = append(errs, at(s.Place, fmt.Errorf("scope %s is declared otherwise%s; take one of the two away", s.Name, inPlace(other.Place))))
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

// List is every scope, by name.
func (c *Catalogue) List() []Scope {
	return slices.SortedFunc(maps.Values(c.scopes), func(a, b Scope) int {
		return strings.Compare(a.Name, b.Name)
	})
}

// Endpoints are those that keys can be limited to, by name.
func (c *Catalogue) Endpoints() []string { return slices.Sorted(maps.Keys(c.endpoints)) }

// UnknownEndpoints are those of a list that no route names.
func (c *Catalogue) UnknownEndpoints(list []string) []string {
	var unknown []string
	for _, e := range list {
		if !c.endpoints[e] {
			unknown = append(unknown, e)
		}
	}
	return unknown
}

// Unknown are the names in scopes that the catalogue lacks.
func (c *Catalogue) Unknown(scopes []string) []string {
	var unknown []string
	for _, s := range scopes {
		if _, ok := c.scopes[s]; !ok {
			unknown = append(unknown, s)
		}
	}
	return unknown
}

// Lacking are the scopes that those in scopes need, directly or through
// others, and that are not among them; sorted. [ScopeAll] satisfies every
// need.
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
