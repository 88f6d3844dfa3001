package policy

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// NearLiteral returns another route that an upstream may choose if it reads
// paths more loosely than the table. Such a route has other demands than r, the
// route that was found, and matches the path after case folding, NFKC, and the
// removal of trailing slashes, dots and spaces or of the last segment's
// extensions. NearLiteral returns nil if there is no such route or r allows
// near literals.
func (t *Table) NearLiteral(r *Rule, method string, grpc bool, path string) *Rule {
	if r == nil || !r.near || !r.nearPlain && isPlain(path) {
		return nil
	}
	s := nearSearch{table: t, rule: r, method: method, grpc: grpc}
	for {
		s.look(path)
		s.verbs(path)
		shorter := strings.TrimSuffix(path, "/")
		if s.found != nil || shorter == path || shorter == "" {
			return s.found
		}
		path = shorter
		s.try(path)
	}
}

// isPlain reports whether loosening a path changes nothing: it has neither
// escapes nor capital letters, no dot, and no slash at its end.
func isPlain(path string) bool {
	for i := range len(path) {
		if !plain[path[i]] {
			return false
		}
	}
	return path[len(path)-1] != '/'
}

// plain holds true for the characters of plain paths.
var plain = func() (is [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789/-_~:") {
		is[c] = true
	}
	return is
}()

// nearSearch is one search for a near literal.
type nearSearch struct {
	table  *Table
	rule   *Rule
	method string
	grpc   bool
	path   string
	found  *Rule
}

// try looks up the route that another reading of the path addresses.
func (s *nearSearch) try(path string) {
	if s.found != nil {
		return
	}
	if o := s.table.Find(s.method, s.grpc, path); o != nil && o.asksElse(s.rule) && o.namesChange(s.path, path) {
		s.found = o
	}
}

// namesChange reports whether every segment in which a reading differs from the
// path is a literal of the pattern. A segment that a variable matches is not
// near to a literal.
func (r *Rule) namesChange(path, reading string) bool {
	for i := -1; ; i++ {
		was, restOfPath, _ := strings.Cut(path, "/")
		is, rest, more := strings.Cut(reading, "/")
		if !more && r.pattern.Verb != "" {
			was, is = withoutVerb(was), withoutVerb(is)
		}
		if was != is && (i >= len(r.pattern.Segments) || r.pattern.Segments[i] == anySegment || r.pattern.Segments[i] == anyRest) {
			return false
		}
		if !more {
			return true
		}
		path, reading = restOfPath, rest
	}
}

func withoutVerb(seg string) string {
	if i := strings.LastIndexByte(seg, ':'); i >= 0 {
		return seg[:i]
	}
	return seg
}

func (s *nearSearch) look(path string) {
	s.path = path
	s.descend(&s.table.root, path[:1], 1, false)
}

// verbs reads the text after the last colon as each verb that it is near to.
func (s *nearSearch) verbs(path string) {
	colon := strings.LastIndexByte(path, ':')
	if colon < strings.LastIndexByte(path, '/') {
		return
	}
	for form := loose(decodeSegment(path[colon+1:])); form != ""; form = shorten(form) {
		for _, verb := range s.table.verbs[form] {
			if other := path[:colon+1] + verb; other != path {
				s.try(other)
				s.look(other)
			}
		}
	}
}

// descend visits every node that the segments from here on are near to. prefix
// is the reading so far, including its last slash. changed is true if it
// differs from the path that was sent. Each node is reached in one way only, so
// the size of the table bounds the walk.
func (s *nearSearch) descend(n *node, prefix string, from int, changed bool) {
	if s.found != nil {
		return
	}
	if changed && n.rest != nil {
		s.try(prefix + s.path[from:])
	}
	seg, _, more := strings.Cut(s.path[from:], "/")
	next := from + len(seg)
	if !more {
		s.last(n, prefix, seg, "", changed)
		if i := strings.LastIndexByte(seg, ':'); i > 0 {
			s.last(n, prefix, seg[:i], seg[i:], changed)
		}
		return
	}
	value := decodeSegment(seg)
	for _, c := range n.near[loose(value)] {
		if c.text == value {
			s.descend(c.node, s.joined(prefix, seg, next+1, changed), next+1, changed)
		} else {
			s.descend(c.node, prefix+url.PathEscape(c.text)+"/", next+1, true)
		}
	}
	if n.variable != nil && seg != "" {
		s.descend(n.variable, s.joined(prefix, seg, next+1, changed), next+1, changed)
	}
}

// joined returns prefix with a segment as it was sent and its slash.
func (s *nearSearch) joined(prefix, seg string, next int, changed bool) string {
	if changed {
		return prefix + seg + "/"
	}
	return s.path[:next]
}

// last visits the children that the segment after the last slash, without its
// verb, is near to.
func (s *nearSearch) last(n *node, prefix, seg, verb string, changed bool) {
	value := decodeSegment(seg)
	for form := loose(value); form != ""; form = shorten(form) {
		for _, c := range n.near[form] {
			if changed || c.text != value {
				s.try(prefix + url.PathEscape(c.text) + verb)
			}
		}
	}
	if changed && n.variable != nil && seg != "" {
		s.try(prefix + seg + verb)
	}
}

