package gateway

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// maxCredential is the longest credential that is read, in bytes.
const maxCredential = 512

// Source is a further place where a credential may stand.
type Source struct {
	// In is header or query.
	In string `json:"in"`
	// Name is the header's name, or the query field's.
	Name string `json:"name"`
}

func (s *Source) provision() error {
	switch s.In {
	case "header":
		if !wire.IsToken(s.Name) {
			return fmt.Errorf("credential header %q: that is no name of a header", s.Name)
		}
		s.Name = textproto.CanonicalMIMEHeaderKey(s.Name)
	case "query":
		if s.Name == "" || strings.ContainsAny(s.Name, "&=;#") {
			return fmt.Errorf("credential query %q: that is no name of a query field", s.Name)
		}
	default:
		return fmt.Errorf("credential %s: use header NAME or query NAME", s.In)
	}
	return nil
}

// credentialHeaders are the headers that the site reads credentials from,
// besides Authorization.
func (g *Gate) credentialHeaders() (names []string) {
	if g.sessionHeader != "" {
		names = append(names, g.sessionHeader)
	}
	for _, s := range g.Credential {
		if s.In == "header" {
			names = append(names, s.Name)
		}
	}
	return names
}

// presented is the one credential that a request carries.
type presented struct {
	text string
	// session says that it stood in the session header, where only sessions
	// may.
	session bool
}

// credential finds the credential. It is refused where there is none, where
// there is more than one, whichever of them is good, and where one is
// malformed.
func (g *Gate) credential(r *http.Request) (p presented, refused *refusal) {
	found := 0
	take := func(text string, session bool) {
		found++
		p = presented{text: text, session: session}
	}
	switch lines := r.Header["Authorization"]; {
	case len(lines) > 1:
		return p, errSeveral
	case len(lines) == 1:
		text, known, ok := cutScheme(lines[0])
		if known && !ok {
			return p, errMalformed
		}
		if known {
			take(text, false)
		}
	}
	if g.sessionHeader != "" {
		for _, text := range r.Header[g.sessionHeader] {
			take(text, true)
		}
	}
	for i := range g.Credential {
		switch s := &g.Credential[i]; s.In {
		case "header":
			for _, text := range r.Header[s.Name] {
				take(text, false)
			}
		case "query":
			for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
				if name, value, _ := strings.Cut(pair, "="); queryIs(name, s.Name) {
					text, err := url.QueryUnescape(value)
					if err != nil {
						return p, errMalformed
					}
					take(text, false)
				}
			}
		}
	}
	switch {
	case found == 0:
		return p, errNoCredential
	case found > 1:
		return p, errSeveral
	case !wellFormed(p.text):
		return p, errMalformed
	}
	return p, nil
}

// cutScheme takes the scheme off an Authorization (RFC 9110, section 11.4).
// known says that the scheme, in any case, is Key or Bearer, or that one of
// these stands in it elsewhere; ok that it is one, a space and a token.
func cutScheme(line string) (text string, known, ok bool) {
	scheme := schemeOf(line)
	if !isOurs(scheme, wire.EqualFold) {
		return "", namesOurs(line, wire.EqualFold), false
	}
	end := len(scheme)
	if end == len(line) || line[end] != ' ' {
		return "", true, false
	}
	return line[end+1:], true, true
}

// schemeOf is the first word of an Authorization.
func schemeOf(line string) string {
	if end := strings.IndexAny(line, " \t,"); end >= 0 {
		return line[:end]
	}
	return line
}

// isOurs says whether a scheme is one by which credentials come.
func isOurs(scheme string, fold func(a, b string) bool) bool {
	return fold(scheme, "key") || fold(scheme, "bearer")
}

// namesOurs says whether a scheme of ours stands anywhere in an Authorization
// read as a list, as some do that join header lines: in front, behind another
// scheme's, or behind nothing but a comma.
func namesOurs(line string, fold func(a, b string) bool) bool {
	for element := range strings.SplitSeq(line, ",") {
		if isOurs(schemeOf(strings.TrimLeft(element, " \t")), fold) {
			return true
		}
	}
	return false
}

// wellFormed says whether a text may be a credential. A comma would make it a
// list to whoever joins header lines.
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

func queryIs(raw, name string) bool {
	if raw == name {
		return true
	}
	if strings.IndexByte(raw, '%') < 0 && strings.IndexByte(raw, '+') < 0 {
		return false
	}
	decoded, err := url.QueryUnescape(raw)
	return err == nil && decoded == name
}

// withoutField takes every pair of that name out of a query, and leaves the
// other bytes as they are.
func withoutField(query, name string) string {
	var kept []string
	dropped := false
	for pair := range strings.SplitSeq(query, "&") {
		if raw, _, _ := strings.Cut(pair, "="); queryIs(raw, name) {
			dropped = true
			continue
		}
		kept = append(kept, pair)
	}
	if !dropped {
		return query
	}
	return strings.Join(kept, "&")
}
