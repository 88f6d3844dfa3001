package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Table finds the route that a request addresses. It is a trie over the
// segments of the path, so the cost of a lookup depends on the number of
// segments and not on the number of routes. A table never changes after it is
// built, so any number of goroutines may use it.
type Table struct {
	root  node
	rules []*Rule
	// verbs holds the verbs of the table by their loose form.
	verbs map[string][]string
}

// node is a point in the trie: the segments so far.
type node struct {
	literal  map[string]*node
	variable *node
	// leaves are the patterns that end here, by verb. rest are those that take
	// all that follows.
	leaves, rest map[string]*leaf
	// near holds the literals by their loose form.
	near map[string][]nearChild
}

// leaf holds the routes of one shape.
type leaf struct {
	methods   [len(methods)]*Rule
	any, grpc *Rule
}

// NewTable builds a table. ownerVar and appVar are the path variables that name
// the owner and the app. It reports all errors at once, each with the place of
// its route.
//
// Two routes of one method and shape with the same demands become one route
// with the endpoints of both. If their demands differ, the error names both
// places.
func NewTable(routes []Route, ownerVar, appVar string) (*Table, error) {
	t := new(Table)
	var errs []error
	for _, rt := range routes {
		r, err := newRule(rt, ownerVar, appVar)
		if err == nil {
			err = t.add(r)
		}
		if err != nil {
			errs = append(errs, at(rt.Place, fmt.Errorf("route %s: %w", rt, err)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t.loosen()
	return t, nil
}

func at(place string, err error) error {
	if place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}

func (t *Table) add(r *Rule) error {
	n := &t.root
	segments := r.pattern.Segments
	hasRest := r.pattern.hasRest()
	if hasRest {
		segments = segments[:len(segments)-1]
	}
	for _, seg := range segments {
		n = n.child(seg)
	}
	leaves := &n.leaves
	if hasRest {
		leaves = &n.rest
	}
	if *leaves == nil {
		*leaves = map[string]*leaf{}
	}
	l := (*leaves)[r.pattern.Verb]
	if l == nil {
		l = new(leaf)
		(*leaves)[r.pattern.Verb] = l
	}
	slot := l.slot(r.Method)
	if *slot == nil {
		*slot = r
		t.rules = append(t.rules, r)
		return nil
	}
	other := *slot
	if !r.sameDemands(other) {
		return fmt.Errorf("same shape as %s%s but other demands (scopes, accept, allow, cost, or the places of owner and app); make them equal or remove one",
			other.Route, inPlace(other.Place))
	}
	other.Endpoint = sortedSet(append(other.Endpoint, r.Endpoint...))
	other.needEndpoints = endpointNames.bits(other.Endpoint)
	for _, v := range r.variables {
		if !slices.Contains(other.variables, v) {
			other.variables = append(other.variables, v)
		}
	}
	return nil
}

func inPlace(place string) string {
	if place == "" {
		return ""
	}
	return " at " + place
}

func (n *node) child(seg string) *node {
	if seg == anySegment {
		if n.variable == nil {
			n.variable = new(node)
		}
		return n.variable
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	c := n.literal[seg]
	if c == nil {
		c = new(node)
		n.literal[seg] = c
	}
	return c
}

func (l *leaf) slot(method string) **Rule {
	switch method {
	case MethodAny:
		return &l.any
	case MethodGRPC:
		return &l.grpc
	}
	return &l.methods[methodIndex(method)]
}

// Rules returns the routes in the order of their declaration.
func (t *Table) Rules() []*Rule { return t.rules }

// Find returns the route of a method and an escaped path (such as
// [net/url.URL.EscapedPath] returns), or nil if there is none. grpc is true if
// the content type makes the request a gRPC one.
//
// The most specific route that answers the method wins. Segment by segment, a
// literal goes before a variable, and a variable before the rest of the path.
// The order of declaration never matters. Literals are compared with the
// decoded segment, so that no escaping makes a literal look like a variable.
func (t *Table) Find(method string, grpc bool, path string) *Rule {
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	w := walk{method: methodIndex(method), grpc: grpc && method == "POST", path: path}
	return w.descend(&t.root, 1)
}

// Allowed returns, sorted, the methods that the patterns matching path answer.
// For a gRPC method's path it returns POST. It is empty if no pattern matches.
func (t *Table) Allowed(path string) []string {
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	var seen [len(methods)]bool
	w := walk{method: -1, path: path, allowed: &seen}
	w.descend(&t.root, 1)
	var list []string
	for i, name := range methods {
		if seen[i] {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Knows reports whether any pattern matches the path, with any method.
func (t *Table) Knows(path string) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	var seen [len(methods)]bool
	w := walk{method: -1, path: path, allowed: &seen}
	w.descend(&t.root, 1)
	return slices.Contains(seen[:], true)
}

// walk is one lookup.
type walk struct {
	method int
	grpc   bool
	path   string
	// allowed, if not nil, collects the methods of every matching pattern; the
	// walk then doesn't stop at the first.
	allowed *[len(methods)]bool
}

// descend matches the path from the beginning of a segment.
func (w *walk) descend(n *node, from int) *Rule {
	end := strings.IndexByte(w.path[from:], '/')
	if end < 0 {
		return w.last(n, w.path[from:])
	}
	end += from
	seg := w.path[from:end]
	if c := n.literal[decodeSegment(seg)]; c != nil {
		if r := w.descend(c, end+1); r != nil {
			return r
		}
	}
	if n.variable != nil && seg != "" {
		if r := w.descend(n.variable, end+1); r != nil {
			return r
		}
	}
	return w.remainder(n)
}

// last matches the segment after the last slash, in which a colon begins a
// verb.
func (w *walk) last(n *node, seg string) *Rule {
	if i := strings.LastIndexByte(seg, ':'); i >= 0 && i+1 < len(seg) {
		if r := w.end(n, seg[:i], seg[i+1:]); r != nil {
			return r
		}
	}
	if r := w.end(n, seg, ""); r != nil {
		return r
	}
	return w.remainder(n)
}

// end tries the children for the last segment. If verb isn't empty, it was cut
// from the segment.
func (w *walk) end(n *node, seg, verb string) *Rule {
	colon := strings.IndexByte(seg, ':') >= 0
	if c := n.literal[decodeSegment(seg)]; c != nil {
		if r := w.leafOf(c, verb, colon); r != nil {
			return r
		}
	}
	if n.variable != nil && seg != "" {
		return w.leafOf(n.variable, verb, colon)
	}
	return nil
}

// leafOf returns the route of a node at which the path ends. It tries the
// node's own patterns, then those that take an empty rest.
func (w *walk) leafOf(n *node, verb string, colon bool) *Rule {
	if r := w.pick(n.leaves[verb], colon); r != nil {
		return r
	}
	return w.pick(n.rest[verb], colon)
}

// remainder returns the route of a pattern that takes all that follows n.
func (w *walk) remainder(n *node) *Rule {
	if n.rest == nil {
		return nil
	}
	seg := w.path[strings.LastIndexByte(w.path, '/')+1:]
	i := strings.LastIndexByte(seg, ':')
	if i < 0 {
		return w.pick(n.rest[""], false)
	}
	if verb := seg[i+1:]; verb != "" {
		if r := w.pick(n.rest[verb], strings.IndexByte(seg[:i], ':') >= 0); r != nil {
			return r
		}
	}
	return w.pick(n.rest[""], true)
}

// pick returns the route of a shape that answers the method: a gRPC one for a
// gRPC request, the method's own, GET for HEAD, then any. colon is true if the
// last segment has a colon that doesn't begin a verb.
func (w *walk) pick(l *leaf, colon bool) *Rule {
	switch {
	case l == nil:
		return nil
	case w.allowed != nil:
		l.gather(w.allowed, colon)
		return nil
	case w.grpc && answers(l.grpc, colon):
		return l.grpc
	case w.method < 0:
		return nil
	case answers(l.methods[w.method], colon):
		return l.methods[w.method]
	case w.method == methodHEAD && answers(l.methods[methodGET], colon):
		return l.methods[methodGET]
	case answers(l.any, colon):
		return l.any
	}
	return nil
}

func answers(r *Rule, colon bool) bool { return r != nil && (!colon || r.colon) }

// gather marks the methods that a shape answers in seen.
func (l *leaf) gather(seen *[len(methods)]bool, colon bool) {
	for i, r := range l.methods {
		if answers(r, colon) || answers(l.any, colon) {
			seen[i] = true
		}
	}
	if seen[methodGET] {
		seen[methodHEAD] = true
	}
	if answers(l.grpc, colon) {
		seen[methodPOST] = true
	}
}
