package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// Sources are the places where a gateway's clients send their keys.
type Sources struct {
	// Header and Query are the names of headers and of query fields, sorted.
	Header, Query []string
	// Notes describe places that the site can't read, with the remedy.
	Notes []string
	found bool
}

// Lines returns the credential directives that let clients send their keys as
// before.
func (s *Sources) Lines() []string {
	var lines []string
	for _, name := range s.Header {
		lines = append(lines, "credential header "+name)
	}
	for _, name := range s.Query {
		lines = append(lines, "credential query "+name)
	}
	return lines
}

func (s *Sources) header(name string) { s.Header = insert(s.Header, name, strings.EqualFold) }
func (s *Sources) query(name string) {
	s.Query = insert(s.Query, name, func(a, b string) bool { return a == b })
}

func (s *Sources) note(format string, args ...any) {
	s.Notes = insert(s.Notes, fmt.Sprintf(format, args...), func(a, b string) bool { return a == b })
}

// maxSources limits how many texts of a file are kept.
const maxSources = 100

func insert(list []string, text string, same func(a, b string) bool) []string {
	if len(list) >= maxSources || slices.ContainsFunc(list, func(have string) bool { return same(have, text) }) {
		return list
	}
	list = append(list, text)
	slices.Sort(list)
	return list
}

// addDefaults adds a gateway's defaults if its dump has no configuration.
func (s *Sources) addDefaults(format string) {
	switch format {
	case AWS:
		s.header("x-api-key")
	case Kong:
		if !s.found {
			s.kong(map[string]any{})
			s.note("the dump has no plugin key-auth: these are Kong's defaults")
		}
	case APISIX:
		if !s.found {
			s.apisix(map[string]any{})
			s.note("the dump has no route with the plugin key-auth: these are APISIX's defaults")
		}
	case Tyk:
		if !s.found {
			s.tyk(map[string]any{})
			s.note("the dump has no API definition: this is Tyk's default; if auth_header_name is set, write that name instead, and if use_param is set, add credential query with its param_name")
		}
	}
}

// config adds the configuration of an authentication plugin: an object of the
// dump, with the name of its field and its relevant fields.
func (s *Sources) config(format, name string, fields map[string]any) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, ok := fields[name]; return ok })
	}
	switch {
	case format == Kong && (has("key_names", "key_in_header", "key_in_query", "key_in_body") ||
		(fields["name"] == "key-auth" || fields["name"] == "key-auth-enc") && !has("config")):
		s.kong(fields)
	case format == APISIX && name == "key-auth" && !has("key"):
		s.apisix(fields)
	case format == Tyk && has("auth_header_name", "use_param", "use_cookie", "param_name", "cookie_name"):
		s.tyk(fields)
	}
}

// configFields are the fields that config looks at.
var configFields = func() map[string]bool {
	fields := map[string]bool{}
	for name := range strings.FieldsSeq(`key_names key_in_header key_in_query key_in_body name config header query key
		auth_header_name use_param param_name use_cookie cookie_name disable_header`) {
		fields[name] = true
	}
	return fields
}()

func (s *Sources) kong(fields map[string]any) {
	s.found = true
	names, _ := fields["key_names"].([]string)
	if len(names) == 0 {
		names = []string{"apikey"}
	}
	for _, name := range names {
		s.at("header", name, isTrue(fields["key_in_header"], true))
		s.at("query", name, isTrue(fields["key_in_query"], true))
		s.at("body", name, isTrue(fields["key_in_body"], false))
	}
}

func (s *Sources) apisix(fields map[string]any) {
	s.found = true
	s.at("header", textOr(fields["header"], "apikey"), true)
	s.at("query", textOr(fields["query"], "apikey"), true)
}

func (s *Sources) tyk(fields map[string]any) {
	s.found = true
	header := textOr(fields["auth_header_name"], "Authorization")
	s.at("header", header, !isTrue(fields["disable_header"], false))
	s.at("query", textOr(fields["param_name"], header), isTrue(fields["use_param"], false))
	s.at("cookie", textOr(fields["cookie_name"], header), isTrue(fields["use_cookie"], false))
}

// at adds one place. A note doesn't repeat a name that may be anything.
func (s *Sources) at(where, name string, used bool) {
	if !used {
		return
	}
	plain := len(name) <= 100 && name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
	switch {
	case !plain:
		s.note("the name of a key's place in the %s can't be used here: look it up in the dump", where)
	case where == "header" && strings.EqualFold(name, "Authorization"):
		s.note("clients send the key in Authorization, where \"Bearer KEY\" and \"Key KEY\" are read without a line; a key without a scheme is not read there: have those clients send \"Bearer KEY\", which Tyk accepts too")
	case where == "header":
		s.header(name)
	case where == "query":
		s.query(name)
	default:
		s.note("keys in the %s (%s) are not read here: have those clients send them in a header", where, name)
	}
}

func isTrue(v any, otherwise bool) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		if is, ok := truth(v); ok {
			return is
		}
	}
	return otherwise
}

func textOr(v any, otherwise string) string {
	if text, ok := v.(string); ok && text != "" {
		return text
	}
	return otherwise
}
