package policy

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestParsePattern(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Pattern
	}{
		{"/", Pattern{Segments: []string{""}}},
		{"/v2/inputs", Pattern{Segments: []string{"v2", "inputs"}}},
		{"/v2/inputs/", Pattern{Segments: []string{"v2", "inputs", ""}}},
		{"/a b/ü/x,y+z=1@~", Pattern{Segments: []string{"a b", "ü", "x,y+z=1@~"}}},
		{"/a:b/c", Pattern{Segments: []string{"a:b", "c"}}},
		{"/{id}", Pattern{Segments: []string{"*"}, Variables: []Variable{{"id", 0, 0}}}},
		{"/{_a1}/", Pattern{Segments: []string{"*", ""}, Variables: []Variable{{"_a1", 0, 0}}}},
		{"/{id=*}", Pattern{Segments: []string{"*"}, Variables: []Variable{{"id", 0, 0}}}},
		{"/{id=a}", Pattern{Segments: []string{"a"}, Variables: []Variable{{"id", 0, 0}}}},
		{"/users/{user_id}/apps/{app_id}/inputs", Pattern{
			Segments:  []string{"users", "*", "apps", "*", "inputs"},
			Variables: []Variable{{"user_id", 1, 1}, {"app_id", 3, 3}}}},
		{"/public/{r=**}", Pattern{Segments: []string{"public", "**"}, Variables: []Variable{{"r", 1, -1}}}},
		{"/{r=**}", Pattern{Segments: []string{"**"}, Variables: []Variable{{"r", 0, -1}}}},
		{"/v1/{name=projects/*/locations/*}/keys", Pattern{
			Segments:  []string{"v1", "projects", "*", "locations", "*", "keys"},
			Variables: []Variable{{"name", 1, 4}}}},
		{"/v1/{name=files/**}:move", Pattern{
			Segments:  []string{"v1", "files", "**"},
			Verb:      "move",
			Variables: []Variable{{"name", 1, -1}}}},
		{"/inputs:search", Pattern{Segments: []string{"inputs"}, Verb: "search"}},
		{"/inputs/{id}:search.v2", Pattern{
			Segments: []string{"inputs", "*"}, Verb: "search.v2", Variables: []Variable{{"id", 1, 1}}}},
		{"/" + strings.Repeat("a/", 31) + "a", Pattern{Segments: strings.Fields(strings.Repeat("a ", 32))}},
		// Names that only resemble those that Caddy replaces.
		{"/{paths}/{path_}/{Host}", Pattern{
			Segments:  []string{"*", "*", "*"},
			Variables: []Variable{{"paths", 0, 0}, {"path_", 1, 1}, {"Host", 2, 2}}}},
	} {
		t.Run(tc.text, func(t *testing.T) {
			got, err := ParsePattern(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// malformed are patterns and a part of what is said about each.
var malformed = []struct{ text, want string }{
	{"", "begin with /"},
	{"v2", "begin with /"},
	{"{id}", "begin with /"},
	{"//", "empty segment"},
	{"/a//b", "empty segment"},
	{"/{a}//b", "empty segment"},
	{"/{id", "{ without a }"},
	{"/id}", "whole segment"},
	{"/a{id}", "whole segment"},
	{"/{a}b", "whole segment"},
	{"/{a}{b}", "whole segment"},
	{"/{a}:b/c", "whole segment"},
	{"/{a{b}}", `"a{b"`},
	{"/{}", "without a name"},
	{"/{=**}", "without a name"},
	{"/{1a}", `"1a"`},
	{"/{user.id}", `"user.id"`},
	{"/{a b}", `"a b"`},
	{"/{a}/{a}", "occurs twice"},
	{"/{a}/{a=**}", "occurs twice"},
	{"/{r=**}/b", "nothing may follow"},
	{"/{r=**}/", "nothing may follow"},
	{"/{r=**/b}", "nothing may follow"},
	{"/{a=}", "empty segment"},
	{"/{a=b//c}", "empty segment"},
	{"/{a=/b}", "empty segment"},
	{"/{a=b/}", "empty segment"},
	{"/{a=b:c}", "a colon"},
	{"/{a=b*}", "has one of"},
	{"/{a=..}", ". or .."},
	{"/*", "write {name} or {name=*}"},
	{"/a/**", "write {name} or {name=**}"},
	{"/a*b", "has one of"},
	{"/./a", ". or .."},
	{"/a/..", ". or .."},
	{`/a\b`, "has one of"},
	{"/a;b", "has one of"},
	{"/a%20b", "in their decoded form"},
	{"/a?b", "has one of"},
	{"/a#b", "has one of"},
	{"/a\tb", "control character"},
	{"/a\x00", "control character"},
	{"/a\x7f", "control character"},
	{"/a:", "may not be empty"},
	{"/{a}:", "may not be empty"},
	{"/:a", "in front of its colon"},
	{"/a/:a", "in front of its colon"},
	{"/a:b:c", "more than one colon"},
	{"/{a}:b:c", "more than one colon"},
	{"/a:b c", "may only contain letters"},
	{"/{a}:b{c}", "may only contain letters"},
	{"/" + strings.Repeat("a/", 32) + "a", "more than 32 segments"},
	{"/{a=" + strings.Repeat("*/", 32) + "*}", "more than 32 segments"},
	// Caddy's form of a bare name is refused like the name.
	{"/{path}", "rename the variable"},
	{"/{host}/a", "rename the variable"},
	{"/{query=**}", "rename the variable"},
	{"/{method}", "rename the variable"},
	{"/{file}", "rename the variable"},
	{"/{dir}", "rename the variable"},
	{"/{tls_client_subject}", "rename the variable"},
	{"/{http.request.uri.path}", "rename the variable"},
}

func TestParsePatternMalformed(t *testing.T) {
	for _, tc := range malformed {
		t.Run(tc.text, func(t *testing.T) {
			got, err := ParsePattern(tc.text)
			if err == nil {
				t.Fatalf("read as %+v", got)
			}
			if !strings.HasPrefix(err.Error(), "pattern ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want the pattern and %q", err, tc.want)
			}
		})
	}
}

// written is the text of a pattern, put together from its parts.
func written(p Pattern) string {
	var text strings.Builder
	for i := 0; i < len(p.Segments); i++ {
		text.WriteByte('/')
		seg := p.Segments[i]
		for _, v := range p.Variables {
			if v.First != i {
				continue
			}
			end := v.Last + 1
			if v.Last < 0 {
				end = len(p.Segments)
			}
			seg = "{" + v.Name + "=" + strings.Join(p.Segments[i:end], "/") + "}"
			i = end - 1
		}
		text.WriteString(seg)
	}
	if p.Verb != "" {
		text.WriteString(":" + p.Verb)
	}
	return text.String()
}

// described is a path that a pattern is to match.
func described(p Pattern) string {
	var path strings.Builder
	for _, seg := range p.Segments {
		path.WriteByte('/')
		switch seg {
		case "*":
			seg = "x"
		case anyRest:
			seg = "x/y"
		}
		path.WriteString(url.PathEscape(seg))
	}
	if p.Verb != "" {
		path.WriteString(":" + p.Verb)
	}
	return path.String()
}

func FuzzParsePattern(f *testing.F) {
	for _, tc := range malformed {
		f.Add(tc.text)
	}
	for _, text := range []string{
		"/", "/v2/inputs/", "/{id}", "/public/{r=**}", "/v1/{name=projects/*/locations/*}/keys",
		"/v1/{name=files/**}:move", "/a:b/c", "/inputs/{id}:search", "/a b/ü",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		again, err := ParsePattern(written(p))
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q is %+v, which written as %q is %+v, %v", text, p, written(p), again, err)
		}
		// It matches what it describes, and nothing that is shorter.
		table, err := NewTable([]Route{{Method: "GET", Pattern: text}}, "user_id", "app_id")
		if err != nil {
			t.Fatalf("%q is a pattern, but of no route: %v", text, err)
		}
		path := described(p)
		if table.Find("GET", false, path) == nil {
			t.Errorf("%q doesn't match %q", text, path)
		}
		for _, other := range []string{path, path + "/", path + ":x", path[:len(path)-1], "/x" + path} {
			compare(t, table, "GET", false, other)
		}
		for i, seg := range p.Segments {
			if seg == anyRest && i != len(p.Segments)-1 {
				t.Errorf("%q: ** is not last in %q", text, p.Segments)
			}
			if seg == "" && (i != len(p.Segments)-1 || p.Verb != "") {
				t.Errorf("%q: an empty segment in %q", text, p.Segments)
			}
		}
	})
}
