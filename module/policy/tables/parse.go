package tables

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Token is a word of a table, as a lexer finds it. Quotes are taken off its
// text; that it had some is kept, because a quoted brace opens no block.
type Token struct {
	Text, File string
	Line       int
	Quoted     bool
	// NewLine is true if the token begins a line where File and Line don't show
	// it: Caddy's import brings lines from further up in the same file.
	NewLine bool
}

func (t Token) opens() bool  { return t.Text == "{" && !t.Quoted }
func (t Token) closes() bool { return t.Text == "}" && !t.Quoted }

// continues reports whether t stands on the line on which prev ends: prev may
// be a quoted text of several lines.
func (t Token) continues(prev Token) bool {
	return !t.NewLine && t.File == prev.File && t.Line <= prev.Line+strings.Count(prev.Text, "\n")
}

// place is where the token stands, as errors and routes name it.
func (t Token) place() string {
	if t.File == "" {
		return fmt.Sprintf("line %d", t.Line)
	}
	return fmt.Sprintf("%s:%d", t.File, t.Line)
}

func (t Token) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", t.place(), fmt.Errorf(format, args...))
}

// ParseScope reads a scope directive: its first token is the word scope, its
// last the closing brace where it has a block. This is what the NextSegment
// method of Caddy's Dispenser yields.
func ParseScope(tokens []Token) (policy.Scope, error) {
	d, err := takeApart(tokens)
	if err != nil {
		return policy.Scope{}, err
	}
	if len(d.args) < 1 || len(d.args) > 2 {
		return policy.Scope{}, d.name.errorf(`a scope has a name and at most one description, in quotes: write scope Inputs:Get "Read inputs"`)
	}
	s := policy.Scope{Name: d.args[0], Place: d.name.place()}
	if len(d.args) == 2 {
		s.Description = d.args[1]
	}
	return s, d.options(func(option string, words []string) error {
		switch option {
		case "needs":
			s.Needs = words
			return some(words, "the scopes that a key must have in addition to this one")
		case "hidden":
			s.Hidden = true
			return none(words)
		default:
			return errors.New("unknown option of a scope: use needs or hidden")
		}
	})
}

// ParseRoute reads a route directive, in the form that [ParseScope] takes.
func ParseRoute(tokens []Token) (policy.Route, error) {
	d, err := takeApart(tokens)
	if err != nil {
		return policy.Route{}, err
	}
	if len(d.args) < 2 {
		return policy.Route{}, d.name.errorf("a route has a method and a pattern: write route GET /v2/inputs Inputs:Get")
	}
	r := policy.Route{Method: d.args[0], Pattern: d.args[1], Place: d.name.place()}
	if len(d.args) > 2 {
		r.Scopes = d.args[2:]
	}
	return r, d.options(func(option string, words []string) error {
		switch option {
		case "endpoint":
			r.Endpoint = words
			return some(words, "names of the form /package.Service/Method")
		case "accept":
			r.Accept = words
			return some(words, "app_key, pat, session, or public or none alone")
		case "allow":
			r.Allow = append(r.Allow, words...)
			if len(words) != 1 {
				return errors.New("it takes one word: colon, encoded_slash or near_literal")
			}
			return nil
		case "cost":
			return parseCost(&r, words)
		default:
			return errors.New("unknown option of a route: use endpoint, accept, allow or cost")
		}
	})
}

// parseCost reads how much a request uses of rates and quotas.
func parseCost(r *policy.Route, words []string) error {
	if len(words) != 1 {
		return errors.New("it takes one number, such as cost 5")
	}
	n, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil || n < 0 || n > policy.MaxCost {
		return fmt.Errorf("%q is not a number from 0 to %d", words[0], policy.MaxCost)
	}
	r.Cost = &n
	return nil
}

func some(words []string, what string) error {
	if len(words) == 0 {
		return errors.New("nothing follows it: add " + what)
	}
	return nil
}

func none(words []string) error {
	if len(words) > 0 {
		return fmt.Errorf("it stands alone, found %q behind it", strings.Join(words, " "))
	}
	return nil
}

// directive is a directive taken apart: what stands on its line, and the lines
// of its block.
type directive struct {
	name  Token
	args  []string
	lines [][]Token
}

func takeApart(tokens []Token) (directive, error) {
	if len(tokens) == 0 {
		return directive{}, errors.New("a directive without a word")
	}
	d := directive{name: tokens[0]}
	head, block := tokens[1:], []Token(nil)
	if i := slices.IndexFunc(head, Token.opens); i >= 0 {
		head, block = head[:i], head[i:]
	}
	d.args = texts(head)
	if i := slices.IndexFunc(head, Token.closes); i >= 0 {
		return d, head[i].errorf("a } without a {")
	}
	if block == nil {
		return d, nil
	}
	open, end := block[0], block[len(block)-1]
	if !end.closes() {
		return d, open.errorf("a { without a }: close the block with a } on a line of its own")
	}
	prev := open
	for _, t := range block[1 : len(block)-1] {
		switch {
		case t.opens() || t.closes():
			return d, t.errorf("an option has no block of its own: take the %s away", t.Text)
		case !t.continues(prev):
			d.lines = append(d.lines, []Token{t})
		case prev == open:
			return d, t.errorf("%q follows { on its line: begin a new line after {", t.Text)
		default:
			last := len(d.lines) - 1
			d.lines[last] = append(d.lines[last], t)
		}
		prev = t
	}
	return d, nil
}

// options hands out the lines of the block, none of which may be given twice.
// The two that allow something are two options.
func (d directive) options(take func(option string, words []string) error) error {
	var given []string
	for _, line := range d.lines {
		option, words := line[0].Text, texts(line[1:])
		name := option
		if option == "allow" {
			name = strings.Join(texts(line), " ")
		}
		if slices.Contains(given, name) {
			return line[0].errorf("%s is given twice: take one line away, or join the two", name)
		}
		given = append(given, name)
		if err := take(option, words); err != nil {
			return line[0].errorf("%s: %w", option, err)
		}
	}
	return nil
}

func texts(tokens []Token) []string {
	list := make([]string, len(tokens))
	for i, t := range tokens {
		list[i] = t.Text
	}
	return list
}
