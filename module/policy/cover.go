package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Cover is a set of paths that a [Pattern] may not be able to express. Its
// elements match one decoded segment each, with * for any text, even none; the
// element ** matches any number of segments.
type Cover []string

// Meets reports whether a request could have a path of the cover and be matched
// by p. colon reports whether the route of p allows a colon. If the answer is
// uncertain, it is true.
func (c Cover) Meets(p Pattern, colon bool) bool {
	if n := len(c); n > 0 && c[n-1] != anyRest && p.Verb == "" && !colon && !p.endsInLiteral() && strings.Contains(c[n-1], ":") {
		return false // a route without a verb matches no colon
	}
	return meets(c, p.Segments, p.Verb, colon)
}

func (p *Pattern) endsInLiteral() bool {
	last := p.Segments[len(p.Segments)-1]
	return last != anySegment && last != anyRest
}

// meets compares the remaining segments of both. A cover has few **, so this is
// cheap.
func meets(c, segments []string, verb string, colon bool) bool {
	for {
		switch {
		case len(segments) > 0 && segments[0] == anyRest:
			return true
		case len(c) == 0:
			return len(segments) == 0
		case c[0] == anyRest:
			return meets(c[1:], segments, verb, colon) || len(segments) > 0 && meets(c, segments[1:], verb, colon)
		case len(segments) == 0:
			return false
		}
		ends := ""
		if len(segments) == 1 {
			ends = verb
		}
		if !segmentMeets(c[0], segments[0], ends) {
			return false
		}
		c, segments = c[1:], segments[1:]
	}
}

// segmentMeets reports whether a text matches both the glob and a segment of a
// pattern with a verb behind it.
func segmentMeets(glob, segment, verb string) bool {
	switch {
	case segment != anySegment && verb != "":
		return matchGlob(glob, segment+":"+verb)
	case segment != anySegment:
		return matchGlob(glob, segment)
	case verb == "":
		return glob != "" // a variable is never empty
	}
	star := strings.LastIndexByte(glob, '*')
	tail, end := glob[star+1:], ":"+verb
	if star < 0 {
		return strings.HasSuffix(glob, end) && len(glob) > len(end)
	}
	return strings.HasSuffix(tail, end) || strings.HasSuffix(end, tail)
}

