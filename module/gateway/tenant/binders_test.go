package tenant

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A binder is how a framework reads one name of a query or form: the path of
// the property that it sets, nil for none.
type binder struct {
	name string
	path func(name string) []string
}

var binders = []binder{{"Spring", springPath}, {"PHP", phpPath}, {"Rack", rackPath}, {"qs", qsPath}}

// springPath reads as Spring's data binder (WebDataBinder, BeanWrapper): ! in
// front gives a default and _ a marker of a field, brackets hold a key in
// quotes or bare, and dots part properties.
func springPath(name string) []string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "!"), "_")
	var path []string
	for part := range strings.SplitSeq(name, ".") {
		property, keys, _ := strings.Cut(part, "[")
		path = append(path, strings.TrimSpace(property))
		for key := range strings.SplitSeq(keys, "[") {
			if key = strings.Trim(strings.TrimSpace(strings.TrimSuffix(key, "]")), `'"`); key != "" {
				path = append(path, key)
			}
		}
	}
	return path
}

// phpPath reads as PHP's parse_str: spaces in front go, a NUL ends the name,
// dots and spaces of the first part become underscores, and an open bracket
// that is never closed does too.
func phpPath(name string) []string {
	name, _, _ = strings.Cut(strings.TrimLeft(name, " "), "\x00")
	first, rest, bracketed := strings.Cut(name, "[")
	if bracketed && !strings.Contains(rest, "]") {
		first, rest, bracketed = first+"_"+rest, "", false
	}
	path := []string{strings.NewReplacer(".", "_", " ", "_").Replace(first)}
	for bracketed && strings.Contains(rest, "]") {
		var key string
		key, rest, _ = strings.Cut(rest, "]")
		path = append(path, strings.TrimLeft(key, " "))
		if rest, bracketed = strings.CutPrefix(rest, "["); !bracketed {
			break
		}
	}
	return path
}

// rackPath reads as Rack's nested queries: brackets part names, and those of
// lists are empty.
func rackPath(name string) []string {
	var path []string
	for part := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '[' || c == ']' }) {
		path = append(path, part)
	}
	return path
}

// qsPath reads as Express's qs with dots allowed.
func qsPath(name string) []string {
	return rackPath(strings.NewReplacer(".", "[").Replace(name))
}

// property is a name as frameworks compare it: Spring and ASP.NET convert
// between cases of words, PHP makes marks underscores.
func property(path []string) string {
	var all []string
	for _, part := range path {
		if part == "" || strings.Trim(part, "0123456789") == "" {
			continue // a place in a list
		}
		all = append(all, strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(part)))
	}
	return strings.Join(all, ".")
}

// FuzzBinders reads queries as frameworks do. What any of them binds to a
// watched field, the gate has to have found in that field.
func FuzzBinders(f *testing.F) {
	for _, s := range []string{
		"user_app_id.user_id=bob", "!user_app_id.user_id=bob", "_user_app_id.user_id=bob", "user_app_id['user_id']=bob",
		`user_app_id["user_id"]=bob`, "user_app_id[user_id]=bob", "userAppId.userId=bob", "user_app_id[user_id][]=bob",
		"user.app.id[user.id]=bob", "user%20app%20id[user_id]=bob", "user_app_id[user_id%00]=bob", " user_app_id[user_id]=bob",
		"user-app-id[user-id]=bob", "user_app_id[0][user_id]=bob", "a=1&USER_APP_ID%5BUSER_ID%5D=bob", "user_app_id[user_id=bob",
		"user_app_id[ user_id]=bob", "user_app_id[user_id]x=bob", "user_app_id.app_id=x&user_app_id.user_id=y",
	} {
		f.Add(s)
	}
	names := NewNames(watched)
	wanted := map[string]Part{}
	for _, w := range watched {
		wanted[property(strings.Split(w.Path, "."))] = w.Part
	}
	f.Fuzz(func(t *testing.T, query string) {
		found := map[Part][]string{}
		if err := names.Form(t.Context(), query, func(x Found) {
			part := watched[x.Field].Part
			found[part] = append(found[part], x.Value)
		}); err != nil {
			return // it is refused
		}
		for pair := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			decoded, err1 := url.QueryUnescape(name)
			text, err2 := url.QueryUnescape(value)
			if err1 != nil || err2 != nil || text == "" {
				continue // the gate refuses what can't be decoded
			}
			for _, b := range binders {
				part, watches := wanted[property(b.path(decoded))]
				if watches && !slices.Contains(found[part], text) {
					t.Fatalf("%s binds %q of %q to %v, and the gate found %v", b.name, text, pair, part, found)
				}
			}
		}
	})
}
