package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// httpTemplate turns a path template of google.api.http into a pattern. Variables
// get their names in a table, and wildcards without a name get one. closed
// explains why owner or app can't be checked in it.
func httpTemplate(n *naming, template string) (pattern, closed string, err error) {
	if !strings.HasPrefix(template, "/") {
		return "", "", fmt.Errorf("its path %q must begin with /", plain(template))
	}
	if len(template) > MaxPattern {
		return "", "", errTooLong
	}
	var parts []templatePart
	var verb string
	for rest := template[1:]; ; {
		part, after, err := cutPart(rest)
		if err != nil {
			return "", "", fmt.Errorf("its path %q: %w", plain(template), err)
		}
		parts = append(parts, part)
		if after == "" || after[0] == ':' {
			verb = after
			break
		}
		rest = after[1:]
	}
	pattern, closed = joinParts(n, parts, verb)
	return pattern, closed, nil
}

// templatePart is the part between two slashes: a literal, or a variable with the
// segments it covers.
type templatePart struct {
	literal string
	// field is the variable's name, or "*" or "**" for a wildcard without a name.
	field, covers string
}

// cutPart cuts one part off the front of a template. after is empty, or begins
// with a slash or with the colon of a verb.
func cutPart(text string) (part templatePart, after string, err error) {
	if strings.HasPrefix(text, "{") {
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return part, "", errors.New("a { without a }")
		}
		inside, after := text[1:end], text[end+1:]
		part.field, part.covers, _ = strings.Cut(inside, "=")
		if after != "" && after[0] != '/' && after[0] != ':' {
			return part, "", errors.New("a variable takes a whole segment")
		}
		if part.field == "" || strings.Contains(inside, "{") {
			return part, "", errors.New("a variable without a name, or inside another")
		}
		return part, after, nil
	}
	end := strings.IndexByte(text, '/')
	if end < 0 {
		// A colon in the last segment begins the verb.
		if end = strings.LastIndexByte(text, ':'); end < 0 {
			end = len(text)
		}
	}
	if lit := text[:end]; lit == "*" || lit == "**" {
		part.field, part.covers = lit, lit
	} else {
		part.literal = lit
	}
	return part, text[end:], nil
}

// joinParts writes a pattern. closed explains why owner or app can't be checked in
// it.
func joinParts(n *naming, parts []templatePart, verb string) (pattern, closed string) {
	var fields []string
	for _, part := range parts {
		if part.field != "" {
			fields = append(fields, wildcardName(part.field))
		}
	}
	names := n.variables(fields)
	for i, field := range fields {
		if first := slices.Index(fields, field); first < i && (names[first] == ownerVariable || names[first] == appVariable) {
			closed = "it names the owner or the app twice (" + plain(field) + "), and one of them can't be checked"
		}
	}
	var text strings.Builder
	for _, part := range parts {
		text.WriteByte('/')
		if part.field == "" {
			text.WriteString(part.literal)
			continue
		}
		name, field := names[0], fields[0]
		names, fields = names[1:], fields[1:]
		if single := part.covers == "" || part.covers == "*"; single {
			text.WriteString("{" + name + "}")
			continue
		}
		if name == ownerVariable || name == appVariable {
			closed = "it names the owner or the app in several segments (" + plain(field) + "), which can't be checked"
			name += "_"
		}
		text.WriteString("{" + name + "=" + part.covers + "}")
	}
	return text.String() + verb, closed
}

// wildcardName returns the field name for a wildcard without a name.
func wildcardName(field string) string {
	switch field {
	case "*":
		return "any"
	case "**":
		return "rest"
	}
	return field
}
