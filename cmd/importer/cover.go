package importer

import (
	"errors"
	"net/url"
	"strings"
	"unicode"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// expansion is the set of texts that a variable of a path template stands for.
type expansion int

const (
	oneSegment         expansion = iota // text without a slash
	oneOrMore                           // one or more segments
	anyNumber                           // any number of segments
	severalParts                        // the segments of its template
	constrainedSegment                  // some texts without a slash
	notInPath                           // a query, a fragment, or parameters after a ;
	unknown                             // anything
)

// expansionOf reads the text between braces. It knows the notations of
// OpenAPI, google.api.http, RFC 6570, AWS, ASP.NET, hapi, Go, Starlette and
// JAX-RS. name is the name of the variable.
func expansionOf(inside string) (name string, e expansion) {
	if name, template, ok := strings.Cut(inside, "="); ok {
		if strings.Contains(template, "*") && plainName(name) {
			return name, severalParts
		}
		return name, unknown
	}
	if plainName(inside) {
		return inside, oneSegment
	}
	if name, constraint, ok := strings.Cut(inside, ":"); ok {
		switch strings.TrimSpace(constraint) {
		case "path", ".*":
			return name, anyNumber
		case ".+":
			return name, oneOrMore
		}
		if constraint != "" && !strings.ContainsAny(constraint, "./^") {
			return name, constrainedSegment
		}
		return name, unknown
	}
	if name, ok := strings.CutSuffix(inside, "+"); ok && plainName(name) {
		return name, oneOrMore
	}
	name = strings.TrimLeft(strings.TrimSuffix(strings.TrimRight(inside, "*"), "..."), "+*")
	switch {
	case inside == "":
		return "", unknown
	case strings.IndexByte("?&#;", inside[0]) >= 0:
		return "", notInPath
	case plainName(name):
		return name, anyNumber
	}
	return "", unknown
}

// plainName reports whether a variable of this name stands for one segment.
func plainName(name string) bool {
	return name != "" && name[0] != '.' && !strings.Contains(name, "..") && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.$@~ ", r)
	})
}

// braces returns the length of the text up to the brace that closes the first
// one, or -1.
func braces(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// splitTemplate cuts a template at the slashes outside of braces.
func splitTemplate(template string) ([]string, error) {
	var segments []string
	start := 0
	for i := 0; i < len(template); i++ {
		switch template[i] {
		case '/':
			segments, start = append(segments, template[start:i]), i+1
		case '}':
			return nil, errors.New("it has a } without a {")
		case '{':
			n := braces(template[i:])
			if n <= 2 {
				return nil, errors.New("it has a { without a }, or without a name")
			}
			i += n - 1
		}
	}
	return append(segments, template[start:]), nil
}

var errEscape = errors.New("it has an escape that a pattern can't express")

// decodeLiteral returns a literal in the notation of a pattern.
func decodeLiteral(text string) (string, error) {
	decoded, err := url.PathUnescape(text)
	// A pattern would read these characters as syntax.
	for _, c := range []string{"/", "{", "}", ":"} {
		if err == nil && strings.Count(decoded, c) != strings.Count(text, c) {
			err = errEscape
		}
	}
	if err != nil {
		return "", errEscape
	}
	return decoded, nil
}

// coverOf returns the set of paths that a template may stand for, whatever its
// notation. fields are the variables of each element. star is the meaning of a *
// outside braces: * for one segment, ** for any number.
func coverOf(template, star string) (cover policy.Cover, fields [][]string) {
	c := coverer{star: star}
	c.read(strings.TrimPrefix(template, "/"))
	return c.cleaned()
}

// coverer gathers a cover from a template.
type coverer struct {
	star   string
	cover  policy.Cover
	fields [][]string

	// The current segment: its glob so far, literal text that is not decoded yet,
	// and its variables. It is spread if more segments may follow.
	glob, raw strings.Builder
	names     []string
	spread    bool
}

func (c *coverer) read(text string) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '?', '#':
			c.segment()
			return
		case '/', '\\':
			c.segment()
		case '*':
			c.wildcard()
		case '{':
			n := braces(text[i:])
			if n < 0 {
				c.variable("")
				c.segment()
				return
			}
			c.variable(text[i+1 : i+n-1])
			i += n - 1
		default:
			c.raw.WriteByte(text[i])
		}
	}
	c.segment()
}

