package migrate

import (
	"strconv"
	"strings"
	"time"
)

// describe joins the origin of a key with more text of the file.
func describe(where, more string) string {
	if more == "" {
		return where
	}
	return where + "; " + more
}

// several splits a text at spaces and semicolons. A hyphen alone is an empty
// list; an empty text is nil.
func several(text string) []string {
	switch text {
	case "":
		return nil
	case "-":
		return []string{}
	}
	return strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ';' })
}

// expiry reads a time of RFC 3339, or a date.
func expiry(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// truth reads true or false in the usual spellings.
func truth(text string) (is, ok bool) {
	switch strings.ToLower(text) {
	case "", "false", "no", "0":
		return false, true
	case "true", "yes", "1":
		return true, true
	}
	return false, false
}

// count reads a number of at least 1. An empty text is 0.
func count(text string) (int, bool) {
	if text == "" {
		return 0, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}

// valuesOf groups values such as model=llama-3* by resource. It returns nil if there
// are no values.
func valuesOf(list []string) (map[string][]string, bool) {
	var values map[string][]string
	for _, text := range list {
		name, value, _ := strings.Cut(text, "=")
		if name == "" || value == "" {
			return nil, false
		}
		if values == nil {
			values = map[string][]string{}
		}
		values[name] = append(values[name], value)
	}
	return values, true
}
