package gateway

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage/portal"
)

// stripCredential takes away what may be a credential of ours, so that no
// upstream learns one: well-formed or not, and on public routes too, where
// none was looked at. A credential in a header that the site doesn't read goes
// too: one of our form, or the one in use. The query is forwarded byte for byte
// except for the site's own credential fields.
func (g *Gate) stripCredential(r *http.Request) {
	inUse, refused := g.credential(r)
	if refused != nil {
		inUse.text = ""
	}
	for _, line := range r.Header["Authorization"] {
		// Not wire.EqualFold: an upstream may take a Kelvin sign for a k.
		if namesOurs(line, strings.EqualFold) {
			delete(r.Header, "Authorization")
			break
		}
	}
	if g.sessionHeader != "" {
		delete(r.Header, g.sessionHeader)
	}
	for i := range g.Credential {
		switch s := &g.Credential[i]; s.In {
		case "header":
			delete(r.Header, s.Name)
		case "query":
			g.stripQuery(r, s.Name)
		}
	}
	for name, lines := range r.Header {
		for _, line := range lines {
			if holdsCredential(line, inUse.text) {
				stripHeader(r.Header, name, inUse.text)
				break
			}
		}
	}
}

func (g *Gate) stripQuery(r *http.Request, name string) {
	if without := withoutField(r.URL.RawQuery, name); without != r.URL.RawQuery {
		r.URL.RawQuery = without
		r.RequestURI = r.URL.RequestURI() // what other handlers log
	}
	// Error routes are given the target as it was sent.
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		sent.URL.RawQuery = withoutField(sent.URL.RawQuery, name)
	}
}

// stripHeader removes the lines of a header that hold a credential, and of
// Cookie only the cookies that do.
func stripHeader(h http.Header, name, inUse string) {
	if name == "Cookie" {
		keepCookies(h, func(pair string) bool { return !holdsCredential(pair, inUse) })
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
	if keys.Contains(value) || inUse != "" && holds(value, inUse) {
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
	return keys.Contains(userPass) || inUse != "" && holds(userPass, inUse)
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

// dropPortalCookie removes the cookie in which the portal keeps a session.
// Browsers send it to every port of a host, so the gate of any site sees it. It
// is ours alone: no upstream gets it, in no mode and with no option.
func dropPortalCookie(h http.Header) {
	for _, line := range h["Cookie"] {
		if namesCookie(line, portal.Cookie) {
			keepCookies(h, func(pair string) bool { return !namesCookie(pair, portal.Cookie) })
			return
		}
	}
}

// sentCookies is the key of the Cookie lines that the portal's cookie was
// dropped from, for another portal further on.
type sentCookies struct{}

// withoutPortalCookie is a request to hand on behind a portal.
func withoutPortalCookie(r *http.Request) *http.Request {
	sent := r.Header["Cookie"]
	dropPortalCookie(r.Header)
	if now := r.Header["Cookie"]; len(now) > 0 && len(sent) > 0 && &now[0] == &sent[0] || len(sent) == 0 {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), sentCookies{}, sent))
}

// restoreCookies undoes withoutPortalCookie.
func restoreCookies(r *http.Request) {
	if sent, ok := r.Context().Value(sentCookies{}).([]string); ok {
		r.Header["Cookie"] = sent
	}
}

// keepCookies leaves the cookies of which keep returns true, byte for byte.
func keepCookies(h http.Header, keep func(pair string) bool) {
	var lines []string
	for _, line := range h["Cookie"] {
		var pairs []string
		dropped := false
		for pair := range strings.SplitSeq(line, ";") {
			if keep(pair) {
				pairs = append(pairs, pair)
			} else {
				dropped = true
			}
		}
		if dropped {
			line = strings.TrimLeft(strings.Join(pairs, ";"), " \t")
		}
		if !dropped || strings.Trim(line, "; \t") != "" {
			lines = append(lines, line)
		}
	}
	if lines == nil {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = lines
}

// namesCookie reports whether a cookie of this name, in any case, stands in a
// text, as any parser reads it: some split at commas and spaces too, and some
// take quotes off. So it is the name between bytes that can't be part of one,
// with = behind it.
func namesCookie(text, name string) bool {
	for i := 0; i+len(name) < len(text); i++ {
		if (text[i] != name[0]) || !strings.EqualFold(text[i:i+len(name)], name) || i > 0 && (wire.IsTokenByte(text[i-1]) || text[i-1] == '=') {
			continue
		}
		rest := strings.TrimLeftFunc(text[i+len(name):], func(c rune) bool {
			return c != '=' && c != ';' && (c >= 0x80 || !wire.IsTokenByte(byte(c)))
		})
		if strings.HasPrefix(rest, "=") {
			return true
		}
	}
	return false
}