// wildcard reads a star outside braces. Two of them spread.
func (c *coverer) wildcard() {
	c.literal()
	if c.star == "**" || strings.HasSuffix(c.glob.String(), "*") {
		c.spread = true
	}
	c.glob.WriteByte('*')
}

func (c *coverer) variable(inside string) {
	c.literal()
	name, e := expansionOf(inside)
	if name != "" {
		c.names = append(c.names, name)
	}
	switch e {
	case oneSegment, constrainedSegment:
		c.glob.WriteByte('*')
	case notInPath:
	case severalParts:
		_, template, _ := strings.Cut(inside, "=")
		if c.glob.Len() == 0 && !c.spread {
			c.template(template)
			return
		}
		fallthrough
	default:
		c.spread = true
		c.glob.WriteByte('*')
	}
}

// template reads the template of a variable. Its last segment stays open.
func (c *coverer) template(template string) {
	names := c.names
	parts := strings.Split(template, "/")
	for i, part := range parts {
		c.names = names
		c.glob.WriteString(part)
		c.spread = c.spread || part == "**"
		if i < len(parts)-1 {
			c.segment()
		}
	}
}

// literal adds the text read outside braces to the glob.
func (c *coverer) literal() {
	text := c.raw.String()
	c.raw.Reset()
	text, _, _ = strings.Cut(text, ";") // some servers remove parameters
	if decoded, err := url.PathUnescape(text); err == nil {
		text = decoded
	}
	if before, _, found := strings.Cut(text, "/"); found {
		text, c.spread = before+"*", true
	}
	c.glob.WriteString(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '*'
		}
		return r
	}, text))
}

// segment ends a segment. A spread segment that may be empty becomes just **.
func (c *coverer) segment() {
	c.literal()
	glob := c.glob.String()
	c.glob.Reset()
	if c.spread {
		// The text after the first * may be in a later segment.
		glob, _, _ = strings.Cut(glob, "*")
		if glob != "" {
			glob += "*"
		}
	}
	if !c.spread || glob != "" {
		c.cover, c.fields = append(c.cover, glob), append(c.fields, c.names)
	}
	if c.spread {
		c.cover, c.fields = append(c.cover, "**"), append(c.fields, c.names)
	}
	c.names, c.spread = nil, false
}

// Limits of a cover; beyond them it stands for any path. With more than two **
// comparing would be slow.
const (
	maxCover  = 40
	maxSpread = 2
)

// cleaned resolves empty segments, . and .. as clients do before they send a
// request, and keeps the cover within its bounds.
func (c *coverer) cleaned() (cover policy.Cover, fields [][]string) {
	if n := len(c.cover); n > 0 && (c.cover[n-1] == "." || c.cover[n-1] == "..") {
		c.cover, c.fields = append(c.cover, ""), append(c.fields, nil) // RFC 3986, section 5.2.4
	}
	spreads := 0
	for i, glob := range c.cover {
		last := i == len(c.cover)-1
		n := len(cover)
		switch {
		case glob == ".", glob == "" && !last, glob == "**" && n > 0 && cover[n-1] == "**":
			continue
		case glob == "..":
			if n > 0 && cover[n-1] != "**" {
				cover, fields = cover[:n-1], fields[:n-1]
			}
			continue
		case glob == "**":
			spreads++
		}
		if n == maxCover || spreads == maxSpread && !last {
			return append(cover, "**"), append(fields, c.fields[i])
		}
		cover, fields = append(cover, glob), append(fields, c.fields[i])
	}
	return cover, fields
}
