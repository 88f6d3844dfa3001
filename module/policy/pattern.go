package policy

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxSegments bounds the segments of a pattern, and so the depth of a walk.
const maxSegments = 32

// Variable is a name that a pattern gives to a part of the path.
type Variable struct {
	Name string
	// First and Last are the positions of the segments that it covers. Last is
	// -1 if it takes the rest of the path.
	First, Last int
}

// Pattern is a parsed path pattern: literal segments, {name} for one segment,
// {name=**} for the rest, {name=projects/*/locations/*} for several, and a
// :verb at the end (google.api.http's path templates, with every wildcard
// named).
type Pattern struct {
	// Segments are the literals, with "*" for one segment that isn't empty and,
	// only at the end, "**" for zero or more.
	Segments []string
	// Verb is the text after the colon of the last segment, or empty.
	Verb      string
	Variables []Variable
}

// caddyShorthands are the bare names in braces that Caddy replaces when it
// reads a Caddyfile. A variable of such a name would arrive as another text.
var caddyShorthands = func() map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(`host hostport port method uri path dir
		file query remote remote_host remote_port scheme uuid client_ip
		orig_method orig_uri orig_path orig_dir orig_file orig_query
		tls_cipher tls_version tls_client_fingerprint tls_client_issuer
		tls_client_serial tls_client_subject tls_client_certificate_pem
		tls_client_certificate_der_base64 upstream_hostport`) {
		set[name] = true
	}
	return set
}()

// ParsePattern parses a path pattern. The error names the mistake and its
// remedy.
func ParsePattern(text string) (Pattern, error) {
	p, err := parsePattern(text)
	if err != nil {
		return Pattern{}, fmt.Errorf("pattern %q: %w", text, err)
	}
	return p, nil
}

func parsePattern(text string) (Pattern, error) {
	var p Pattern
	if !strings.HasPrefix(text, "/") {
		return p, errors.New("must begin with /")
	}
	rest := text[1:]
	for {
		seg, more, err := p.segment(rest)
		if err != nil {
			return p, err
		}
		if len(p.Segments) > maxSegments {
			return p, fmt.Errorf("more than %d segments", maxSegments)
		}
		if !more {
			return p, nil
		}
		if p.hasRest() {
			return p, errors.New("** takes the rest of the path, so nothing may follow it but a :verb")
		}
		rest = rest[seg:]
	}
}

// segment reads one segment from the front of text. It returns how many bytes
// it read, including the slash, and whether another segment follows.
func (p *Pattern) segment(text string) (read int, more bool, err error) {
	if !strings.HasPrefix(text, "{") {
		end := strings.IndexByte(text, '/')
		more = end >= 0
		if !more {
			end = len(text)
		}
		lit := text[:end]
		if !more {
			if lit, err = p.cutVerb(lit); err != nil {
				return 0, false, err
			}
			if lit == "" && p.Verb != "" {
				return 0, false, errors.New("a verb needs a segment in front of its colon")
			}
		}
		return end + 1, more, p.literal(lit, more)
	}
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return 0, false, errors.New("a { without a }")
	}
	if err := p.variable(text[1:end]); err != nil {
		return 0, false, err
	}
	after := text[end+1:]
	switch {
	case after == "":
		return len(text), false, nil
	case after[0] == '/':
		return end + 2, true, nil
	case after[0] == ':' && !strings.Contains(after, "/"):
		_, err := p.cutVerb(after)
		return len(text), false, err
	}
	return 0, false, errors.New("a variable takes a whole segment: write /{name}/ or /{name}:verb")
}

// cutVerb removes the :verb from the last segment.
func (p *Pattern) cutVerb(last string) (string, error) {
	i := strings.LastIndexByte(last, ':')
	if i < 0 {
		return last, nil
	}
	p.Verb = last[i+1:]
	if p.Verb == "" {
		return "", errors.New("a colon in the last segment begins a :verb, which may not be empty")
	}
	for _, c := range []byte(p.Verb) {
		if !isUnreserved(c) {
			return "", fmt.Errorf("the verb %q may only contain letters, digits and -._~", p.Verb)
		}
	}
	if strings.Contains(last[:i], ":") {
		return "", errors.New("more than one colon in the last segment")
	}
	return last[:i], nil
}

func (p *Pattern) literal(lit string, more bool) error {
	switch {
	case lit == "" && more:
		return errors.New("an empty segment (//)")
	case strings.ContainsAny(lit, "{}"):
		return errors.New("a variable takes a whole segment: write /{name}/")
	case lit == anySegment || lit == anyRest:
		return fmt.Errorf("name the wildcard: write {name} or {name=%s}", lit)
	case lit == "." || lit == "..":
		return errors.New("a . or .. segment is refused in every request, so nothing would match")
	case strings.ContainsAny(lit, `\;%?#*`):
		return fmt.Errorf(`the literal %q has one of \ ; %% ? # *, which no literal may contain: write characters in their decoded form, and a wildcard as {name}`, lit)
	}
	for _, c := range []byte(lit) {
		if c < 0x20 || c == 0x7f {
			return errors.New("a control character")
		}
	}
	p.Segments = append(p.Segments, lit)
	return nil
}

// variable parses the text between braces: name, or name=template.
func (p *Pattern) variable(inside string) error {
	name, template, has := strings.Cut(inside, "=")
	if !has {
		template = "*"
	}
	if err := checkVariableName(name); err != nil {
		return err
	}
	for _, v := range p.Variables {
		if v.Name == name {
			return fmt.Errorf("{%s} occurs twice; give each variable its own name", name)
		}
	}
	v := Variable{Name: name, First: len(p.Segments)}
	for part := range strings.SplitSeq(template, "/") {
		if p.hasRest() {
			return errors.New("** takes the rest of the path, so nothing may follow it but a :verb")
		}
		if part == anySegment || part == anyRest {
			p.Segments = append(p.Segments, part)
			continue
		}
		if part == "" || strings.Contains(part, ":") {
			return fmt.Errorf("the template of {%s} has an empty segment or a colon", name)
		}
		if err := p.literal(part, true); err != nil {
			return err
		}
	}
	v.Last = len(p.Segments) - 1
	if p.hasRest() {
		v.Last = -1
	}
	p.Variables = append(p.Variables, v)
	return nil
}

// The wildcards in [Pattern.Segments]. No literal equals them, because none may
// contain a *.
const (
	anySegment = "*"
	anyRest    = "**"
)

func (p *Pattern) hasRest() bool {
	return len(p.Segments) > 0 && p.Segments[len(p.Segments)-1] == anyRest
}

func checkVariableName(name string) error {
	if name == "" {
		return errors.New("a variable without a name")
	}
	if caddyShorthands[name] || strings.HasPrefix(name, "http.") {
		return fmt.Errorf("{%s}: Caddy replaces this name in a Caddyfile with a placeholder of its own; rename the variable, for example by appending a _", name)
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return fmt.Errorf("the variable name %q may only contain letters, digits and _", name)
		}
	}
	return nil
}

// variableNamed returns the variable of a name.
func (p *Pattern) variableNamed(name string) (Variable, bool) {
	for _, v := range p.Variables {
		if v.Name == name {
			return v, true
		}
	}
	return Variable{}, false
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// decodeSegment returns the decoded value of a segment. It allocates only if
// there is something to decode. The gate has already refused invalid escapes.
func decodeSegment(seg string) string {
	if strings.IndexByte(seg, '%') < 0 {
		return seg
	}
	value, err := url.PathUnescape(seg)
	if err != nil {
		return seg
	}
	return value
}
