package tables

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Read reads the text of a table; name stands for it in places and errors. The
// same text means the same when a Caddyfile imports it: what Caddy would read
// otherwise (heredocs, environment variables) is refused. All mistakes in
// directives are reported at once.
func Read(name string, text []byte) (*Table, error) {
	tokens, err := lex(name, string(text))
	if err != nil {
		return nil, err
	}
	t := new(Table)
	var errs []error
	for len(tokens) > 0 {
		n := directiveLength(tokens)
		errs = append(errs, t.take(tokens[:n]))
		tokens = tokens[n:]
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Table) take(tokens []Token) error {
	switch first := tokens[0]; first.Text {
	case "scope":
		s, err := ParseScope(tokens)
		t.Scopes = append(t.Scopes, s)
		return err
	case "route":
		r, err := ParseRoute(tokens)
		t.Routes = append(t.Routes, r)
		return err
	case "owner_query":
		f, err := ParseOwnerQuery(tokens)
		t.OwnerQuery = append(t.OwnerQuery, f)
		return err
	case "owner_body":
		fields, err := ParseOwnerBody(tokens)
		t.OwnerBody = append(t.OwnerBody, fields...)
		return err
	case "owner_message":
		m, err := ParseOwnerMessage(tokens)
		t.OwnerMessage = append(t.OwnerMessage, m)
		return err
	case "descriptors":
		if t.Descriptors != "" {
			return first.errorf("descriptors is given twice: import the packages at once, so that one file describes both")
		}
		var err error
		t.Descriptors, err = ParseDescriptors(tokens)
		return err
	default:
		return first.errorf("found %q: a table has lines that begin with scope, route, owner_query, owner_body, owner_message or descriptors", first.Text)
	}
}

// directiveLength counts the tokens of the first directive: those of its line,
// and where a brace opens there, all up to the one that closes it.
func directiveLength(tokens []Token) int {
	for i, t := range tokens {
		switch {
		case i > 0 && !t.continues(tokens[i-1]):
			return i
		case t.opens():
			if n := slices.IndexFunc(tokens[i:], Token.closes); n >= 0 {
				return i + n + 1
			}
			return len(tokens)
		}
	}
	return len(tokens)
}

// lexer cuts a text into tokens as Caddy's does, but refuses what is more
// likely a slip than meant.
type lexer struct {
	file, rest string
	line       int
	// continued counts lines that ended with a backslash: their words belong
	// to the line that they continue.
	continued int
}

func lex(file, text string) ([]Token, error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	l := lexer{file: file, rest: text, line: 1}
	var tokens []Token
	for {
		t, ok, err := l.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return tokens, nil
		}
		if n := len(tokens); n > 0 && tokens[n-1].closes() && t.continues(tokens[n-1]) {
			return nil, t.errorf("%q follows } on its line: begin a new line after }", t.Text)
		}
		tokens = append(tokens, t)
	}
}

// next reads a token. It returns false at the end.
func (l *lexer) next() (Token, bool, error) {
	err := l.skip()
	t := Token{File: l.file, Line: l.line}
	switch {
	case err != nil:
		return t, false, t.errorf("%w", err)
	case l.rest == "":
		return t, false, nil
	}
	if t.Quoted = l.rest[0] == '"' || l.rest[0] == '`'; t.Quoted {
		t.Text, err = l.quoted()
	} else {
		t.Text, err = l.bare()
	}
	if err == nil {
		err = checkText(t.Text)
	}
	if err != nil {
		return t, false, t.errorf("%w", err)
	}
	return t, true, nil
}

// skip passes over white space, comments and the ends of lines.
func (l *lexer) skip() error {
	for l.rest != "" {
		r, size := utf8.DecodeRuneInString(l.rest)
		switch {
		case r == '\n':
			l.linesEnd(1)
		case strings.HasPrefix(l.rest, "\\\n"):
			l.continued++
			size = len("\\\n")
		case r == '#':
			size = strings.IndexByte(l.rest, '\n')
			if size < 0 {
				size = len(l.rest)
			}
			// Caddy's lexer joins the next line to such a comment's.
			if strings.Contains(l.rest[:size], `\`) {
				return errors.New("a backslash in a comment: remove it")
			}
		case !unicode.IsSpace(r):
			return nil
		}
		l.rest = l.rest[size:]
	}
	return nil
}

// linesEnd counts n ends of lines, and with the first the lines it continued.
func (l *lexer) linesEnd(n int) {
	if n > 0 {
		l.line += n + l.continued
		l.continued = 0
	}
}

// quoted reads a text in quotes, which may go over several lines. Between
// double quotes \" stands for a quote, and any other backslash for itself.
func (l *lexer) quoted() (string, error) {
	quote := l.rest[0]
	var text strings.Builder
	for i := 1; i < len(l.rest); i++ {
		c := l.rest[i]
		if c == quote {
			l.rest = l.rest[i+1:]
			if r, _ := utf8.DecodeRuneInString(l.rest); l.rest != "" && !unicode.IsSpace(r) {
				return "", errors.New("a word follows the closing quote: put a space between them")
			}
			l.linesEnd(strings.Count(text.String(), "\n"))
			return text.String(), nil
		}
		if c == '\\' && quote == '"' && i+1 < len(l.rest) {
			i++
			if l.rest[i] != '"' {
				text.WriteByte('\\')
			}
			c = l.rest[i]
		}
		text.WriteByte(c)
	}
	return "", fmt.Errorf("a quote %c without its end: add one", quote)
}

func (l *lexer) bare() (string, error) {
	end := strings.IndexFunc(l.rest, unicode.IsSpace)
	if end < 0 {
		end = len(l.rest)
	}
	text := l.rest[:end]
	l.rest = l.rest[end:]
	switch {
	case strings.HasPrefix(text, "<<"):
		return "", fmt.Errorf("%s: a heredoc is not read in a table; put the text in quotes", text)
	case strings.Contains(text, `\`):
		return "", fmt.Errorf(`%s: a backslash stands in quotes only, or alone at the end of a line that goes on`, text)
	case len(text) > 1 && strings.HasSuffix(text, "{"):
		return "", fmt.Errorf("%s: put a space in front of the { that opens a block", text)
	}
	return text, nil
}

// checkText refuses what no word of a table may hold.
func checkText(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("not valid UTF-8: save the file as UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return errors.New("a control character: remove it")
	case strings.Contains(text, "{$"):
		return errors.New("{$ begins an environment variable, which is not read in a table: write its value")
	}
	return nil
}
