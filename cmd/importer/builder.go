package importer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// demand is what an operation requires of its caller.
type demand struct {
	// scopes are names as the description has them, a sorted set.
	scopes []string
	accept policy.Accept
	// note explains a difference from the description, or is empty.
	note string
}

// both returns the demands of a and b together.
func both(a, b demand) demand {
	return demand{
		scopes: sortedSet(append(slices.Clone(a.scopes), b.scopes...)),
		accept: bothAccept(a.accept, b.accept),
	}
}

func bothAccept(a, b policy.Accept) policy.Accept {
	switch {
	case a.Public():
		return b
	case b.Public():
		return a
	}
	return a & b
}

// binding is one way to call an operation.
type binding struct {
	method, pattern string
	// template is the path in the description. star is the meaning of a * outside
	// braces in it.
	template, star string
	// exact is true if the template has only one reading.
	exact bool
	// closed explains why the pattern can't be checked as described, so that
	// nobody may call it, or is empty.
	closed string
	// endpoint is the operation's name in credentials, or empty.
	endpoint string
	// operation and place are its name and place in messages.
	operation, place string
}

// route is a future route: all bindings of one method and shape.
type route struct {
	demand
	method, pattern string
	endpoints       []string
	operation       string
	place           string
	owner, app      int
	notes           []string
	colon           bool // a colon is allowed
}

// builder gathers scopes and routes from a description.
type builder struct {
	Shared
	naming
	unstated policy.Accept

	scopes   map[string]*policy.Scope
	routes   []*route
	byShape  map[string]*route
	warnings []Warning
	left     []*leftOut
	remarks  []string // comments that belong to no route

	operations, bindings, size int
}

// newBuilder returns a builder. owner and app are the fields that name owner and
// app by default.
func newBuilder(o Shared, owner, app string) (*builder, error) {
	b := &builder{Shared: o, naming: namesOf(o, owner, app), scopes: map[string]*policy.Scope{}, byShape: map[string]*route{}}
	if len(o.Unstated) > 0 {
		var err error
		if b.unstated, err = policy.ParseAccept(o.Unstated); err != nil {
			return nil, fmt.Errorf("routes that state no demand: %w", err)
		}
		if b.unstated.Public() {
			return nil, fmt.Errorf("routes that state no demand can't all be made public: use none or kinds of credential, and declare the public ones in the description")
		}
	}
	return b, nil
}

// warn adds a warning. It makes strings among args plain, because they come from
// the description.
func (b *builder) warn(place, format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = plain(text)
		}
	}
	b.warnings = append(b.warnings, Warning{Place: plain(place), Text: fmt.Sprintf(format, args...)})
}

// spend accounts for text that the table will hold.
func (b *builder) spend(bytes int) error {
	if b.size += bytes; b.size > MaxText {
		return fmt.Errorf("the table would take more than %s: import a part of the description", humanize.IBytes(MaxText))
	}
	return nil
}

// scope declares a scope, or adds its description.
func (b *builder) scope(name, description string) *policy.Scope {
	s := b.scopes[name]
	if s == nil {
		s = &policy.Scope{Name: name}
		b.scopes[name] = s
	}
	if s.Description == "" && !b.NoDescriptions {
		s.Description = describe(description)
	}
	return s
}

// undemanded returns the demand of an operation that states none.
func (b *builder) undemanded(operation, place string) demand {
	b.warn(place, "%s states no demand: accept %s", operation, strings.Join(b.unstated.Words(), " "))
	return demand{accept: b.unstated, note: operation + " states no demand."}
}

// operation counts an operation, and fails beyond the limit.
func (b *builder) operation() error {
	if b.operations++; b.operations > MaxRoutes {
		return fmt.Errorf("more than %d operations: import a part of the description", MaxRoutes)
	}
	return nil
}

