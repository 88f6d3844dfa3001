package corpus

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Parse reads a file of cases. sites are those that a case may name.
func Parse(file, text string, sites []string) ([]*Case, error) {
	p := parser{sites: sites}
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

type parser struct {
	sites []string
	all   []*Case
	a     *Case
	step  *Step
	// block takes the indented lines that follow a field.
	block func(string) error
}

func (p *parser) line(place string, number int, line string) error {
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
		p.a = &Case{Place: place, Name: value, Site: "api"}
		p.step = nil
		return nil
	}
	if p.a == nil {
		return errors.New("a field outside of a case")
	}
	return p.field(number, name, value)
}

func (p *parser) field(number int, name, value string) error {
	name, protocol, _ := strings.Cut(name, " ")
	if protocol != "" && (name != "answer" && name != "reach" || !slices.Contains(Protocols, protocol)) {
		return fmt.Errorf("%q is not a field for one protocol", name+" "+protocol)
	}
	once := func(to *string) error {
		if p.step != nil || *to != "" && (name != "site" || *to != "api") {
			return fmt.Errorf("%s is given twice, or behind a step", name)
		}
		*to = value
		return nil
	}
	switch name {
	case "class":
		return once(&p.a.Class)
	case "source":
		return once(&p.a.Source)
	case "site":
		if !slices.Contains(p.sites, value) {
			return fmt.Errorf("no site is named %q", value)
		}
		return once(&p.a.Site)
	case "on":
		for protocol := range strings.FieldsSeq(value) {
			if !slices.Contains(Protocols, protocol) || slices.Contains(p.a.On, protocol) {
				return fmt.Errorf("%q is no protocol, or given twice", protocol)
			}
			p.a.On = append(p.a.On, protocol)
		}
		return nil
	case "request", "fields", "frames", "bytes", "do":
		return p.begin(number, name, value)
	}
	if p.step == nil || p.step.Kind == "do" {
		return fmt.Errorf("%s is no field, or stands before a step", name)
	}
	return p.ofStep(name, protocol, value)
}

func (p *parser) begin(number int, kind, value string) error {
	s := &Step{Line: number, Kind: kind, Text: value, answers: map[string]string{}, reaches: map[string][]Reach{}}
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
			return fmt.Errorf("nothing may follow %s on its line; the lines after it are sent", kind)
		}
	}
	p.step = s
	p.a.Steps = append(p.a.Steps, s)
	if kind != "do" {
		p.block = func(line string) error { s.Lines = append(s.Lines, line); return nil }
	}
	return nil
}

// ofStep reads what belongs to the latest step.
func (p *parser) ofStep(name, protocol, value string) error {
	s := p.step
	switch name {
	case "body":
		if s.HasBody || s.Kind != "request" && s.Kind != "fields" {
			return errors.New("a body is given twice, or with a step that has none")
		}
		s.Body, s.HasBody = value, true
		p.block = func(line string) error { s.Body += line; return nil }
	case "trailers":
		if value != "" || s.Trailers != nil || s.Kind != "request" && s.Kind != "fields" {
			return errors.New("trailers stand indented behind trailers:, once")
		}
		p.block = func(line string) error { s.Trailers = append(s.Trailers, line); return nil }
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

func (p *parser) reach(protocol, value string) error {
	s := p.step
	before, twice := s.reaches[protocol]
	if value == "nothing" {
		if twice {
			return errors.New("nothing reaches the upstream, or something does")
		}
		s.reaches[protocol] = []Reach{}
		return nil
	}
	if twice && len(before) == 0 {
		return errors.New("nothing reaches the upstream, or something does")
	}
	method, target, ok := strings.Cut(value, " ")
	if !ok {
		return errors.New("reach is nothing, or a method and a target")
	}
	s.reaches[protocol] = append(before, Reach{Method: method, Target: target})
	i := len(before)
	p.block = func(line string) error {
		r := &s.reaches[protocol][i]
		switch name, value, _ := strings.Cut(line, ": "); {
		case strings.HasPrefix(line, "- "):
			r.Lacks = append(r.Lacks, line[2:])
		case strings.HasPrefix(line, "+ "):
			r.Has = append(r.Has, line[2:])
		case name == "body":
			r.Body = value
		case line == "any body":
			r.AnyBody = true
		case line == "broken":
			r.Broken, r.AnyBody = true, true
		default:
			return fmt.Errorf("%q says nothing of a request", line)
		}
		return nil
	}
	return nil
}

// end checks that the case is whole.
func (p *parser) end() error {
	a := p.a
	if a == nil {
		return nil
	}
	if a.Name == "" || a.Class == "" || a.Source == "" || len(a.Steps) == 0 {
		return errors.New("a case has a name, a class, a source and what is sent")
	}
	if slices.ContainsFunc(p.all, func(o *Case) bool { return o.Name == a.Name }) {
		return fmt.Errorf("another case is named %q", a.Name)
	}
	can := Protocols
	for _, s := range a.Steps {
		if s.Kind == "do" {
			continue
		}
		can = slices.DeleteFunc(slices.Clone(can), func(o string) bool { return !slices.Contains(protocolsOf[s.Kind], o) })
		if len(s.Lines) == 0 && s.Kind != "request" {
			return fmt.Errorf("line %d: nothing is sent", s.Line)
		}
	}
	if a.On == nil {
		a.On = can
	}
	for _, protocol := range a.On {
		if !slices.Contains(can, protocol) {
			return fmt.Errorf("what is sent can't be sent over %s", protocol)
		}
		for _, s := range a.Steps {
			if s.Kind == "do" {
				continue
			}
			if _, _, ok := s.Expected(protocol); !ok {
				return fmt.Errorf("line %d: neither its answer nor what reaches the upstream may be left out", s.Line)
			}
		}
	}
	p.all = append(p.all, a)
	return nil
}
