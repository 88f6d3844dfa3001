package portal

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The levels of a resource.
const (
	levelNone   = "none"
	levelRead   = "read"
	levelWrite  = "write"
	levelCustom = "custom"
)

// level is how much of a resource is selected.
type level struct{ Name, Label string }

// Levels returns the levels of the resource, or nil if it has only one scope or
// isn't a resource.
func (g *group) Levels() []level {
	if g.Resource == "" || len(g.Scopes) < 2 {
		return nil
	}
	list := []level{{levelNone, "None"}}
	if reads := g.Of(levelRead); len(reads) > 0 && len(reads) < len(g.Scopes) {
		list = append(list, level{levelRead, "Read"})
	}
	return append(list, level{levelWrite, "Write"}, level{levelCustom, "Custom"})
}

// Of returns the scopes of a level.
func (g *group) Of(name string) (scopes []string) {
	for _, s := range g.Scopes {
		if name == levelWrite || name == levelRead && readingScope(s.Scope) {
			scopes = append(scopes, s.Scope)
		}
	}
	return scopes
}

// LevelOf returns the level that selected scopes are of.
func (g *group) LevelOf(selected []string) string {
	var own []string
	for _, s := range g.Scopes {
		if slices.Contains(selected, s.Scope) {
			own = append(own, s.Scope)
		}
	}
	for _, name := range []string{levelNone, levelRead, levelWrite} {
		if slices.Equal(own, g.Of(name)) {
			return name
		}
	}
	return levelCustom
}

// Folds reports whether the scopes of a resource are folded up, because there are
// many resources. Its level still shows what is selected.
func (f *keyForm) Folds(g group) bool {
	const most = 12
	return len(f.Catalogue.Groups) > most && g.Levels() != nil
}

// Count returns how many scopes of the resource are selected.
func (g *group) Count(selected []string) (n int) {
	for _, s := range g.Scopes {
		if slices.Contains(selected, s.Scope) {
			n++
		}
	}
	return n
}

// chooseLevels applies the levels that were changed on the form. A level that
// wasn't changed leaves the scopes of its resource as they are selected one by one.
func (f *keyForm) chooseLevels(in url.Values) {
	for i := range f.Catalogue.Groups {
		g := &f.Catalogue.Groups[i]
		now := in.Get("level." + g.Resource)
		if now == in.Get("was."+g.Resource) || now == levelCustom || now == "" {
			continue
		}
		f.Scopes = slices.DeleteFunc(f.Scopes, func(s string) bool { return slices.Contains(g.Of(levelWrite), s) })
		f.Scopes = append(f.Scopes, g.Of(now)...)
		slices.Sort(f.Scopes)
	}
}

// Choices are the operations that a key of this kind can call at most.
func (c *catalogue) Choices() []reachGroup { return c.scoped(c.full) }

// scoped returns the operations that need a scope and that the holder can call.
func (c *catalogue) scoped(h *authz.Holder) []reachGroup {
	var list []authz.Decided
	for _, d := range h.Callable(c.sites).Calls {
		if d.Reason == authz.Allowed && len(d.Operation.Scopes) > 0 && c.offers(d.Operation.Scopes) {
			list = append(list, d)
		}
	}
	return groupsOf(list, len(c.sites) > 1)
}

// Value names the operation in a form: by its endpoint, or else by its route.
func (c *reachCall) Value() string {
	if o := c.Routes[0]; len(o.Endpoint) > 0 {
		return o.Endpoint[0]
	}
	return c.Routes[0].String()
}

