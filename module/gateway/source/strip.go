package source

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// Strip removes from a request everything that may be a credential of the site,
// so that no upstream learns one: well-formed or not, and on public routes too,
// where the gate looked at none. It also removes a credential in a header that
// the site doesn't read: one of the gate's own form, or the one in use. The
// query stays byte for byte except for the site's own credential fields. sent is
// the target as it was sent, nil if that is not known.
func (s Set) Strip(r *http.Request, sent *url.URL) {
	inUse, err := s.Find(r)
	if err != nil {
		inUse.Text = ""
	}
	for _, one := range s {
		one.strip(r, sent)
	}
	for name, lines := range r.Header {
		for _, line := range lines {
			if holdsCredential(line, inUse.Text) {
				stripHeader(r.Header, name, inUse.Text)
				break
			}
		}
	}
}

// stripHeader removes the lines of a header that hold a credential, and of
// Cookie only the cookies that do.
func stripHeader(h http.Header, name, inUse string) {
	if name == "Cookie" {
		wire.KeepCookies(h, func(pair string) bool { return !holdsCredential(pair, inUse) })
		return
	}
	var kept []string
	for _, line := range h[name] {
		if !holdsCredential(line, inUse) {
			kept = append(kept, line)
		}
	}
	if kept == nil {
		delete(h, name)
		return
	}
	h[name] = kept
}

// minInside is the least length of a credential that is looked for within a
// longer value. A shorter one may stand there by chance.
const minInside = 16

// holdsCredential reports whether a header's value holds a credential of our
// form, or the one in use, also as a part of it (Key …, key=…) or encoded for
// HTTP Basic authentication.
func holdsCredential(value, inUse string) bool {
	if credential.Contains(value) || inUse != "" && holds(value, inUse) {
		return true
	}
	const scheme = "basic "
	if len(value) <= len(scheme) || !wire.EqualFold(value[:len(scheme)], scheme) {
		return false
	}
	var decoded [maxCredential + 128]byte
	encoded := strings.TrimLeft(value[len(scheme):], " ")
	if base64.StdEncoding.DecodedLen(len(encoded)) > len(decoded) {
		return false
	}
	n, _ := base64.StdEncoding.Decode(decoded[:], []byte(encoded)) // as far as it is valid
	userPass := string(decoded[:n])
	return credential.Contains(userPass) || inUse != "" && holds(userPass, inUse)
}

// holds reports whether a value is a credential, or holds it between bytes that
// are neither letters nor digits.
func holds(value, credential string) bool {
	if len(credential) < minInside {
		return value == credential
	}
	for from := 0; ; from++ {
		i := strings.Index(value[from:], credential)
		if i < 0 {
			return false
		}
		from += i
		end := from + len(credential)
		if (from == 0 || !wire.IsAlphanumeric(value[from-1])) && (end == len(value) || !wire.IsAlphanumeric(value[end])) {
			return true
		}
	}
}
