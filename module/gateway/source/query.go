package source

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// query is a field of the query whose values are credentials.
type query struct{ name string }

func newQuery(name string) (Source, error) {
	if name == "" || strings.ContainsAny(name, "&=;#") {
		return nil, errors.New("that is not a query field name")
	}
	return query{name}, nil
}

func (q query) find(r *http.Request, f Found) (Found, error) {
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if name, value, _ := strings.Cut(pair, "="); q.is(name) {
			text, err := url.QueryUnescape(value)
			if err != nil {
				return f, ErrMalformed
			}
			f = f.with(text, false)
		}
	}
	return f, nil
}

// strip removes every pair of that name, and leaves the other bytes as they
// are. Error routes are given the target as it was sent.
func (q query) strip(r *http.Request, sent *url.URL) {
	if without := q.without(r.URL.RawQuery); without != r.URL.RawQuery {
		r.URL.RawQuery = without
		r.RequestURI = r.URL.RequestURI() // what other handlers log
	}
	if sent != nil {
		sent.RawQuery = q.without(sent.RawQuery)
	}
}

func (q query) logFilter(l *Logged) { l.Queries = append(l.Queries, q.name) }

// is reports whether a name, as it is sent, is the field's.
func (q query) is(raw string) bool {
	if raw == q.name {
		return true
	}
	if strings.IndexByte(raw, '%') < 0 && strings.IndexByte(raw, '+') < 0 {
		return false
	}
	decoded, err := url.QueryUnescape(raw)
	return err == nil && decoded == q.name
}

// without returns a query without the field.
func (q query) without(text string) string {
	var kept []string
	dropped := false
	for pair := range strings.SplitSeq(text, "&") {
		if raw, _, _ := strings.Cut(pair, "="); q.is(raw) {
			dropped = true
			continue
		}
		kept = append(kept, pair)
	}
	if !dropped {
		return text
	}
	return strings.Join(kept, "&")
}