// Needs returns the scopes that the routes of the operation need.
func (c *reachCall) Needs() (scopes []string) {
	for _, o := range c.Routes {
		scopes = append(scopes, o.Scopes...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// OtherEndpoints returns the endpoints of the operation, unless it has the one that
// names it only.
func (c *reachCall) OtherEndpoints() []string {
	all := endpointsOf(c.Routes)
	if len(all) < 2 {
		return nil
	}
	return all
}

// chosen returns the routes of the selected operations.
func (c *catalogue) chosen(values []string) (list []*authz.Operation) {
	if len(values) == 0 {
		return nil
	}
	for _, g := range c.Choices() {
		for i := range g.Calls {
			if slices.Contains(values, g.Calls[i].Value()) {
				list = append(list, g.Calls[i].Routes...)
			}
		}
	}
	return list
}

// choosePreset selects what a preset has, or what the selected operations need.
func (f *keyForm) choosePreset(name string) {
	if name == presetOperations {
		f.Scopes, f.Endpoints = nil, nil
		f.chooseOperations()
		return
	}
	p := f.Catalogue.Preset(name)
	f.Scopes, f.Endpoints, f.Operations = p.Scopes, p.Endpoints, nil
}

// chooseOperations adds what the selected operations need, and limits the key to
// them if the form says so.
func (f *keyForm) chooseOperations() {
	chosen := f.Catalogue.chosen(f.Operations)
	if len(chosen) == 0 {
		return
	}
	if !slices.Contains(f.Scopes, all) {
		f.Scopes = f.Catalogue.completed(slices.Concat(f.Scopes, f.Catalogue.least(chosen)))
	}
	if f.Exact || len(f.Endpoints) > 0 {
		f.Endpoints = slices.Concat(f.Endpoints, endpointsOf(chosen))
		slices.Sort(f.Endpoints)
		f.Endpoints = slices.Compact(f.Endpoints)
	}
	if f.Exact && len(f.Endpoints) == 0 {
		f.Problem = &manage.Status{Field: "endpoints", Details: "These operations have no endpoints, so nothing can be limited to them."}
	}
}

// HasOperation reports whether an operation is selected.
func (f *keyForm) HasOperation(value string) bool { return slices.Contains(f.Operations, value) }

// holder returns the holder of the key, with what is selected so far.
func (f *keyForm) holder() *authz.Holder {
	endpoints := f.Endpoints
	if len(endpoints) == 0 {
		endpoints = nil // no list: all endpoints
	}
	h, grant := *f.Catalogue.full, policy.NewGrant(f.Scopes, endpoints)
	if h.Shared != nil {
		h.Shared = &grant // whatever the collaborator's own token grants
		return &h
	}
	h.Caller.Grant = grant
	return &h
}

// share makes the form one of a collaborator, who has tokens of their own.
func (f *collaboratorForm) share(v *visit) {
	everything := policy.Everything()
	f.Catalogue.full = v.holderOf(false, []string{all}, nil)
	f.Catalogue.full.Shared = &everything
}

// Now is what the key could call with what is selected so far.
func (f *keyForm) Now() *reach {
	h := *f.holder()
	if f.Bounds != nil {
		h.Caller.Resources = f.Bounds.Values()
	}
	return reachOf(&h, f.Catalogue.sites)
}

// Reached tells how many of the operations that need a scope can be called with
// what is selected so far, as the script does.
func (f *keyForm) Reached() string {
	most, _ := countsOf(f.Catalogue.Choices())
	if most == 0 {
		return ""
	}
	now, _ := countsOf(f.Catalogue.scoped(f.holder()))
	return fmt.Sprintf("%d of %s that need a scope", now, counted(most, "operation"))
}

// Limited reports whether endpoints limit the key.
func (f *keyForm) Limited() string {
	if len(f.Endpoints) == 0 {
		return "all endpoints"
	}
	return counted(len(f.Endpoints), "endpoint")
}

// Selected describes what is selected.
func (f *keyForm) Selected() string {
	if f.Has(all) {
		return "All scopes, " + f.Limited()
	}
	return strings.Join([]string{counted(len(f.Scopes), "scope"), f.Limited()}, ", ")
}

// formButton is the button that sends a form on.
type formButton struct{ Name, Value, Label string }

// Button returns the button of the form.
func (f *keyForm) Button() formButton { return formButton{"step", stepReview, "Review"} }

// Button returns the button of the form, which saves at once.
func (f *collaboratorForm) Button() formButton {
	if f.Exists {
		return formButton{Label: "Save the changes"}
	}
	return formButton{Label: "Add"}
}