// add makes a route from a binding, or joins it to a route of the same shape. It
// leaves out a binding that can't be a route.
func (b *builder) add(bind binding, d demand) error {
	if bind.method != policy.MethodGRPC {
		if b.bindings++; b.bindings > MaxRoutes {
			return fmt.Errorf("more than %d bindings: import a part of the description", MaxRoutes)
		}
	}
	if bind.method != policy.MethodAny && bind.method != policy.MethodGRPC && !policy.KnownMethod(bind.method) {
		return b.leave(bind, d, fmt.Errorf("its method %q is refused in every request", bind.method))
	}
	p, err := checkPattern(bind.pattern)
	if err != nil {
		return b.leave(bind, d, err)
	}
	if bind.closed != "" {
		b.warn(bind.place, "%s: %s: accept none", bind.operation, bind.closed)
		d = demand{note: bind.operation + ": " + bind.closed + "."}
	}
	size := len(bind.pattern) + len(bind.endpoint) + len(d.note)
	for _, s := range d.scopes {
		size += len(s)
		b.scope(s, "")
	}
	if err := b.spend(size); err != nil {
		return err
	}
	rt := &route{
		demand: d, method: bind.method, pattern: bind.pattern, operation: bind.operation, place: bind.place,
		owner: position(p, ownerVariable), app: position(p, appVariable),
	}
	if d.note != "" {
		rt.notes = []string{clean(d.note)}
	}
	if bind.endpoint != "" {
		rt.endpoints = []string{bind.endpoint}
	}
	shape := bind.method + " " + p.Shape()
	if other := b.byShape[shape]; other != nil {
		b.join(other, rt)
		return nil
	}
	b.byShape[shape] = rt
	b.routes = append(b.routes, rt)
	return nil
}

// join adds the demands of rt to into, because a request can't express which of
// the two operations it means.
func (b *builder) join(into, rt *route) {
	first, second := min(into.operation, rt.operation), max(into.operation, rt.operation)
	same := into.accept == rt.accept && slices.Equal(into.scopes, rt.scopes)
	if !same {
		b.warn(rt.place, "%s has the method and shape of %s (%s), which demands something else: the route demands all that both do",
			rt.operation, into.operation, into.place)
	}
	into.demand = both(into.demand, rt.demand)
	switch {
	case into.owner == rt.owner && into.app == rt.app:
		// The names of the other variables don't matter, but must not depend on
		// the order in the source.
		into.pattern = min(into.pattern, rt.pattern)
	case covers(rt.owner, into.owner) && covers(rt.app, into.app):
		into.pattern, into.owner, into.app = rt.pattern, rt.owner, rt.app
	case !covers(into.owner, rt.owner) || !covers(into.app, rt.app):
		b.warn(rt.place, "%s has the method and shape of %s (%s), but owner or app elsewhere in the path: accept none",
			rt.operation, into.operation, into.place)
		into.demand = demand{}
		into.notes = append(into.notes, clean(fmt.Sprintf("%s and %s have the owner or app in different places.", first, second)))
	}
	into.endpoints = sortedSet(append(into.endpoints, rt.endpoints...))
	into.notes = append(into.notes, rt.notes...)
	if !same {
		into.notes = append(into.notes, clean(fmt.Sprintf("Demands all that %s and %s do.", first, second)))
	}
	slices.Sort(into.notes)
	into.notes = slices.Compact(into.notes)
}

// covers reports whether a pattern with the variable at position a checks
// everything that a pattern with it at position b checks.
func covers(a, b int) bool { return a == b || b < 0 }

// position returns the segment that a variable covers, or -1.
func position(p policy.Pattern, name string) int {
	for _, v := range p.Variables {
		if v.Name == name {
			return v.First
		}
	}
	return -1
}

var errTooLong = fmt.Errorf("its path is longer than %d bytes", MaxPattern)

func checkPattern(text string) (policy.Pattern, error) {
	if len(text) > MaxPattern {
		return policy.Pattern{}, errTooLong
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return policy.Pattern{}, fmt.Errorf("its path %q has an invisible character", text)
	}
	return policy.ParsePattern(text)
}

func sortedSet(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
