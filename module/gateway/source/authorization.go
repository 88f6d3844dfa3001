package source

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// Authorization returns the source that every site has: the header
// Authorization, with the scheme Key or Bearer.
func Authorization() Source { return authorization{} }

type authorization struct{}

func (authorization) find(r *http.Request, f Found) (Found, error) {
	switch lines := r.Header["Authorization"]; {
	case len(lines) > 1:
		return f, ErrSeveral
	case len(lines) == 1:
		text, known, ok := cutScheme(lines[0])
		if known && !ok {
			return f, ErrMalformed
		}
		if known {
			return f.with(text, false), nil
		}
	}
	return f, nil
}

// strip removes all lines if one of them has a scheme of a credential.
func (authorization) strip(r *http.Request, _ *url.URL) {
	for _, line := range r.Header["Authorization"] {
		// Not wire.EqualFold: an upstream may take a Kelvin sign for a k.
		if hasOwnScheme(line, strings.EqualFold) {
			delete(r.Header, "Authorization")
			break
		}
	}
}

// logFilter adds nothing: Caddy redacts Authorization by itself.
func (authorization) logFilter(*Logged) {}

// cutScheme takes the scheme off an Authorization (RFC 9110, section 11.4).
// known reports that the scheme, in any case, is Key or Bearer, or that one of
// these stands in it elsewhere; ok that it is one, a space and a token.
func cutScheme(line string) (text string, known, ok bool) {
	scheme := schemeOf(line)
	if !isOwn(scheme, wire.EqualFold) {
		return "", hasOwnScheme(line, wire.EqualFold), false
	}
	end := len(scheme)
	if end == len(line) || line[end] != ' ' {
		return "", true, false
	}
	return line[end+1:], true, true
}

// schemeOf returns the first word of an Authorization.
func schemeOf(line string) string {
	if end := strings.IndexAny(line, " \t,"); end >= 0 {
		return line[:end]
	}
	return line
}

// isOwn reports whether a scheme is Key or Bearer, by which credentials come.
func isOwn(scheme string, fold func(a, b string) bool) bool {
	return fold(scheme, "key") || fold(scheme, "bearer")
}

// hasOwnScheme reports whether any element of an Authorization starts with Key
// or Bearer. Servers that join header lines read it as a list: the scheme may
// stand in front, behind another scheme's, or behind nothing but a comma.
func hasOwnScheme(line string, fold func(a, b string) bool) bool {
	for element := range strings.SplitSeq(line, ",") {
		if isOwn(schemeOf(strings.TrimLeft(element, " \t")), fold) {
			return true
		}
	}
	return false
}
