package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Severity is how serious a finding is.
type Severity string

// The severities of findings.
const (
	// Error is a table that doesn't do what its lines say.
	Error Severity = "error"
	// Warning is probably a mistake.
	Warning Severity = "warning"
	// Note is something to know.
	Note Severity = "note"
)

// Finding is one result of a check.
type Finding struct {
	Severity Severity `json:"severity"`
	// Kind is one of the Finding constants.
	Kind string `json:"kind"`
	// Place is where the route or scope is declared.
	Place string `json:"place,omitempty"`
	// Text is what was found and what to do about it.
	Text string `json:"text"`
}

// The kinds of findings.
const (
	FindingMistake     = "mistake"      // the table can't be built
	FindingUnreachable = "unreachable"  // no request reaches the route
	FindingOverlap     = "overlap"      // an upstream may take another route
	FindingNear        = "near_literal" // a lenient upstream may take another route
	FindingUnusedScope = "unused_scope" // nothing needs the scope
	FindingOwnerName   = "owner_name"   // a variable is named like the owner's
	FindingPublic      = "public"       // the route requires no credential
	FindingClosed      = "closed"       // the route accepts nobody
	FindingAdded       = "added"        // only the description has it
	FindingRemoved     = "removed"      // only the table has it
	FindingChanged     = "changed"      // the two differ
	FindingLeftOut     = "left_out"     // no table can express what the description has
)

// Checked is the input of [Check]: the lines of a site or of a file.
type Checked struct {
	Scopes []Scope
	Routes []Route
	// Owner and App are the path variables that name the owner and the app.
	Owner, App string
	// OwnerQuery, OwnerBody and OwnerMessage are the other places that name the
	// owner and the app.
	OwnerQuery   []OwnerFields
	OwnerBody    []string
	OwnerMessage []OwnerMessage
	// LeftOut are the operations of a description that its routes don't
	// express.
	LeftOut []LeftOut
	// Needed are scopes that something else needs.
	Needed []string
	// Refused returns why every request for an escaped path is refused before a
	// route is looked up. It returns "" if such requests aren't refused. It may
	// be nil.
	Refused func(path string, encodedSlash bool) string
}

// Check looks for likely mistakes in a table. If the table can't be built,
// Check returns only the errors.
func Check(c Checked) []Finding {
	table, err := NewTable(c.Routes, c.Owner, c.App)
	if err == nil {
		_, err = CatalogueOf(c.Scopes, table.Rules())
	}
	if err != nil {
		return mistakes(err)
	}
	var found []Finding
	fresh := freshSegment(table.Rules())
	for _, r := range table.Rules() {
		found = append(found, c.reach(table, r, fresh)...)
		found = append(found, c.names(r)...)
		switch {
		case r.accept.Public():
			found = append(found, r.finding(Note, FindingPublic, "requires no credential"))
		case r.accept == AcceptNone:
			found = append(found, r.finding(Note, FindingClosed, "accepts nobody"))
		}
	}
	found = append(found, c.nears(table, fresh)...)
	found = append(found, overlaps(table.Rules())...)
	return append(found, c.unused(table.Rules())...)
}

func (r *Rule) finding(s Severity, kind, format string, args ...any) Finding {
	return Finding{s, kind, r.Place, fmt.Sprintf("route %s ", r) + fmt.Sprintf(format, args...)}
}

// mistakes returns a finding for each of the joined errors. Their texts begin
// with their places.
func mistakes(err error) []Finding {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var found []Finding
		for _, e := range joined.Unwrap() {
			found = append(found, mistakes(e)...)
		}
		return found
	}
	return []Finding{{Severity: Error, Kind: FindingMistake, Text: err.Error()}}
}

// reach looks for a request that reaches the route and returns a finding if
// there is none.
func (c *Checked) reach(table *Table, r *Rule, fresh string) []Finding {
	var instead *Rule
	why := ""
	for _, path := range samples(r, fresh) {
		for _, method := range answered(r.Method) {
			found := table.Find(method, r.Method == MethodGRPC, path)
			if found != r {
				instead = found
				continue
			}
			if c.Refused != nil {
				why = c.Refused(path, r.slash)
			}
			if why == "" {
				return nil
			}
		}
	}
	if why != "" {
		return []Finding{r.finding(Error, FindingUnreachable, "is never reached: %s, so every request for it is refused", why)}
	}
	text := "is never reached; remove it"
	if instead != nil {
		text = fmt.Sprintf("is never reached, because requests go to %s%s; remove one of them", instead, inPlace(instead.Place))
	}
	return []Finding{r.finding(Error, FindingUnreachable, "%s", text)}
}

