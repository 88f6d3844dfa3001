package corpus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Case is one case: steps that run on one connection.
type Case struct {
	// Place is the case's file and line.
	Place string
	// Name is unique in the corpus.
	Name string
	// Class is the kind of attack, and Source where it is described.
	Class, Source string
	// Site names the configuration that it is sent to.
	Site string
	// On are the protocols that it is sent over.
	On    []string
	Steps []*Step
}

// Step is one thing that a case does.
type Step struct {
	Line int
	// Kind is request, fields, frames, bytes or do.
	Kind string
	// Text is the method and target of a request, or the word of do.
	Text string
	// Lines are the header lines of a request, or what is sent otherwise.
	Lines    []string
	Body     string
	HasBody  bool
	Trailers []string
	// answers and reaches are by protocol; "" is every other one.
	answers map[string]string
	reaches map[string][]Reach
}

// Reach is a request that has to reach the upstream.
type Reach struct {
	Method, Target string
	// Has are header lines, each of which has to be there once; Lacks are names
	// of headers that must not be there.
	Has, Lacks []string
	Body       string
	// AnyBody allows any body, and Broken requires that the request breaks off.
	AnyBody, Broken bool
}

// protocolsOf are the protocols that each kind of step can be sent over.
var protocolsOf = map[string][]string{
	"request": {"h1", "h2", "h2c", "h3"},
	"fields":  {"h2", "h2c", "h3"},
	"frames":  {"h2", "h2c"},
	"bytes":   {"h1"},
}

// Protocols are those that a case may be sent over.
var Protocols = protocolsOf["request"]

// Expected returns the answers that a step has to get over a protocol, and the
// requests that have to reach the upstream. ok reports whether the case gives
// both.
func (s *Step) Expected(protocol string) (answers []string, reached []Reach, ok bool) {
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

// Unescape replaces the escapes of invisible bytes, such as \r and \x80, and the
// names in braces: {key} by its value, and {a*600} by a text 600 times.
func Unescape(text string, values map[string]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
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
		case '{':
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
