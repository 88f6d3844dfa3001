package tables

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// good are texts and what they declare.
var good = []struct {
	name, text string
	want       Table
}{
	{"nothing", "", Table{}},
	{"comments and empty lines", "# a\n\n   # b { \" `\n\t\n", Table{}},
	{"a scope", "scope Inputs:Get", Table{Scopes: []policy.Scope{
		{Name: "Inputs:Get", Place: "t:1"}}}},
	{"a scope with all", "scope A \"Read #1 \\\"inputs\\\" \\d\" {\n\tneeds B C # why\n\thidden\n}\n", Table{Scopes: []policy.Scope{
		{Name: "A", Description: `Read #1 "inputs" \d`, Needs: []string{"B", "C"}, Hidden: true, Place: "t:1"}}}},
	{"back quotes", "scope A `say \"{\" \\`", Table{Scopes: []policy.Scope{
		{Name: "A", Description: `say "{" \`, Place: "t:1"}}}},
	{"a description over lines", "scope A \"one\n# two\" {\n\thidden\n}\nscope B", Table{Scopes: []policy.Scope{
		{Name: "A", Description: "one\n# two", Hidden: true, Place: "t:1"},
		{Name: "B", Place: "t:5"}}}},
	{"an empty description", `scope A ""`, Table{Scopes: []policy.Scope{{Name: "A", Place: "t:1"}}}},
	{"a quoted brace is a word", `scope A "{"`, Table{Scopes: []policy.Scope{
		{Name: "A", Description: "{", Place: "t:1"}}}},
	{"a route", "\n\nroute GET /v2/inputs", Table{Routes: []policy.Route{
		{Method: "GET", Pattern: "/v2/inputs", Place: "t:3"}}}},
	{"a route with all", "route POST /{user_id}/{r=**}:go A B {\n\tendpoint /p.S/M /p.S/N\n\taccept app_key pat\n\tallow colon\n\tallow encoded_slash\n}", Table{Routes: []policy.Route{
		{Method: "POST", Pattern: "/{user_id}/{r=**}:go", Scopes: []string{"A", "B"},
			Endpoint: []string{"/p.S/M", "/p.S/N"}, Accept: []string{"app_key", "pat"},
			Allow: []string{"colon", "encoded_slash"}, Place: "t:1"}}}},
	{"an empty block", "route GET /a {\n}\nroute GET /b", Table{Routes: []policy.Route{
		{Method: "GET", Pattern: "/a", Place: "t:1"},
		{Method: "GET", Pattern: "/b", Place: "t:3"}}}},
	{"a closing brace behind an option", "scope A {\n\thidden }\nscope B", Table{Scopes: []policy.Scope{
		{Name: "A", Hidden: true, Place: "t:1"}, {Name: "B", Place: "t:3"}}}},
	{"a line that goes on", "route GET /a \\\n\tA \\\n\tB {\n\taccept \\\n\t\tpat\n}\nscope C", Table{
		Routes: []policy.Route{{Method: "GET", Pattern: "/a", Scopes: []string{"A", "B"}, Accept: []string{"pat"}, Place: "t:1"}},
		Scopes: []policy.Scope{{Name: "C", Place: "t:7"}}}},
	{"carriage returns and a byte order mark", "\ufeffscope A\r\nscope B {\r\n\thidden\r\n}\r\n", Table{Scopes: []policy.Scope{
		{Name: "A", Place: "t:1"}, {Name: "B", Hidden: true, Place: "t:2"}}}},
}

func TestRead(t *testing.T) {
	for _, tc := range good {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Read("t", []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", *got, tc.want)
			}
		})
	}
}

// mistakes are texts and the whole of what is said about them.
var mistakes = []struct{ name, text, want string }{
	{"another directive", "scope A\nroutes GET /a",
		`t:2: found "routes": a table has lines that begin with scope, route, owner_query, owner_body, owner_message or descriptors`},
	{"import", "import my.routes",
		`t:1: found "import": a table has lines that begin with scope, route, owner_query, owner_body, owner_message or descriptors`},
	{"a scope without a name", "scope",
		`t:1: a scope has a name and at most one description, in quotes: write scope Inputs:Get "Read inputs"`},
	{"a description without quotes", "scope A Read inputs",
		`t:1: a scope has a name and at most one description, in quotes: write scope Inputs:Get "Read inputs"`},
	{"a route without a pattern", "route GET {\n}",
		`t:1: a route has a method and a pattern: write route GET /v2/inputs Inputs:Get`},
	{"an unknown option of a scope", "scope A {\n\taccept pat\n}",
		`t:2: accept: unknown option of a scope: use needs or hidden`},
	{"an unknown option of a route", "route GET /a {\n\n\tneeds A\n}",
		`t:3: needs: unknown option of a route: use endpoint, accept, allow or cost`},
	{"needs without a scope", "scope A {\n\tneeds\n}",
		`t:2: needs: nothing follows it: add the scopes that a key must have in addition to this one`},
	{"needs twice", "scope A {\n\tneeds B\n\tneeds C\n}",
		`t:3: needs is given twice: take one line away, or join the two`},
	{"hidden with a word", "scope A {\n\thidden yes\n}",
		`t:2: hidden: it stands alone, found "yes" behind it`},
	{"hidden twice", "scope A {\n\thidden\n\thidden\n}",
		`t:3: hidden is given twice: take one line away, or join the two`},
	{"accept without a word", "route GET /a {\n\taccept\n}",
		`t:2: accept: nothing follows it: add app_key, pat, session, or public or none alone`},
	{"accept twice", "route GET /a {\n\taccept pat\n\taccept session\n}",
		`t:3: accept is given twice: take one line away, or join the two`},
	{"endpoint without a name", "route GET /a {\n\tendpoint # none\n}",
		`t:2: endpoint: nothing follows it: add names of the form /package.Service/Method`},
	{"endpoint twice", "route GET /a {\n\tendpoint /p.S/M\n\tendpoint /p.S/N\n}",
		`t:3: endpoint is given twice: take one line away, or join the two`},
	{"allow without a word", "route GET /a {\n\tallow\n}",
		`t:2: allow: it takes one word: colon, encoded_slash or near_literal`},
	{"allow with two words", "route GET /a {\n\tallow colon encoded_slash\n}",
		`t:2: allow: it takes one word: colon, encoded_slash or near_literal`},
	{"allow the same twice", "route GET /a {\n\tallow colon\n\tallow colon\n}",
		`t:3: allow colon is given twice: take one line away, or join the two`},
	{"a block on one line", "scope A { hidden }",
		`t:1: "hidden" follows { on its line: begin a new line after {`},
	{"a block that isn't closed", "scope A {\n\thidden\n",
		`t:1: a { without a }: close the block with a } on a line of its own`},
	{"a block closed by the next", "scope A {\nscope B {\n\thidden\n}",
		`t:2: an option has no block of its own: take the { away`},
	{"a block in a block", "route GET /a {\n\taccept {\n\t\tpat\n\t}\n}",
		"t:2: an option has no block of its own: take the { away\n" +
			`t:5: found "}": a table has lines that begin with scope, route, owner_query, owner_body, owner_message or descriptors`},
	{"a brace too many", "scope A }\n",
		`t:1: a } without a {`},
	{"a brace on the next line", "scope A\n{\n\thidden\n}\n",
		`t:2: found "{": a table has lines that begin with scope, route, owner_query, owner_body, owner_message or descriptors`},
	{"a brace glued to a word", "route GET /a A{\n\taccept pat\n}",
		`t:1: A{: put a space in front of the { that opens a block`},
	{"two directives on a line", "scope A {\n} scope B",
		`t:2: "scope" follows } on its line: begin a new line after }`},
	{"a quote that isn't closed", "scope A\nscope B \"Read\nscope C\n",
		`t:2: a quote " without its end: add one`},
	{"a back quote that isn't closed", "scope B `Read",
		"t:1: a quote ` without its end: add one"},
	{"a quote closed by an escape", `scope B "C:\"`,
		`t:1: a quote " without its end: add one`},
	{"a word glued to a quote", `scope A "Read"inputs`,
		`t:1: a word follows the closing quote: put a space between them`},
	{"a heredoc", "scope A <<TEXT\nRead\nTEXT\n",
		`t:1: <<TEXT: a heredoc is not read in a table; put the text in quotes`},
	{"a backslash", `route GET /a\b`,
		`t:1: /a\b: a backslash stands in quotes only, or alone at the end of a line that goes on`},
	{"a backslash in a comment", "scope A # C:\\inputs\nscope B",
		`t:1: a backslash in a comment: remove it`},
	{"an environment variable", "route GET {$BASE}/a",
		`t:1: {$ begins an environment variable, which is not read in a table: write its value`},
	{"an environment variable in quotes", "scope A `{$X}`",
		`t:1: {$ begins an environment variable, which is not read in a table: write its value`},
	{"bytes that aren't text", "scope A\xff",
		`t:1: not valid UTF-8: save the file as UTF-8`},
	{"a control character", "scope \"A\x00\"",
		`t:1: a control character: remove it`},
	{"several mistakes", "scope\nscope A\nroute GET\n",
		"t:1: a scope has a name and at most one description, in quotes: write scope Inputs:Get \"Read inputs\"\n" +
			`t:3: a route has a method and a pattern: write route GET /v2/inputs Inputs:Get`},
}

func TestReadMistakes(t *testing.T) {
	for _, tc := range mistakes {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Read("t", []byte(tc.text))
			if err == nil {
				t.Fatalf("read as %+v", *got)
			}
			if err.Error() != tc.want {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
		})
	}
}

// The meaning of words is checked later, and an error still names the line.
func TestMistakesOfMeaningNameTheirPlace(t *testing.T) {
	table, err := Read("my.routes", []byte("scope A {\n\tneeds B\n}\nroute FETCH /a\nroute GET /{path}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.NewCatalogue(table.Scopes); err == nil || !strings.HasPrefix(err.Error(), "my.routes:1: ") {
		t.Errorf("NewCatalogue: %v, want it to begin with my.routes:1", err)
	}
	_, err = policy.NewTable(table.Routes, "user_id", "app_id")
	if err == nil || !strings.HasPrefix(err.Error(), "my.routes:4: ") || !strings.Contains(err.Error(), "\nmy.routes:5: ") {
		t.Errorf("NewTable: %v, want my.routes:4 and :5", err)
	}
}

// Tokens come from Caddy too, which imports lines from several files and
// whose lexer knows no directive of ours.
func TestParseTokens(t *testing.T) {
	word := func(file string, line int, text string) Token { return Token{Text: text, File: file, Line: line} }
	t.Run("lines of several files", func(t *testing.T) {
		got, err := ParseRoute([]Token{
			word("Caddyfile", 7, "route"), word("Caddyfile", 7, "GET"), word("Caddyfile", 7, "/a"), word("Caddyfile", 7, "{"),
			word("options", 7, "accept"), word("options", 7, "pat"),
			word("Caddyfile", 9, "allow"), word("Caddyfile", 9, "colon"),
			word("Caddyfile", 10, "}"),
		})
		want := policy.Route{Method: "GET", Pattern: "/a", Accept: []string{"pat"}, Allow: []string{"colon"}, Place: "Caddyfile:7"}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
	t.Run("a quoted brace opens no block", func(t *testing.T) {
		got, err := ParseScope([]Token{word("", 1, "scope"), word("", 1, "A"), {Text: "{", Line: 1, Quoted: true}})
		want := policy.Scope{Name: "A", Description: "{", Place: "line 1"}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
	t.Run("no file", func(t *testing.T) {
		_, err := ParseRoute([]Token{word("", 3, "route")})
		if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
			t.Errorf("%v, want it to name line 3", err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		if _, err := ParseScope(nil); err == nil {
			t.Error("no error")
		}
		if _, err := ParseRoute(nil); err == nil {
			t.Error("no error")
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, tc := range good {
		f.Add([]byte(tc.text))
	}
	for _, tc := range mistakes {
		f.Add([]byte(tc.text))
	}
	for _, name := range ShippedNames() {
		text, err := shipped.ReadFile(name + extension)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := Read("t", text)
		if err != nil {
			if !strings.Contains(err.Error(), "t:") {
				t.Errorf("%v names no place", err)
			}
			return
		}
		once, err := table.Format()
		if err != nil {
			// A description in back quotes may hold what neither quotes can.
			if !bytes.Contains(text, []byte{'`'}) {
				t.Fatalf("read, but not written: %v", err)
			}
			return
		}
		again, err := Read("t", once)
		if err != nil {
			t.Fatalf("written, but not read: %v\n%s", err, once)
		}
		twice, err := again.Format()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("written otherwise the second time: %v\n%s\n%s", err, once, twice)
		}
		if got, want := unordered(again), unordered(table); !reflect.DeepEqual(got, want) {
			t.Fatalf("says something else once written\n got %+v\nwant %+v", got, want)
		}
	})
}
