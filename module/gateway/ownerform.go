package gateway

import (
	"net/url"
	"strings"
)

// field is a field of queries, forms and JSON bodies that names the owner or
// the app.
type field struct {
	path string // the names that lead to it, folded
	flat string // the path as those have it who make one name of it
	part part
}

func newField(path string, p part) field {
	path = fieldName(path)
	return field{path: path, flat: flattened(path), part: p}
}

// fieldName folds the spellings of a field that some server takes for one:
// user_id, userId and user-id, whatever the case and the form of its letters,
// and a[b] for a.b. What a server that ends texts with NUL doesn't see is cut,
// and what is no character in UTF-8 is left out.
func fieldName(name string) string {
	plain := true
	for i := range len(name) {
		c := name[i]
		plain = plain && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.')
	}
	if plain {
		return name
	}
	name, _, _ = strings.Cut(name, "\x00")
	return strings.ToLower(foldName.Replace(folded(name)))
}

// The dotless i is an i to those who compare in upper case.
var foldName = strings.NewReplacer("_", "", "-", "", "[", ".", "]", "", "\u0131", "i", "\ufffd", "")

// flattened is a folded path without what parts its names, and without positions in
// lists on the way: to PHP a.b is a_b, and a[0][b] names the b of a list's
// first element.
func flattened(path string) string {
	if strings.IndexByte(path, '.') < 0 {
		return path
	}
	var b strings.Builder
	for name := range strings.SplitSeq(path, ".") {
		if strings.Trim(name, "0123456789") != "" {
			b.WriteString(name)
		}
	}
	return b.String()
}

// is says whether a folded name is the field's, or that of an element of it:
// a.b[] and a.b[0] for a.b.
func (f *field) is(name, flat string) bool {
	rest, ok := strings.CutPrefix(name, f.path)
	return ok && (rest == "" || rest[0] == '.') || f.flat != "" && flat == f.flat
}

// ofQuery adds what the query names.
func (o *ownership) ofQuery(n *names, query string) {
	if query == "" {
		return
	}
	for _, fields := range o.query {
		ofForm(n, query, fields)
	}
}

// ofForm adds what a query or a form names: every occurrence of the fields, as
// an element of a list too. A ? in front some take off.
func ofForm(n *names, text string, fields []field) {
	var p place
	for pair := range strings.SplitSeq(strings.TrimLeft(text, "?"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		name = fieldName(unescape(name))
		flat := flattened(name)
		for i := range fields {
			if !fields[i].is(name, flat) {
				continue
			}
			decoded, err := url.QueryUnescape(value)
			// What can't be decoded may be a name to others.
			p.conflict = p.conflict || err != nil
			p.add(fields[i].part, decoded)
		}
	}
	n.take(p)
}

// unescape decodes what can be decoded, and leaves the rest as it is.
func unescape(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0 {
			c = byte(unhex(text[i+1])<<4 | unhex(text[i+2]))
			i += 2
		} else if c == '+' {
			c = ' '
		}
		b.WriteByte(c)
	}
	return b.String()
}
