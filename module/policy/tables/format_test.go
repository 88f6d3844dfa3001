package tables

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// unordered is what a table says, without places and order.
func unordered(t *Table) []string {
	var says []string
	for _, s := range t.Scopes {
		s.Place, s.Resource = "", "" // no line has them
		says = append(says, fmt.Sprintf("%#v", s))
	}
	for _, r := range t.Routes {
		r.Place = ""
		says = append(says, fmt.Sprintf("%#v", r))
	}
	slices.Sort(says)
	return says
}

func TestFormat(t *testing.T) {
	table := Table{
		Scopes: []policy.Scope{
			{Name: "B", Description: `with "quotes"`, Place: "elsewhere"},
			{Name: "A", Needs: []string{"B", "C"}, Hidden: true},
		},
		Routes: []policy.Route{
			{Method: "POST", Pattern: "/b/{x}", Scopes: []string{"B", "A"}},
			{Method: "GET", Pattern: "/b/{x}", Accept: []string{"public"}},
			{Method: "grpc", Pattern: "/a.S/M", Scopes: []string{"A"}, Endpoint: []string{"/a.S/N", "/a.S/L"},
				Accept: []string{"pat", "session"}, Allow: []string{"encoded_slash", "colon"}},
		},
	}
	const want = `scope A {
	needs B C
	hidden
}
scope B "with \"quotes\""

route grpc /a.S/M A {
	endpoint /a.S/N /a.S/L
	accept pat session
	allow encoded_slash
	allow colon
}
route GET /b/{x} {
	accept public
}
route POST /b/{x} B A
`
	got, err := table.Format()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	slices.Reverse(table.Scopes)
	slices.Reverse(table.Routes)
	if again, err := table.Format(); err != nil || string(again) != want {
		t.Errorf("another order in the table, another text: %v\n%s", err, again)
	}
}

// Whatever a description says is read back to the letter, or refused.
func TestFormatDescriptions(t *testing.T) {
	for _, tc := range []struct {
		name, description string
		ok                bool
	}{
		{"a word", "Read", true},
		{"words", "Read inputs, all of them", true},
		{"quotes", `say "this"`, true},
		{"back quotes", "say `this`", true},
		{"both quotes", "say `this` or \"that\"", true},
		{"a comment", "# not one", true},
		{"a brace", "{", true},
		{"a closing brace", "}", true},
		{"a word that ends with a brace", "a{", true},
		{"a heredoc", "<<END", true},
		{"lines", "one\ntwo\n\tthree", true},
		{"a backslash inside", `a\b`, true},
		{"backslashes at the end", `C:\\`, true},
		{"a backslash in front of a quote", `a\"b`, true},
		{"that, and a back quote", "a\\\"b`", false},
		{"a backslash at the end, and a back quote", "`a\\", false},
		{"spaces around", " a ", true},
		{"a no-break space", "a\u00a0b", true},
		{"other letters", "Eingänge lesen 読む", true},
		{"an environment variable", "{$HOME}", false},
		{"a carriage return", "a\r\nb", false},
		{"a NUL", "a\x00b", false},
		{"bytes that aren't text", "a\xffb", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := Table{Scopes: []policy.Scope{
				{Name: "A", Description: tc.description, Needs: []string{"B"}},
				{Name: "B", Description: "after it"},
			}}
			text, err := table.Format()
			if !tc.ok {
				if err == nil || !strings.HasPrefix(err.Error(), "scope A: ") {
					t.Fatalf("%v, want an error that names scope A; text:\n%s", err, text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := Read("t", text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if got, want := unordered(again), unordered(&table); !reflect.DeepEqual(got, want) {
				t.Errorf("got %q\nwant %q\ntext:\n%s", got, want, text)
			}
		})
	}
}

func TestFormatShipped(t *testing.T) {
	for _, name := range ShippedNames() {
		table, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		once, err := table.Format()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read("again", once)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(unordered(again), unordered(table)) {
			t.Errorf("%s says something else once written", name)
		}
		if twice, err := again.Format(); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s is written otherwise the second time: %v", name, err)
		}
	}
}
