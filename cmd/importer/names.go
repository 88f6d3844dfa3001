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

// tableNames finds for each scope of a description the name it has in the
// table: its own where that can be one. Two that would come out alike get a
// checksum of their own names behind it: granting one must not grant the other.
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

// tableName is the nearest name that a scope may have: of the URL of an OAuth
// scope what is behind the scheme, with colons for slashes.
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
	// ownerTold and appTold say that these were named by who imports, so that
	// a field that only happens to be called user_id is none. Otherwise it is
	// taken for what its name says, and checked.
	ownerTold, appTold bool
}

// namesOf are the fields that o names, or else those that are known.
func namesOf(o Shared, owner, app string) naming {
	return naming{
		owner: cmp.Or(o.OwnerField, owner), ownerTold: o.OwnerField != "",
		app: cmp.Or(o.AppField, app), appTold: o.AppField != "",
	}
}

// variables finds the names that the variables of one path have in its
// pattern. The fields that name owner and app come first, so that no other
// takes their names.
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

// variable is the name of a field that is neither owner nor app.
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
	// Caddy gives some names a meaning of its own.
	if _, err := policy.ParsePattern("/{" + name + "}"); reserved || err != nil {
		name += "_"
	}
	return name
}

// describe makes one line of a comment: its first paragraph.
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

// maxLine is how many bytes of a description's own text are taken over.
const maxLine = 200

// plain makes one line of a text that others wrote, of bounded length and
// without anything that can't be seen.
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

// clean makes a text safe to stand in a comment or a description of a
// Caddyfile, where braces may be replaced and a backslash joins lines.
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
