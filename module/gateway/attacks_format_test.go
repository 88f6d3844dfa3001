package gateway_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// attack is a case of the corpus under testdata/attacks, whose README explains
// the format.
type attack struct {
	place  string // file and line
	name   string
	class  string
	source string
	site   string
	on     []string // protocols
	steps  []*attackStep
}

// attackStep is one thing that a case does, on the connection that it has.
type attackStep struct {
	line int
	kind string // request, fields, frames, bytes or do
	// text is what stands behind the kind: the method and target of a
	// request, the word of do.
	text     string
	lines    []string // of the block
	body     string
	hasBody  bool
	trailers []string
	// answers and reaches are by protocol; "" is every other one.
	answers map[string]string
	reaches map[string][]reach
}

// reach is a request that the upstream is to see.
type reach struct {
	method, target string
	has            []string // header lines, each there once
	lacks          []string // names of headers
	body           string
	anyBody        bool
	broken         bool // the request ends before its end
}

// attackForms are the protocols that each kind of step can be sent over.
var attackForms = map[string][]string{
	"request": {"h1", "h2", "h2c", "h3"},
	"fields":  {"h2", "h2c", "h3"},
	"frames":  {"h2", "h2c"},
	"bytes":   {"h1"},
}

var attackProtocols = attackForms["request"]

// parseAttacks reads a file of cases. sites are those that a case may name.
func parseAttacks(file, text string, sites []string) ([]*attack, error) {
	p := attackParser{sites: sites}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(fmt.Sprintf("%s:%d", file, i+1), i+1, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("%s: the last case: %w", file, err)
	}
	return p.all, nil
}

type attackParser struct {
	sites []string
	all   []*attack
	a     *attack
	step  *attackStep
	// block takes the indented lines that follow a field.
	block func(string) error
}

func (p *attackParser) line(place string, number int, line string) error {
	switch {
	case line == "" || line[0] == '#':
		p.block = nil
		return nil
	case strings.TrimRight(line, " \t\r") != line:
		return errors.New(`white space at the end of the line (write \s or \t)`)
	case line[0] == '\t':
		if p.block == nil {
			return errors.New("an indented line that belongs to no field")
		}
		return p.block(line[1:])
	}
	p.block = nil
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return errors.New("neither a field, nor indented, nor a comment")
	}
	value = strings.TrimPrefix(value, " ")
	if name == "case" {
		if err := p.end(); err != nil {
			return fmt.Errorf("the case before: %w", err)
		}
		p.a = &attack{place: place, name: value, site: "api"}
		p.step = nil
		return nil
	}
	if p.a == nil {
		return errors.New("a field outside of a case")
	}
	return p.field(number, name, value)
}

func (p *attackParser) field(number int, name, value string) error {
	name, protocol, _ := strings.Cut(name, " ")
	if protocol != "" && (name != "answer" && name != "reach" || !slices.Contains(attackProtocols, protocol)) {
		return fmt.Errorf("%q is not a field for one protocol", name+" "+protocol)
	}
	once := func(to *string) error {
		if p.step != nil || *to != "" && !(name == "site" && *to == "api") {
			return fmt.Errorf("%s is given twice, or behind a step", name)
		}
		*to = value
		return nil
	}
	switch name {
	case "class":
		return once(&p.a.class)
	case "source":
		return once(&p.a.source)
	case "site":
		if !slices.Contains(p.sites, value) {
			return fmt.Errorf("no site is named %q", value)
		}
		return once(&p.a.site)
	case "on":
		for protocol := range strings.FieldsSeq(value) {
			if !slices.Contains(attackProtocols, protocol) || slices.Contains(p.a.on, protocol) {
				return fmt.Errorf("%q is no protocol, or given twice", protocol)
			}
			p.a.on = append(p.a.on, protocol)
		}
		return nil
	case "request", "fields", "frames", "bytes", "do":
		return p.begin(number, name, value)
	}
	if p.step == nil || p.step.kind == "do" {
		return fmt.Errorf("%s is no field, or stands before a step", name)
	}
	return p.ofStep(name, protocol, value)
}

func (p *attackParser) begin(number int, kind, value string) error {
	s := &attackStep{line: number, kind: kind, text: value, answers: map[string]string{}, reaches: map[string][]reach{}}
	switch kind {
	case "request":
		if method, target, _ := strings.Cut(value, " "); method == "" || target == "" {
			return errors.New("a request is a method and a target")
		}
	case "do":
		if !slices.Contains([]string{"create", "revoke", "disable", "enable", "expire"}, value) {
			return fmt.Errorf("there is nothing called %q to do", value)
		}
	default:
		if value != "" {
			return fmt.Errorf("what is sent stands in the lines behind %s:", kind)
		}
	}
	p.step = s
	p.a.steps = append(p.a.steps, s)
	if kind != "do" {
		p.block = func(line string) error { s.lines = append(s.lines, line); return nil }
	}
	return nil
}

// ofStep reads what belongs to the latest step.
func (p *attackParser) ofStep(name, protocol, value string) error {
	s := p.step
	switch name {
	case "body":
		if s.hasBody || s.kind != "request" && s.kind != "fields" {
			return errors.New("a body is given twice, or with a step that has none")
		}
		s.body, s.hasBody = value, true
		p.block = func(line string) error { s.body += line; return nil }
	case "trailers":
		if value != "" || s.trailers != nil || s.kind != "request" && s.kind != "fields" {
			return errors.New("trailers stand indented behind trailers:, once")
		}
		p.block = func(line string) error { s.trailers = append(s.trailers, line); return nil }
	case "answer":
		if _, twice := s.answers[protocol]; twice {
			return errors.New("the answer is given twice")
		}
		for one := range strings.SplitSeq(value, ", ") {
			for either := range strings.SplitSeq(one, " or ") {
				if err := checkAnswerWords(either); err != nil {
					return err
				}
			}
		}
		s.answers[protocol] = value
	case "reach":
		return p.reach(protocol, value)
	default:
		return fmt.Errorf("%s is no field", name)
	}
	return nil
}