// nearChild is a child and the text of its literal.
type nearChild struct {
	text string
	node *node
}

// loosen prepares a table for [Table.NearLiteral].
func (t *Table) loosen() {
	t.verbs = map[string][]string{}
	shapes := make([]shape, len(t.rules))
	for i, r := range t.rules {
		if v := r.pattern.Verb; v != "" && !slices.Contains(t.verbs[loose(v)], v) {
			t.verbs[loose(v)] = append(t.verbs[loose(v)], v)
		}
		shapes[i] = shapeOf(r)
	}
	for i := range shapes {
		shapes[i].compare(shapes)
	}
	t.root.loosen()
}

func (n *node) loosen() {
	for text, c := range n.literal {
		if n.near == nil {
			n.near = map[string][]nearChild{}
		}
		key := loose(text)
		n.near[key] = append(n.near[key], nearChild{text, c})
		c.loosen()
	}
	if n.variable != nil {
		n.variable.loosen()
	}
}

// asksElse reports whether two routes have different demands.
func (r *Rule) asksElse(o *Rule) bool {
	return r != o && (r.accept != o.accept || r.owner != o.owner || r.app != o.app || r.cost != o.cost ||
		!slices.Equal(r.Scopes, o.Scopes) || !slices.Equal(r.Endpoint, o.Endpoint))
}

// shape is what can be near in a route's pattern.
type shape struct {
	rule *Rule
	// segments are those of the pattern, without an empty one at the end, and
	// with every literal in its loose form.
	segments []string
	// loose is true if all literals, and the verb, are in their loose form.
	loose bool
}

func shapeOf(r *Rule) shape {
	segments := r.pattern.Segments
	if n := len(segments); n > 0 && segments[n-1] == "" {
		segments = segments[:n-1]
	}
	s := shape{rule: r, segments: slices.Clone(segments), loose: loose(r.pattern.Verb) == r.pattern.Verb}
	for i, segment := range segments {
		if segment != anySegment && segment != anyRest {
			s.segments[i] = loose(segment)
			s.loose = s.loose && s.segments[i] == segment
		}
	}
	return s
}

// compare finds out whether paths of the shape's rule may be near to others.
func (s *shape) compare(all []shape) {
	r := s.rule
	if r.nearAllowed {
		return
	}
	for i := range all {
		if o := &all[i]; (!r.near || !o.loose) && s.mayBeTakenFor(o) {
			r.near, r.nearPlain = true, r.nearPlain || !o.loose
		}
		if r.nearPlain {
			return
		}
	}
}

// mayBeTakenFor reports whether a path that s matches could be near to a path
// of o, which has other demands. It may return true too often.
func (s *shape) mayBeTakenFor(o *shape) bool {
	mine, theirs := s.segments, o.segments
	if len(mine) != len(theirs) && !endsInRest(mine) && !endsInRest(theirs) {
		return false
	}
	for i := 0; i < len(mine) && i < len(theirs); i++ {
		switch {
		case mine[i] == anyRest, theirs[i] == anyRest:
			return s.rule.asksElse(o.rule)
		case mine[i] == anySegment, theirs[i] == anySegment:
		case !nearTo(mine[i], theirs[i]):
			return false
		}
	}
	// One of them may go on with a rest, which may be empty.
	longer := mine[min(len(mine), len(theirs)):]
	if len(longer) == 0 {
		longer = theirs[len(mine):]
	}
	return (len(longer) == 0 || longer[0] == anyRest) && s.rule.asksElse(o.rule)
}

func endsInRest(segments []string) bool {
	return len(segments) > 0 && segments[len(segments)-1] == anyRest
}

// nearTo reports whether a loose form, or what is left of it without
// extensions, is another one.
func nearTo(form, want string) bool {
	for strings.HasPrefix(form, want) {
		if form == want {
			return true
		}
		if form = shorten(form); form == "" {
			break
		}
	}
	return false
}

// loose returns a segment in the form that the loosest upstream compares:
// without differences of case and compatibility forms, and without trailing
// dots and spaces. It doesn't allocate for ASCII that needs no change.
func loose(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			return trimTail(foldAll(s))
		}
	}
	return trimTail(s)
}

// foldAll folds case in both directions. Some upstreams turn a letter into an i
// through upper case and others through lower case, so both results count as an
// i.
func foldAll(s string) string {
	s = norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
	s = strings.ReplaceAll(strings.ReplaceAll(s, "ı", "i"), "i\u0307", "i")
	return strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Cf, c) {
			return -1
		}
		return c
	}, s)
}

func trimTail(s string) string {
	return strings.TrimRightFunc(s, func(c rune) bool { return c == '.' || unicode.IsSpace(c) })
}

// shorten removes an extension. It returns "" if there is none.
func shorten(s string) string {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return ""
	}
	return trimTail(s[:i])
}
