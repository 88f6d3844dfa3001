package importer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	variables = regexp.MustCompile(`\{[^{}]*\}`)
	// optionalQuery is RFC 6570's notation of a query at the end of a template.
	// Every request may leave the query out.
	optionalQuery = regexp.MustCompile(`(\{[?&][^{}]*\})+$`)
)

// openapiPath turns a path template into a pattern. closed explains why owner or
// app can't be checked in it. The error explains why no pattern matches exactly
// the paths of the template.
func openapiPath(n *naming, template string) (pattern, closed string, err error) {
	switch {
	case !strings.HasPrefix(template, "/"):
		return "", "", errors.New("its path must begin with /")
	case len(template) > MaxPattern:
		return "", "", errTooLong
	}
	literal := template
	if strings.Contains(template, "{") {
		template = optionalQuery.ReplaceAllString(template, "")
		literal = variables.ReplaceAllString(template, "")
	}
	if strings.ContainsAny(literal, "?#") {
		return "", "", errors.New("its path has a query or a fragment")
	}
	segments, err := splitTemplate(template[1:])
	if err != nil {
		return "", "", err
	}
	parts := make([]templatePart, len(segments))
	verb := ""
	for i, segment := range segments {
		if !strings.Contains(segment, "{") {
			if parts[i].literal, err = decodeLiteral(segment); err != nil {
				return "", "", err
			}
			continue
		}
		end := braces(segment)
		if i == len(segments)-1 && strings.HasPrefix(segment, "{") && strings.HasPrefix(segment[end:], ":") {
			segment, verb = segment[:end], segment[end:]
		}
		if parts[i], err = openapiVariable(segment); err != nil {
			return "", "", err
		}
	}
	if strings.ContainsAny(verb, "{}") {
		return "", "", fmt.Errorf("its verb %q is variable", plain(verb))
	}
	pattern, closed = joinParts(n, parts, verb)
	return pattern, closed, nil
}

// openapiVariable reads a segment that has a brace.
func openapiVariable(segment string) (part templatePart, err error) {
	if segment[0] != '{' || braces(segment) != len(segment) {
		return part, fmt.Errorf("its segment %q is variable only in part", plain(segment))
	}
	inside := segment[1 : len(segment)-1]
	name, e := expansionOf(inside)
	part.field = name
	switch e {
	case oneSegment:
	case oneOrMore:
		part.covers = "*/**"
	case anyNumber:
		part.covers = "**"
	case severalParts:
		_, part.covers, _ = strings.Cut(inside, "=")
	default:
		return part, fmt.Errorf("its segment %q is in a notation that a pattern can't express", plain(segment))
	}
	return part, nil
}