// answered returns the methods of the requests that a route may answer.
func answered(method string) []string {
	switch method {
	case MethodAny:
		return methods[:]
	case MethodGRPC:
		return []string{"POST"}
	}
	return []string{method}
}

// freshSegment returns a segment that differs from every literal.
func freshSegment(rules []*Rule) string {
	literals := map[string]bool{}
	for _, r := range rules {
		for _, seg := range r.pattern.Segments {
			literals[seg] = true
		}
	}
	fresh := "x"
	for literals[fresh] {
		fresh += "x"
	}
	return fresh
}

// samples returns paths of the route's shape, with values that no literal has.
// A route that ends in a rest has a sample for every length that another
// pattern could have.
func samples(r *Rule, fresh string) []string {
	var path strings.Builder
	segments := r.pattern.Segments
	if r.pattern.hasRest() {
		segments = segments[:len(segments)-1]
	}
	for _, seg := range segments {
		path.WriteByte('/')
		if seg == anySegment {
			seg = fresh
		}
		path.WriteString(url.PathEscape(seg))
	}
	verb := ""
	if r.pattern.Verb != "" {
		verb = ":" + r.pattern.Verb
	}
	if !r.pattern.hasRest() {
		return []string{path.String() + verb}
	}
	var list []string
	for range maxSegments + 2 {
		list = append(list, path.String()+verb, path.String()+"/"+verb)
		path.WriteString("/" + fresh)
	}
	return slices.DeleteFunc(list, func(p string) bool { return !strings.HasPrefix(p, "/") })
}

// names warns about variables whose names look like the owner's or the app's.
func (c *Checked) names(r *Rule) (found []Finding) {
	for _, v := range r.pattern.Variables {
		if v.Name == c.Owner || v.Name == c.App {
			continue
		}
		for _, name := range []string{"user_id", "app_id", c.Owner, c.App} {
			if strings.HasSuffix(v.Name, name) {
				found = append(found, r.finding(Warning, FindingOwnerName,
					"has {%s}, which is not checked as owner or app: call it {%s} or {%s} if it names them", v.Name, c.Owner, c.App))
				break
			}
		}
	}
	return found
}

// unused warns about scopes that nothing needs.
func (c *Checked) unused(rules []*Rule) (found []Finding) {
	needed := map[string]bool{ScopeAll: true}
	for _, name := range c.Needed {
		needed[name] = true
	}
	for _, r := range rules {
		for _, name := range r.Scopes {
			needed[name] = true
		}
	}
	for _, s := range c.Scopes {
		for _, name := range s.Needs {
			needed[name] = true
		}
	}
	for _, s := range c.Scopes {
		if !needed[s.Name] {
			found = append(found, Finding{
				Warning, FindingUnusedScope, s.Place,
				fmt.Sprintf("scope %s is needed by no route and no other scope: it grants nothing", s.Name),
			})
		}
	}
	return found
}

// overlaps warns about two routes that one path may match if neither is more
// specific in every segment, such as /a/b/{x} and /a/{y}/c. The gate decides by
// the first segment that differs. An upstream with another order would run an
// operation that the gate didn't decide on.
func overlaps(rules []*Rule) (found []Finding) {
	for i, a := range rules {
		for _, b := range rules[i+1:] {
			if !a.overlaps(b) || a.accept == b.accept && slices.Equal(a.Scopes, b.Scopes) {
				continue
			}
			first, second := a, b
			if !a.goesFirst(b) {
				first, second = b, a
			}
			found = append(found, second.finding(Warning, FindingOverlap,
				"matches paths that %s%s also matches, and the gate chooses the latter; make sure that the upstream chooses the same route", first, inPlace(first.Place)))
		}
	}
	return found
}

func (r *Rule) overlaps(o *Rule) bool {
	if r.Method != o.Method && r.Method != MethodAny && o.Method != MethodAny || r.Method == MethodGRPC || o.Method == MethodGRPC {
		return false
	}
	p, q := &r.pattern, &o.pattern
	if len(p.Segments) != len(q.Segments) || p.Verb != q.Verb || p.hasRest() || q.hasRest() {
		return false
	}
	mine, theirs := false, false
	for i, seg := range p.Segments {
		switch other := q.Segments[i]; {
		case seg == other:
		case other == anySegment:
			mine = true
		case seg == anySegment:
			theirs = true
		default:
			return false
		}
	}
	return mine && theirs
}

// goesFirst reports whether r is found before o, which overlaps it.
func (r *Rule) goesFirst(o *Rule) bool {
	for i, seg := range r.pattern.Segments {
		if other := o.pattern.Segments[i]; seg != other {
			return other == anySegment
		}
	}
	return false
}
