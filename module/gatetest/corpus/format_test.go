package corpus

import (
	"slices"
	"strings"
	"testing"
)

const wholeFile = `# a comment
case: a name
class: a class
source: RFC 9112 §6.1
site: other
request: POST /x
	A: b
body: {"a":\
	1}
trailers:
	c: d
answer: 400 11102
answer h2: ended
reach: nothing
reach h3: POST /x
	+ A: b
	- C
	body: hello
do: revoke
request: GET /y
answer: 200
reach: GET /y

case: another
class: a class
source: RFC 9113
on: h2
frames:
	HEADERS 1
		:method: GET
answer: grpc 7
reach: nothing
`

func TestParse(t *testing.T) {
	all, err := Parse("f", wholeFile, []string{"api", "other"})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Fatalf("%d cases", len(all))
	}
	a, b := all[0], all[1]
	if a.Name != "a name" || a.Place != "f:2" || a.Class != "a class" || a.Source != "RFC 9112 §6.1" || a.Site != "other" ||
		!slices.Equal(a.On, Protocols) || len(a.Steps) != 3 || a.Steps[1].Text != "revoke" {
		t.Errorf("the first is %+v", a)
	}
	s := a.Steps[0]
	if s.Text != "POST /x" || !slices.Equal(s.Lines, []string{"A: b"}) || s.Body != `{"a":\1}` || !slices.Equal(s.Trailers, []string{"c: d"}) {
		t.Errorf("its first step is %+v", s)
	}
	if answers, reached, ok := s.Expected("h1"); !ok || !slices.Equal(answers, []string{"400 11102"}) || len(reached) != 0 {
		t.Errorf("over h1: %v %v %v", answers, reached, ok)
	}
	if answers, _, _ := s.Expected("h2"); !slices.Equal(answers, []string{"ended"}) {
		t.Errorf("over h2: %v", answers)
	}
	_, reached, _ := s.Expected("h3")
	if len(reached) != 1 || reached[0].Target != "/x" || reached[0].Has[0] != "A: b" || reached[0].Lacks[0] != "C" || reached[0].Body != "hello" {
		t.Errorf("over h3: %+v", reached)
	}
	if !slices.Equal(b.On, []string{"h2"}) || b.Site != "api" || !slices.Equal(b.Steps[0].Lines, []string{"HEADERS 1", "\t:method: GET"}) {
		t.Errorf("the second is %+v %+v", b, b.Steps[0])
	}
}

// A slip is an error, never a case that asserts less than it seems to.
func TestParseIsStrict(t *testing.T) {
	for _, tt := range []struct{ name, old, new, says string }{
		{"an unknown field", "class: a class", "klass: a class", "no field"},
		{"a field outside of a case", "# a comment", "class: x", "outside"},
		{"a field twice", "site: other", "site: other\nclass: again", "twice"},
		{"a site that is none", "site: other", "site: third", "no site"},
		{"no class", "class: a class\n", "", "a class"},
		{"no source", "source: RFC 9113\n", "", "a source"},
		{"no answer", "answer: 200\n", "", "left out"},
		{"no reach", "reach: GET /y\n", "", "left out"},
		{"an answer in words", "answer: 200", "answer: fine", "a status"},
		{"an answer of three numbers", "answer: 200", "answer: 1 2 3", "too many"},
		{"an answer twice", "answer: 200", "answer: 200\nanswer: 200", "twice"},
		{"an unknown protocol", "on: h2", "on: h4", "no protocol"},
		{"a protocol that can't carry it", "on: h2", "on: h1", "can't be sent"},
		{"an override for no protocol", "answer h2: ended", "answer h4: ended", "one protocol"},
		{"a field for one protocol", "site: other", "class h2: x", "one protocol"},
		{"white space at the end", "a name", "a name ", "white space"},
		{"a stray line", "class: a class", "class a class", "neither"},
		{"a stray block", "site: other", "site: other\n\tx", "belongs to no field"},
		{"an unknown deed", "do: revoke", "do: dance", "nothing called"},
		{"a request without a target", "request: GET /y", "request: GET", "a method and a target"},
		{"an unknown demand", "	- C", "	C", "says nothing"},
		{"nothing and something", "reach: GET /y", "reach: nothing\nreach: GET /y", "or something"},
		{"a name twice", "case: another", "case: a name", "another case"},
		{"frames in the field's line", "frames:\n", "frames: HEADERS 1\n", "may follow frames"},
		{"no frames", "frames:\n	HEADERS 1\n		:method: GET\n", "frames:\n", "nothing is sent"},
		{"a body of frames", "answer: grpc 7", "body: x\nanswer: grpc 7", "a body"},
	} {
		text := strings.Replace(wholeFile, tt.old, tt.new, 1)
		if text == wholeFile {
			t.Fatalf("%s: nothing was replaced", tt.name)
		}
		if _, err := Parse("f", text, []string{"api", "other"}); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestUnescape(t *testing.T) {
	values := map[string]string{"key": "K"}
	for _, tt := range []struct{ text, want string }{
		{`a{key}b`, "aKb"},
		{`\r\n\t\0\s\\\{key}`, "\r\n\t\x00 \\{key}"},
		{`\x41\xff`, "A\xff"},
		{`{ab*3}`, "ababab"},
		{`}`, "}"},
	} {
		if got, err := Unescape(tt.text, values); got != tt.want || err != nil {
			t.Errorf("%s is %q, %v", tt.text, got, err)
		}
	}
	for _, text := range []string{`\`, `\q`, `\x1`, `\xzz`, `{none}`, `{key`, `{a*b}`} {
		if got, err := Unescape(text, values); err == nil {
			t.Errorf("%s is %q", text, got)
		}
	}
}
