package policy

import (
	"strings"
	"testing"
)

func TestCoverMeets(t *testing.T) {
	for _, test := range []struct {
		cover, pattern string
		colon, want    bool
	}{
		{"/items", "/items", false, true},
		{"/items", "/{page}", false, true},
		{"/items", "/items/", false, false},
		{"/items", "/other", false, false},
		{"/items", "/{all=**}", false, true},
		{"/status.*", "/{x}", false, true},
		{"/status.*", "/status.json", false, true},
		{"/status.*", "/users", false, false},
		{"/status.*", "/{x}:run", false, true},
		{"/status.*", "/x/{y}", false, false},
		{"/*-*", "/a-b", false, true},
		{"/*-*", "/ab", false, false},
		{"/*:*", "/{x}", false, false},
		{"/*:*", "/{x}", true, true},
		{"/*:*", "/{x}:run", false, true},
		{"/*:*", "/things:run", false, true},
		{"/*:a:b", "/{x}:b", false, true},
		{"/*:a:b", "/{x}:c", false, false},
		{"/a:b", "/{x}:b", false, true},
		{":b", "/{x}:b", false, false},
		{"/*:a", "/{all=**}", false, false},
		{"/*:a", "/{all=**}", true, true},
		{"/docs/**/secrets", "/docs/{x}/secrets", false, true},
		{"/docs/**/secrets", "/docs/secrets", false, true},
		{"/docs/**/secrets", "/docs/{x}", false, true},
		{"/docs/**/secrets", "/docs/{x}/other", false, false},
		{"/docs/**/secrets", "/docs/{x=**}", false, true},
		{"/docs/**", "/docs", false, true},
		{"/docs/**", "/doc", false, false},
		{"/**/x/**", "/a/{b}/c", false, true},
		{"/**/x/**", "/a/b/c", false, false},
		{"/a/", "/a/", false, true},
		{"/a/", "/a/{x}", false, false},
		{"/", "/", false, true},
		{"/", "/{x=**}", false, true},
	} {
		p, err := ParsePattern(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		cover := Cover(strings.Split(strings.TrimPrefix(test.cover, "/"), "/"))
		if got := cover.Meets(p, test.colon); got != test.want {
			t.Errorf("%s and %s (colon %t): %t, want %t", test.cover, test.pattern, test.colon, got, test.want)
		}
	}
}

func TestCoverPattern(t *testing.T) {
	long := strings.Repeat("/x", 50)
	for _, test := range []struct {
		cover, want string
		exact       bool
	}{
		{"/items", "/items", true},
		{"/items/*/x", "/items/{b}/x", true},
		{"/a*/x", "/{a}/x", false},
		{"/*:run", "/{a}:run", true},
		{"/things:run", "/things:run", true},
		{"/*:*", "/{a}", false},
		{"/a;b", "/{a}", false},
		{"/{x}", "/{a}", false},
		{"/a/**", "/a/{b=**}", true},
		{"/a/**/b", "/a/{b=**}", false},
		{"/a/", "/a/", true},
		{long, strings.Repeat("/x", 31) + "/{rest_of_path=**}", false},
		{"/" + strings.Repeat("x", 400), "/{a}", false},
	} {
		cover := Cover(strings.Split(strings.TrimPrefix(test.cover, "/"), "/"))
		names := make([]string, len(cover))
		for i := range names {
			names[i] = string(rune('a' + i%26))
		}
		got, exact := cover.Pattern(names)
		if got != test.want || exact != test.exact {
			t.Errorf("%s: %s (exact %t), want %s (exact %t)", test.cover, got, exact, test.want, test.exact)
		}
		if _, err := ParsePattern(got); err != nil {
			t.Error(err)
		}
	}
}

// Of two patterns that match one path the table takes the one that is before
// the other.
func TestPatternBefore(t *testing.T) {
	for _, test := range []struct{ first, second, path string }{
		{"/a/b", "/a/{x}", "/a/b"},
		{"/a/{x}", "/{y}/b", "/a/b"},
		{"/{x}:run", "/{y}", "/a:run"},
		{"/a/{x}", "/a/{y=**}", "/a/b"},
		{"/a", "/a/{y=**}", "/a"},
		{"/a/{y=**}:run", "/a/{x=**}", "/a/b:run"},
		{"/{x}", "/{y=**}:run", "/a:run"},
		{"/a/{x=**}", "/{y}/{z=**}", "/a/b/c"},
	} {
		table, err := NewTable([]Route{
			{Method: "GET", Pattern: test.second, Allow: []string{"colon"}},
			{Method: "GET", Pattern: test.first, Allow: []string{"colon"}},
		}, "user_id", "app_id")
		if err != nil {
			t.Fatal(err)
		}
		found := table.Find("GET", false, test.path)
		if found == nil || found.Pattern != test.first {
			t.Errorf("%s: found %v, want %s", test.path, found, test.first)
			continue
		}
		other := table.Rules()[0]
		if !found.pattern.Before(other.pattern) || other.pattern.Before(found.pattern) {
			t.Errorf("%s is not before %s alone", test.first, test.second)
		}
	}
}
