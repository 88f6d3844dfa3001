package tenant

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scalar reads a number, true, false or null.
func (r *reader) scalar() error {
	var word string
	switch r.text[r.at] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	default:
		return r.number()
	}
	if !strings.HasPrefix(r.text[r.at:], word) {
		return ErrSyntax
	}
	r.at += len(word)
	return nil
}

// number reads a number (RFC 8259, section 6).
func (r *reader) number() error {
	r.take('-')
	if !r.take('0') && !r.digits() {
		return ErrSyntax
	}
	if r.take('.') && !r.digits() {
		return ErrSyntax
	}
	if r.take('e') || r.take('E') {
		if !r.take('+') {
			r.take('-')
		}
		if !r.digits() {
			return ErrSyntax
		}
	}
	return nil
}

func (r *reader) digits() bool {
	from := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at > from
}

// quoted reads a string, and returns what stands between its quotes. escaped
// reports that it has escapes, which are valid: half of a surrogate pair is
// not, because parsers differ in what they make of it.
func (r *reader) quoted() (text string, escaped bool, err error) {
	r.at++
	from := r.at
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[from : r.at-1], escaped, nil
		case c < 0x20:
			return "", false, ErrSyntax
		case c == '\\':
			escaped = true
			_, size := escape(r.text[r.at:])
			if size == 0 {
				return "", false, ErrSyntax
			}
			r.at += size
		default:
			r.at++
		}
	}
	return "", false, ErrSyntax
}

// escape returns the character that an escape stands for, and its length; zero
// if the escape is invalid.
func escape(text string) (c rune, size int) {
	if len(text) < 2 {
		return 0, 0
	}
	if i := strings.IndexByte(`"\/bfnrt`, text[1]); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), 2
	}
	c, ok := fourDigits(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(c) {
		return c, 6
	}
	low, ok := fourDigits(text[6:])
	if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
		return 0, 0
	}
	return c, 12
}

// fourDigits reads \u and four digits.
func fourDigits(text string) (c rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for i := 2; i < 6; i++ {
		d := unhex(text[i])
		if d < 0 {
			return 0, false
		}
		c = c<<4 | rune(d)
	}
	return c, true
}

// unquote decodes the valid escapes of a string.
func unquote(text string) string {
	b := make([]byte, 0, len(text))
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			return string(append(b, text...))
		}
		b = append(b, text[:i]...)
		c, size := escape(text[i:])
		b = utf8.AppendRune(b, c)
		text = text[i+size:]
	}
}
