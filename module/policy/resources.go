package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Resource declares where requests name a resource, such as a model, so that
// keys can be limited to some values of it.
type Resource struct {
	// Name is the name of the resource in keys, such as model: 1 to 48 lower-case
	// letters, digits, - and _.
	Name string `json:"name"`
	// Path are variables of routes.
	Path []string `json:"path,omitempty"`
	// Body are fields of JSON bodies, such as model or options.model.
	Body []string `json:"body,omitempty"`
	// Query are fields of the query.
	Query []string `json:"query,omitempty"`
	// Place is where the resource is declared, for errors.
	Place string `json:"-"`
}

// CheckResourceName returns an error if no resource can have the name.
func CheckResourceName(name string) error {
	const most = 48
	if name == "" || len(name) > most || strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z')
	}) {
		return fmt.Errorf("%q is not the name of a resource: use 1 to %d lower-case letters, digits, - and _", name, most)
	}
	return nil
}

// Values limits a key to some values of resources. It has the name of each resource,
// with patterns of the values that the key may address. In a pattern, * stands for
// any text. A resource without an entry is not limited. An empty list permits no
// value. Nil limits nothing.
type Values map[string][]string

// The most that the values of one key may have.
const (
	maxResources = 16
	maxPatterns  = 100
	maxPattern   = 256 // bytes
)

// Check returns an error if a key can't have the values.
func (v Values) Check() error {
	if len(v) > maxResources {
		return fmt.Errorf("%d resources, more than %d", len(v), maxResources)
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if err := CheckResourceName(name); err != nil {
			return err
		}
		if len(v[name]) > maxPatterns {
			return fmt.Errorf("%s: %d values, more than %d", name, len(v[name]), maxPatterns)
		}
		for _, pattern := range v[name] {
			if err := checkValue(pattern); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func checkValue(pattern string) error {
	switch {
	case pattern == "" || len(pattern) > maxPattern:
		return fmt.Errorf("the value %q has %d bytes: give 1 to %d", pattern, len(pattern), maxPattern)
	case !utf8.ValidString(pattern) || strings.ContainsFunc(pattern, unicode.IsControl):
		return fmt.Errorf("the value %q has a control character, or isn't UTF-8", pattern)
	case strings.Count(pattern, "*") > 4:
		return fmt.Errorf("the value %q has more than 4 *", pattern)
	}
	return nil
}

// Permit reports whether the key may address a value of a resource. If a server may
// take a value for another one, only a pattern without * permits that value: see
// [isPlainValue].
func (v Values) Permit(resource, value string) bool {
	patterns, limited := v[resource]
	return !limited || permits(patterns, value)
}

func permits(patterns []string, value string) bool {
	plain := isPlainValue(value)
	return slices.ContainsFunc(patterns, func(p string) bool {
		if !strings.Contains(p, "*") {
			return p == value
		}
		return plain && matchGlob(p, value)
	})
}

// isPlainValue reports whether every server reads a value alike, including servers
// that replace compatibility characters (NFKC). Such a value has no escape, control
// character, invisible character, backslash, comma or surrounding space, and no
// segment that is empty or consists of dots, spaces and marks. Otherwise
// llama-3/../other would match llama-3*, and so would llama-3,other, which some
// servers split (OpenAPI 3, style form).
func isPlainValue(value string) bool {
	return isPlainText(value) && isPlainText(norm.NFKC.String(value))
}

func isPlainText(value string) bool {
	if value == "" || !utf8.ValidString(value) || strings.TrimSpace(value) != value ||
		strings.ContainsAny(value, "\\%,;?#") || strings.ContainsFunc(value, isInvisible) {
		return false
	}
	for segment := range strings.SplitSeq(value, "/") {
		if strings.TrimFunc(segment, func(c rune) bool { return c == '.' || unicode.IsSpace(c) || unicode.IsMark(c) }) == "" {
			return false
		}
	}
	return true
}

// isInvisible reports whether a character is a control or format character, or one
// that displays and comparisons may ignore (UAX #44, Default_Ignorable_Code_Point).
func isInvisible(c rune) bool {
	return !unicode.IsGraphic(c) || unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Within reports whether the values permit nothing that others don't. A pattern is
// within another one that matches the pattern's text, in which * is an ordinary
// character.
func (v Values) Within(o Values) bool {
	for name, patterns := range o {
		mine, limited := v[name]
		if !limited {
			return false
		}
		if slices.ContainsFunc(mine, func(p string) bool { return !covered(p, patterns) }) {
			return false
		}
	}
	return true
}

func covered(pattern string, by []string) bool {
	if !strings.Contains(pattern, "*") {
		return permits(by, pattern)
	}
	return slices.ContainsFunc(by, func(p string) bool { return matchGlob(p, pattern) })
}

// And returns the values that both permit. If neither of two patterns is within the
// other, the result has neither, although some values may match both.
func (v Values) And(o Values) Values {
	if v == nil {
		return o
	}
	if o == nil {
		return v
	}
	both := Values{}
	maps.Copy(both, v)
	for name, patterns := range o {
		mine, limited := both[name]
		if !limited {
			both[name] = patterns
			continue
		}
		list := []string{}
		for _, p := range mine {
			if covered(p, patterns) {
				list = append(list, p)
			}
		}
		for _, p := range patterns {
			if covered(p, mine) {
				list = append(list, p)
			}
		}
		slices.Sort(list)
		both[name] = slices.Compact(list)
	}
	return both
}

// Normal returns the values with each list sorted and without duplicates. The result
// is nil if the values limit nothing.
func (v Values) Normal() Values {
	if len(v) == 0 {
		return nil
	}
	normal := make(Values, len(v))
	for name, list := range v {
		if normal[name] = sortedSet(list); normal[name] == nil {
			normal[name] = []string{}
		}
	}
	return normal
}

// Clone returns values that share no list with these.
func (v Values) Clone() Values {
	c := maps.Clone(v)
	for name := range c {
		c[name] = slices.Clone(c[name])
	}
	return c
}

// Equal reports whether both limit the same resources to the same lists.
func (v Values) Equal(o Values) bool { return maps.EqualFunc(v, o, slices.Equal[[]string]) }
