package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// MaxLeftOut bounds the paths that patterns can't express, because each is
// compared with every route.
const MaxLeftOut = 1000

// leftOut is an operation that no route can express, or several such operations
// of one method and cover.
type leftOut struct {
	policy.LeftOut
	demand    demand
	endpoints []string
	pattern   string
	// owner and app are the segments that name owner and app, or -1. unchecked is
	// true if no route can check them.
	owner, app int
	unchecked  bool
	operations []string
	warnings   []int // of these operations, as indexes of the builder's list
	// closedBy is the route made for the operations, or empty. routes are other
	// routes that also demand what the operations do.
	closedBy string
	routes   []string
}

// leave keeps an operation that can't be written as a route.
func (b *builder) leave(bind binding, d demand, why error) error {
	l := &leftOut{
		LeftOut: policy.LeftOut{Operation: bind.operation, Place: bind.place, Why: plain(why.Error()), Scopes: d.scopes, Accept: d.accept},
		demand:  demand{scopes: d.scopes, accept: d.accept}, owner: -1, app: -1,
		operations: []string{bind.operation}, warnings: []int{len(b.warnings)},
	}
	b.warn(bind.place, "%s is left out: %s", bind.operation, l.Why)
	if b.left = append(b.left, l); len(b.left) > MaxRoutes {
		return fmt.Errorf("more than %d operations that can't be routes: import a part of the description", MaxRoutes)
	}
	for _, s := range d.scopes {
		b.scope(s, "")
	}
	if bind.endpoint != "" {
		l.endpoints = []string{bind.endpoint}
		l.Endpoint = l.endpoints
	}
	if bind.method == policy.MethodAny || policy.KnownMethod(bind.method) {
		l.Method = bind.method
		if err := b.cover(l, bind); err != nil {
			return err
		}
	}
	return b.spend(len(l.pattern) + len(bind.operation) + len(l.Why))
}

// cover determines the paths that the operation's requests may have.
func (b *builder) cover(l *leftOut, bind binding) (err error) {
	cover, fields := coverOf(bind.template, bind.star)
	for i, names := range fields {
		for _, name := range names {
			as := b.naming.variables([]string{name})[0]
			if as == ownerVariable {
				l.owner = i
			}
			if as == appVariable {
				l.app = i
			}
			whole := cover[i] == "*" && len(names) == 1 && !slices.Contains(cover[:i], "**")
			l.unchecked = l.unchecked || !whole && (as == ownerVariable || as == appVariable)
		}
	}
	l.Cover = cover
	l.pattern, l.Exact = cover.Pattern(b.coverNames(cover, fields))
	l.Exact = l.Exact && (bind.exact || !slices.Contains(cover, "**"))
	if l.Pattern, err = checkPattern(l.pattern); err != nil {
		return fmt.Errorf("%s: %s can't be closed: %w", bind.place, bind.operation, err)
	}
	return nil
}

// coverNames returns names for the variables of a cover's pattern.
func (b *builder) coverNames(cover policy.Cover, fields [][]string) []string {
	var joined []string
	for i, glob := range cover {
		switch {
		case len(fields[i]) > 0:
			joined = append(joined, strings.Join(fields[i], "_"))
		case glob == "**":
			joined = append(joined, "rest")
		case strings.Contains(glob, "*"):
			joined = append(joined, "any")
		}
	}
	found := b.naming.variables(joined)
	names := make([]string, len(cover))
	for i, glob := range cover {
		names[i] = fmt.Sprintf("part_%d", i+1)
		if len(fields[i]) == 0 && !strings.Contains(glob, "*") {
			continue
		}
		names[i], found = found[0], found[1:]
		if glob == "**" && (names[i] == ownerVariable || names[i] == appVariable) {
			names[i] += "_rest"
		}
	}
	return names
}

// closeLeftOut closes the operations that were left out. Each gets a route of its own
// shape that accepts nobody. If the description has a route of that shape, that
// route also demands what the operation does; so does every route that the
// operation's requests would reach first.
func (b *builder) closeLeftOut() error {
	left, err := b.grouped()
	if err != nil {
		return err
	}
	described := slices.Clone(b.routes)
	patterns := make([]policy.Pattern, len(described))
	for i, rt := range described {
		if patterns[i], err = checkPattern(rt.pattern); err != nil {
			return err
		}
	}
	for _, l := range left {
		own := false
		for i, rt := range described {
			own = own || l.Answers(rt.method) && patterns[i].Shape() == l.Pattern.Shape()
			if !l.Reaches(rt.method, patterns[i], false) {
				continue
			}
			if err := b.demandToo(rt, l); err != nil {
				return err
			}
		}
		if !own {
			b.closed(l)
		}
		b.tell(l)
	}
	return nil
}

