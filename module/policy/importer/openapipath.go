package importer

import (
	"errors"
	"strings"
)

// openapiPath makes a pattern of a path template. closed says why owner or app
// can't be checked in it. widened is a segment that is only in part variable:
// the table takes the whole of it for one.
func openapiPath(n *naming, template string) (pattern, closed, widened string, err error) {
	switch {
	case !strings.HasPrefix(template, "/"):
		return "", "", "", errors.New("its path has to begin with /")
	case len(template) > MaxPattern:
		return "", "", "", errTooLong
	}
	segments := strings.Split(template[1:], "/")
	parts := make([]templatePart, len(segments))
	var verb string
	for i, segment := range segments {
		var fields []string
		var rest string
		if fields, rest, err = segmentFields(segment); err != nil {
			return "", "", "", err
		}
		isVerb := i == len(segments)-1 && len(rest) > 1 && strings.HasPrefix(segment, "{") &&
			strings.HasSuffix(segment, "}"+rest) && strings.LastIndexByte(rest, ':') == 0
		switch {
		case len(fields) == 0:
			parts[i].literal = segment
			continue
		case len(fields) == 1 && isVerb:
			verb = rest
		case len(fields) > 1 || rest != "":
			widened = segment
		}
		parts[i].field = strings.Join(fields, "_")
	}
	pattern, closed = joinParts(n, parts, verb)
	return pattern, closed, widened, nil
}

// segmentFields are the variables in a segment, and what stands beside them.
func segmentFields(segment string) (fields []string, rest string, err error) {
	for {
		before, after, found := strings.Cut(segment, "{")
		if strings.Contains(before, "}") {
			return nil, "", errors.New("it has a } without its {")
		}
		rest += before
		if !found {
			return fields, rest, nil
		}
		field, behind, closed := strings.Cut(after, "}")
		if !closed || field == "" || strings.Contains(field, "{") {
			return nil, "", errors.New("it has a { without its }, or without a name")
		}
		fields, segment = append(fields, field), behind
	}
}
