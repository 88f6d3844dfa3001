// Package source finds the credential of a request, and takes it out before the
// request is forwarded. Each kind of place where a credential may stand is a
// [Source] in a file of its own. A site has a [Set] of them.
package source

import (
	"errors"
	"net/http"
	"net/url"
)

// maxCredential is the longest credential that is read, in bytes.
const maxCredential = 512

// Source is a kind of place where a credential may stand.
type Source interface {
	// find adds the credentials that stand there. It returns an error if what
	// stands there can't be a credential.
	find(r *http.Request, f Found) (Found, error)
	// strip removes what stands there from a request, and from the target as
	// it was sent, nil if that is not known.
	strip(r *http.Request, sent *url.URL)
	// logFilter adds the fields of a log that show what stands there.
	logFilter(l *Logged)
}

// named makes the sources that a configuration names, by the word for their
// kind.
var named = map[string]func(name string) (Source, error){
	"header": newHeader,
	"query":  newQuery,
}

// New returns the source of a kind, header or query, with a name.
func New(kind, name string) (Source, error) {
	if create, ok := named[kind]; ok {
		return create(name)
	}
	return nil, ErrKind
}

// ErrKind is the mistake of a kind of source that there is not.
var ErrKind = errors.New("use header NAME or query NAME")

// Found is the one credential that a request carries.
type Found struct {
	Text string
	// Session reports that it stood in the session header, where only sessions
	// may.
	Session bool

	count int
}

// with returns the findings with one more.
func (f Found) with(text string, session bool) Found {
	return Found{Text: text, Session: session, count: f.count + 1}
}

// The reasons why a request has no credential that can be looked up.
var (
	ErrMissing   = errors.New("there is no credential")
	ErrSeveral   = errors.New("there is more than one credential")
	ErrMalformed = errors.New("the credential is malformed")
)

// Logged are the fields of Caddy's log entries that show a credential, besides
// Authorization, which Caddy redacts by itself.
type Logged struct {
	Headers []string // of requests
	Queries []string // fields of the request's query
}

// Set is all sources of a site, in the order in which they are looked at.
type Set []Source

// Find returns the one credential of a request. It returns an error if there is
// none, if there is more than one, whichever of them is good, or if one is
// malformed.
func (s Set) Find(r *http.Request) (f Found, err error) {
	for _, one := range s {
		if f, err = one.find(r, f); err != nil {
			return f, err
		}
	}
	switch {
	case f.count == 0:
		return f, ErrMissing
	case f.count > 1:
		return f, ErrSeveral
	case !wellFormed(f.Text):
		return f, ErrMalformed
	}
	return f, nil
}

// Logged returns the fields of a log that show what stands at the sources.
func (s Set) Logged() (l Logged) {
	for _, one := range s {
		one.logFilter(&l)
	}
	return l
}

// wellFormed reports whether a text may be a credential. A comma would make it
// a list to servers that join header lines.
func wellFormed(text string) bool {
	if text == "" || len(text) > maxCredential {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == 0x7f || c == ',' {
			return false
		}
	}
	return true
}