// grouped joins operations of one method and cover, and sorts them independently
// of the source.
func (b *builder) grouped() ([]*leftOut, error) {
	groups := map[string]*leftOut{}
	var list []*leftOut
	for _, l := range b.left {
		if l.Method == "" {
			b.remarks = append(b.remarks, clean(fmt.Sprintf("%s is left out: %s.", l.name(), l.Why)))
			continue
		}
		key := l.Method + " " + strings.Join(l.Cover, "/")
		g := groups[key]
		if g == nil {
			one := *l
			groups[key] = &one
			list = append(list, &one)
			continue
		}
		if g.owner != l.owner || g.app != l.app {
			g.unchecked = true
		}
		g.unchecked = g.unchecked || l.unchecked
		g.demand = both(g.demand, l.demand)
		g.endpoints = sortedSet(append(g.endpoints, l.endpoints...))
		g.operations, g.warnings = append(g.operations, l.operations...), append(g.warnings, l.warnings...)
		g.pattern = min(g.pattern, l.pattern)
	}
	if len(list) > MaxLeftOut {
		return nil, fmt.Errorf("more than %d paths that a table can't express: import a part of the description", MaxLeftOut)
	}
	for _, l := range list {
		l.operations = sortedSet(l.operations)
	}
	slices.SortFunc(list, func(a, b *leftOut) int {
		return cmp.Or(strings.Compare(a.pattern, b.pattern), strings.Compare(a.Method, b.Method), slices.Compare(a.Cover, b.Cover))
	})
	return list, nil
}

// demandToo makes a route also demand what the operations do.
func (b *builder) demandToo(rt *route, l *leftOut) error {
	before := rt.demand
	rt.demand = both(rt.demand, l.demand)
	unchecked := l.unchecked || l.owner >= 0 && rt.owner != l.owner || l.app >= 0 && rt.app != l.app
	endpoints := sortedSet(slices.Concat(rt.endpoints, l.endpoints))
	if !unchecked && rt.accept == before.accept && slices.Equal(rt.scopes, before.scopes) && slices.Equal(endpoints, rt.endpoints) {
		return nil
	}
	note := fmt.Sprintf("Demands what %s does too, which is left out: %s.", l.name(), l.Why)
	if unchecked {
		rt.demand = demand{}
		note = fmt.Sprintf("Closed: %s, which is left out (%s), names the owner or the app where this route can't check it.", l.name(), l.Why)
	}
	rt.endpoints = endpoints
	rt.notes = sortedSet(append(rt.notes, clean(note)))
	l.routes = append(l.routes, rt.method+" "+rt.pattern)
	size := len(note)
	for _, s := range rt.scopes {
		if !slices.Contains(before.scopes, s) {
			size += len(s)
		}
	}
	return b.spend(size)
}

// closed adds a route that accepts nobody, or joins the operations to such a
// route of the same shape.
func (b *builder) closed(l *leftOut) {
	l.closedBy = l.Method + " " + l.pattern
	note := clean(fmt.Sprintf("%s is left out: %s.", l.name(), l.Why))
	shape := l.Method + " " + l.Pattern.Shape()
	if rt := b.byShape[shape]; rt != nil {
		rt.notes = sortedSet(append(rt.notes, note))
		rt.endpoints = sortedSet(append(rt.endpoints, l.endpoints...))
		return
	}
	rt := &route{
		method: l.Method, pattern: l.pattern, endpoints: l.endpoints, operation: l.operations[0], place: l.Place,
		owner: -1, app: -1, notes: []string{note},
	}
	if last := l.Pattern.Segments[len(l.Pattern.Segments)-1]; l.Pattern.Verb == "" && (last == "*" || last == "**") {
		rt.colon = true
	}
	b.byShape[shape] = rt
	b.routes = append(b.routes, rt)
}

// name returns the name of the operations for messages.
func (l *leftOut) name() string {
	if more := len(l.operations) - 1; more > 0 {
		return fmt.Sprintf("%s (and %d more)", l.operations[0], more)
	}
	return l.operations[0]
}

// maxNamed is how many routes a warning names.
const maxNamed = 3

// tell completes the warnings about the operations.
func (b *builder) tell(l *leftOut) {
	text := ""
	if l.closedBy != "" {
		text = "; closed by the route " + l.closedBy
	}
	if routes := l.routes; len(routes) > 0 {
		if more := len(routes) - maxNamed; more > 0 {
			routes = append(slices.Clone(routes[:maxNamed]), fmt.Sprintf("%d more", more))
		}
		text += "; what it demands is demanded too by " + strings.Join(routes, ", ")
	}
	if text == "" {
		b.remarks = append(b.remarks, clean(fmt.Sprintf("%s is left out: %s.", l.name(), l.Why)))
	}
	for _, i := range l.warnings {
		b.warnings[i].Text += plain(text)
	}
}
