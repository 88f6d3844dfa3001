package tenant

import (
	"context"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Found is a value at a watched place. Invalid is true if the value there is no
// text, or can't be decoded, and so names nobody that a caller could be; or
// that its name isn't UTF-8, which some servers take for another name. Null is
// true if the value is JSON's null. Inner is true if the name leads into the field, as
// model[id] does, so that servers may find a list or an object there.
type Found struct {
	Field                int
	Value                string
	Invalid, Null, Inner bool
}

// checkEvery is how many bytes are read between two looks at the context.
const checkEvery = 64 << 10

// Form calls found for every occurrence of a watched field in a query or a
// form. It stops with the context's error.
func (n *Names) Form(ctx context.Context, text string, found func(Found)) error {
	return eachPair(ctx, text, func(pair string) { n.pair(pair, found) })
}

// eachPair calls take with the pairs of a query or a form. A ? in front some
// servers take off, and some part pairs by ; too.
func eachPair(ctx context.Context, text string, take func(pair string)) error {
	text = strings.TrimLeft(text, "?")
	for due := len(text) - checkEvery; text != ""; {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		take(pair)
		if strings.IndexByte(pair, ';') >= 0 {
			for part := range strings.SplitSeq(pair, ";") {
				take(part)
			}
		}
		if len(text) < due {
			due = len(text) - checkEvery
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Names) pair(pair string, found func(Found)) {
	if pair == "" {
		return
	}
	name, value, _ := strings.Cut(pair, "=")
	name = Unescape(name)
	at, hit, end := n.read(0, name)
	if !hit {
		return
	}
	decoded, err := url.QueryUnescape(value)
	found(Found{
		Field: n.nodes[at].field, Value: decoded,
		Invalid: err != nil || !utf8.ValidString(name),
		Inner:   end >= 0 && (end+1 < len(name) || name[end] != ']'),
	})
}

// Decodable reports whether every % of a query begins an escape.
func Decodable(query string) bool {
	for i := range len(query) {
		if query[i] == '%' && (i+2 >= len(query) || unhex(query[i+1]) < 0 || unhex(query[i+2]) < 0) {
			return false
		}
	}
	return true
}

// Unescape decodes what can be decoded, and leaves the rest as it is.
func Unescape(text string) string {
	if strings.IndexByte(text, '%') < 0 {
		return text // a + is no letter, as the space is none
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) {
			if hi, lo := unhex(text[i+1]), unhex(text[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
