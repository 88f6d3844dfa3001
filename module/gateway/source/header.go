package source

import (
	"errors"
	"net/http"
	"net/textproto"
	"net/url"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// header is a header whose values are credentials.
type header struct {
	name    string // canonical
	session bool
}

func newHeader(name string) (Source, error) {
	if !wire.IsToken(name) {
		return nil, errors.New("that is not a header name")
	}
	return header{name: textproto.CanonicalMIMEHeaderKey(name)}, nil
}

// Session returns the source of a header, by its canonical name, in which only
// sessions may stand.
func Session(name string) Source { return header{name: name, session: true} }

func (h header) find(r *http.Request, f Found) (Found, error) {
	for _, text := range r.Header[h.name] {
		f = f.with(text, h.session)
	}
	return f, nil
}

func (h header) strip(r *http.Request, _ *url.URL) { delete(r.Header, h.name) }

func (h header) logFilter(l *Logged) { l.Headers = append(l.Headers, h.name) }
