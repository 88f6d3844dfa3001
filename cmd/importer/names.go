package importer

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// tableNames maps each scope of a description to its name in the table, which is
// its own name if that is valid. If two scopes would get the same name, each gets
// a checksum of its own name at the end, because granting one must not grant the
// other.
func tableNames(scopes map[string]*policy.Scope) map[string]string {
	claims := map[string]int{}
	for name := range scopes {
		claims[tableName(name)]++
	}
	names := make(map[string]string, len(scopes))
	taken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(scopes)) {
		short := tableName(name)
		for n := uint32(0); short != name && (claims[short] > 1 || taken[short]); n++ {
			short = fmt.Sprintf("%.119s-%08x", tableName(name), crc32.ChecksumIEEE([]byte(name))+n)
		}
		names[name], taken[short] = short, true
	}
	return names
}

// tableName returns the nearest valid name of a scope. For an OAuth scope that is
// a URL, this is the part after the scheme, with colons for slashes.
func tableName(name string) string {
	if policy.CheckScopeName(name) == nil {
		return name
	}
	_, rest, isURL := strings.Cut(name, "://")
	if !isURL {
		rest = name
	}
	short := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r == '/':
			return ':'
		case r < utf8.RuneSelf && policy.CheckScopeName("a"+string(r)+"a") == nil:
			return r
		}
		return '_'
	}, rest), "_-.:")
	if len(short) > 128 {
		short = strings.Trim(short[:128], "_-.:")
	}
	if short == "" {
		return "scope"
	}
	return short
}

// naming knows which fields in paths name the owner and the app.
type naming struct {
	owner, app string
	// ownerTold and appTold are true if the options name these fields. Then a
	// field that happens to be called user_id is not the owner. Otherwise it is
	// taken for the owner, and checked.
	ownerTold, appTold bool
}

// namesOf returns the fields that o names, or else the defaults.
func namesOf(o Shared, owner, app string) naming {
	return naming{
		owner: cmp.Or(o.OwnerField, owner), ownerTold: o.OwnerField != "",
		app: cmp.Or(o.AppField, app), appTold: o.AppField != "",
	}
}

// variables maps the variables of one path to their names in its pattern. It
// names owner and app first, so that no other variable takes their names.
func (n *naming) variables(fields []string) []string {
	names := make([]string, len(fields))
	used := map[string]bool{}
	assign := func(i int, name string) {
		for i, base := 2, name; used[name]; i++ {
			name = fmt.Sprintf("%s_%d", base, i)
		}
		used[name] = true
		names[i] = name
	}
	for i, field := range fields {
		switch field {
		case n.owner:
			assign(i, ownerVariable)
		case n.app:
			assign(i, appVariable)
		}
	}
	for i, field := range fields {
		if names[i] == "" {
			assign(i, n.variable(field))
		}
	}
	return names
}

// variable returns the name of a field that is neither owner nor app.
func (n *naming) variable(field string) string {
	name := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, field)
	if name == "" || unicode.IsDigit(rune(name[0])) {
		name = "_" + name
	}
	reserved := name == ownerVariable && n.ownerTold || name == appVariable && n.appTold
	// Caddy reserves some names.
	if _, err := policy.ParsePattern("/{" + name + "}"); reserved || err != nil {
		name += "_"
	}
	return name
}

// describe returns the first paragraph of a comment as one line.
func describe(comment string) string {
	var first []string
	for line := range strings.Lines(strings.TrimSpace(comment)) {
		if strings.TrimSpace(line) == "" {
			break
		}
		first = append(first, line)
	}
	return strings.TrimSuffix(clean(strings.Join(first, "")), ".")
}

// maxLine is the length, in bytes, to which texts of a description are cut.
const maxLine = 200

// plain turns an untrusted text into one line of bounded length without invisible
// characters.
func plain(text string) string {
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine-3], "") + "…"
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// clean makes a text safe for a comment or a description in a Caddyfile, where
// braces may be replaced and a backslash joins lines.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '{':
			return '('
		case '}':
			return ')'
		case '\\', '`':
			return '\''
		}
		return r
	}, plain(text))
}