// matchGlob reports whether text matches a glob in which * stands for any
// text.
func matchGlob(glob, text string) bool {
	first, rest, wild := strings.Cut(glob, "*")
	if !wild {
		return glob == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		part, more, wild := strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// Pattern returns the narrowest pattern that matches all of the cover's paths.
// names are the names of the variables, one for each element. exact reports
// whether the pattern matches no other path.
func (c Cover) Pattern(names []string) (text string, exact bool) {
	if len(c) == 0 {
		return "/", true
	}
	exact = true
	var b strings.Builder
	for i, glob := range c {
		last := i == len(c)-1
		if glob == anyRest {
			b.WriteString("/{" + names[i] + "=**}")
			return b.String(), exact && last
		}
		if !last && i == maxSegments-1 || b.Len() > maxCoverText {
			b.WriteString("/{rest_of_path=**}")
			return b.String(), false
		}
		part, fits := coverSegment(glob, names[i], last)
		b.WriteString("/" + part)
		exact = exact && fits
	}
	return b.String(), exact
}

// coverSegment returns a segment of a pattern that matches everything that a
// glob matches. fits reports whether it matches nothing else.
func coverSegment(glob, name string, last bool) (part string, fits bool) {
	verb, verbs := strings.CutPrefix(glob, anySegment)
	if glob == anySegment {
		return "{" + name + "}", true
	}
	if _, err := ParsePattern("/{x}" + verb); verbs && last && err == nil {
		return "{" + name + "}" + verb, true
	}
	behind := "/x"
	if last {
		behind = ""
	}
	if _, err := ParsePattern("/" + glob + behind); err == nil && len(glob) <= maxCoverLiteral && !strings.ContainsAny(glob, "{}") {
		return glob, true
	}
	return "{" + name + "}", false
}

// Bounds of the patterns that [Cover.Pattern] writes.
const (
	maxCoverText    = 1200
	maxCoverLiteral = 300
)

// Before reports whether a request that matches both p and o gets the route of
// p. Segment by segment, a literal goes before a variable and a variable before
// a rest.
func (p Pattern) Before(o Pattern) bool {
	for i := range max(len(p.Segments), len(o.Segments)) {
		if a, b := rank(p, i), rank(o, i); a != b {
			return a < b
		}
	}
	return p.Verb != "" && o.Verb == ""
}

// rank orders the kinds of segments of patterns.
func rank(p Pattern, i int) int {
	switch {
	case i >= len(p.Segments):
		return 0 // an ended pattern goes before a rest
	case p.Segments[i] == anyRest:
		return 4
	case p.Segments[i] == anySegment:
		if i == len(p.Segments)-1 && p.Verb != "" {
			return 2
		}
		return 3
	}
	return 1
}

// Shape returns a text that is equal for two patterns that match the same
// paths.
func (p Pattern) Shape() string { return strings.Join(p.Segments, "/") + ":" + p.Verb }

// LeftOut is an operation of a description that no route expresses exactly.
type LeftOut struct {
	Operation, Place string
	// Why it could not be written.
	Why string
	// Method is one of [Methods], or [MethodAny]. It is empty if no request can
	// have the operation's method; then the fields below are empty.
	Method string
	// Cover matches the paths of its requests. Pattern is the narrowest pattern
	// that covers them. Exact is true if it covers nothing else.
	Cover   Cover
	Pattern Pattern
	Exact   bool
	// Scopes, Endpoint and Accept are its demands.
	Scopes, Endpoint []string
	Accept           Accept
}

// Reaches reports whether a route may decide a request for the operation, given
// that a route with the operation's own pattern exists.
func (l *LeftOut) Reaches(method string, p Pattern, colon bool) bool {
	if !methodsMeet(l.Method, method) || !l.Cover.Meets(p, colon) {
		return false
	}
	if p.Shape() == l.Pattern.Shape() {
		return l.Method != "HEAD" || method != "GET" // the operation's own route is for HEAD
	}
	return !l.Exact && p.Before(l.Pattern)
}

// Answers reports whether a route of a method answers every request of the
// operation's method, so that no other route of its pattern answers one.
func (l *LeftOut) Answers(method string) bool {
	return method == l.Method || method == MethodAny
}

// methodsMeet reports whether a route of one method may answer a request of the
// operation's method.
func methodsMeet(operation, route string) bool {
	if operation == "" || route == MethodGRPC {
		return false
	}
	return operation == route || operation == MethodAny || route == MethodAny || operation == "HEAD" && route == "GET"
}

// weaker reports whether a rule demands less than the operation.
func (l *LeftOut) weaker(r *Rule) bool {
	switch {
	case r.accept == AcceptNone || l.Accept.Public():
		return false
	case r.accept.Public() || r.accept&^l.Accept != 0:
		return true
	}
	lacks := func(has, needs []string) bool {
		return slices.ContainsFunc(needs, func(s string) bool { return !slices.Contains(has, s) })
	}
	return lacks(r.Scopes, l.Scopes) || lacks(r.Endpoint, l.Endpoint)
}

// maxWeaker is the number of routes that a finding names at most.
const maxWeaker = 5

// leftOut lists the operations of a description that no table can express, with
// the routes of this table through which they can still be called.
func leftOut(rules []*Rule, list []LeftOut) (found []Finding) {
	for i := range list {
		l := &list[i]
		var text strings.Builder
		fmt.Fprintf(&text, "%s is left out: %s", l.Operation, l.Why)
		weaker := 0
		own := slices.ContainsFunc(rules, func(r *Rule) bool {
			return l.Method != "" && l.Answers(r.Method) && r.pattern.Shape() == l.Pattern.Shape()
		})
		for _, r := range rules {
			reaches := l.Reaches(r.Method, r.pattern, r.colon)
			if !own {
				reaches = methodsMeet(l.Method, r.Method) && l.Cover.Meets(r.pattern, r.colon)
			}
			if !reaches || !l.weaker(r) {
				continue
			}
			if weaker++; weaker <= maxWeaker {
				fmt.Fprintf(&text, "; its requests can come to route %s%s, which demands less", r, inPlace(r.Place))
			}
		}
		if weaker > maxWeaker {
			fmt.Fprintf(&text, "; and to %d more", weaker-maxWeaker)
		}
		found = append(found, Finding{Severity: Error, Kind: FindingLeftOut, Place: l.Place, Text: text.String()})
	}
	return found
}