func checkAnswerWords(text string) error {
	words := strings.Fields(text)
	if len(words) == 1 && words[0] == "ended" {
		return nil
	}
	if len(words) == 2 && words[0] == "grpc" {
		words = words[1:]
	}
	for _, word := range words {
		if _, err := strconv.Atoi(word); err != nil {
			return fmt.Errorf("answer %q: it is a status, a status and a code, grpc and its status, or ended", text)
		}
	}
	if len(words) == 0 || len(words) > 2 {
		return fmt.Errorf("answer %q: too few or too many words", text)
	}
	return nil
}

func (p *attackParser) reach(protocol, value string) error {
	s := p.step
	before, twice := s.reaches[protocol]
	if value == "nothing" {
		if twice {
			return errors.New("nothing reaches the upstream, or something does")
		}
		s.reaches[protocol] = []reach{}
		return nil
	}
	if twice && len(before) == 0 {
		return errors.New("nothing reaches the upstream, or something does")
	}
	method, target, ok := strings.Cut(value, " ")
	if !ok {
		return errors.New("reach is nothing, or a method and a target")
	}
	s.reaches[protocol] = append(before, reach{method: method, target: target})
	i := len(before)
	p.block = func(line string) error {
		r := &s.reaches[protocol][i]
		switch name, value, _ := strings.Cut(line, ": "); {
		case strings.HasPrefix(line, "- "):
			r.lacks = append(r.lacks, line[2:])
		case strings.HasPrefix(line, "+ "):
			r.has = append(r.has, line[2:])
		case name == "body":
			r.body = value
		case line == "any body":
			r.anyBody = true
		case line == "broken":
			r.broken, r.anyBody = true, true
		default:
			return fmt.Errorf("%q says nothing of a request", line)
		}
		return nil
	}
	return nil
}

// end checks that the case is whole.
func (p *attackParser) end() error {
	a := p.a
	if a == nil {
		return nil
	}
	if a.name == "" || a.class == "" || a.source == "" || len(a.steps) == 0 {
		return errors.New("a case has a name, a class, a source and what is sent")
	}
	if slices.ContainsFunc(p.all, func(o *attack) bool { return o.name == a.name }) {
		return fmt.Errorf("another case is named %q", a.name)
	}
	can := attackProtocols
	for _, s := range a.steps {
		if s.kind == "do" {
			continue
		}
		can = slices.DeleteFunc(slices.Clone(can), func(o string) bool { return !slices.Contains(attackForms[s.kind], o) })
		if len(s.lines) == 0 && s.kind != "request" {
			return fmt.Errorf("line %d: nothing is sent", s.line)
		}
	}
	if a.on == nil {
		a.on = can
	}
	for _, protocol := range a.on {
		if !slices.Contains(can, protocol) {
			return fmt.Errorf("what is sent can't be sent over %s", protocol)
		}
		for _, s := range a.steps {
			if s.kind == "do" {
				continue
			}
			if _, _, ok := s.expected(protocol); !ok {
				return fmt.Errorf("line %d: neither its answer nor what reaches the upstream may be left out", s.line)
			}
		}
	}
	p.all = append(p.all, a)
	return nil
}

// expected is what a step is answered over a protocol, and what of it reaches
// the upstream.
func (s *attackStep) expected(protocol string) (answers []string, reached []reach, ok bool) {
	text, found := s.answers[protocol]
	if !found {
		text, found = s.answers[""]
	}
	reached, found2 := s.reaches[protocol]
	if !found2 {
		reached, found2 = s.reaches[""]
	}
	return strings.Split(text, ", "), reached, found && found2
}

// unescape replaces what stands for bytes that can't be seen, then the names
// in braces by their values: {key}, and {a*600} for a text 600 times.
func unescape(text string, values map[string]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			if i++; i == len(text) {
				return "", errors.New(`a \ at the end`)
			}
			if text[i] == 'x' {
				if i+2 >= len(text) {
					return "", errors.New(`\x lacks its digits`)
				}
				n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
				if err != nil {
					return "", fmt.Errorf(`\x%s is no byte`, text[i+1:i+3])
				}
				b.WriteByte(byte(n))
				i += 2
				continue
			}
			at := strings.IndexByte(`rnt0s\{`, text[i])
			if at < 0 {
				return "", fmt.Errorf(`\%c stands for nothing`, text[i])
			}
			b.WriteByte("\r\n\t\x00 \\{"[at])
		case text[i] == '{':
			name, _, ok := strings.Cut(text[i+1:], "}")
			unit, times, repeated := strings.Cut(name, "*")
			switch n, err := strconv.Atoi(times); {
			case ok && repeated && err == nil:
				b.WriteString(strings.Repeat(unit, n))
			case ok && values[name] != "":
				b.WriteString(values[name])
			default:
				return "", fmt.Errorf(`nothing is called {%s} (write \{ for a brace)`, name)
			}
			i += len(name) + 1
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), nil
}
