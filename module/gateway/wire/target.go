package wire

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Allowed are the escapes that a route allows in its path.
type Allowed struct{ Slash, Colon bool }

// CheckTarget refuses a target that the gate and an upstream could read
// differently, however the upstream reads it. sent is the target as the client
// sent it: handlers before the gate may have rewritten it. path is the escaped
// path, the bytes that are forwarded.
func CheckTarget(r *http.Request, sent, path string, allowed Allowed) error {
	if !originForm(r, sent) {
		return ErrNotAPath
	}
	// HTTP/2 and HTTP/3 can carry it. Forwarded, it would be escaped.
	if strings.IndexByte(r.RequestURI, ' ') >= 0 {
		return ErrSpace
	}
	if err := checkEscapes(path, allowed); err != nil {
		return err
	}
	if err := checkPath(r.URL.Path); err != nil {
		return err
	}
	return checkQuery(r.URL.RawQuery)
}

// CheckPath refuses an escaped path that is refused whatever else its request
// has.
func CheckPath(path string, allowed Allowed) error {
	if err := checkEscapes(path, allowed); err != nil {
		return err
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return ErrPathEscape
	}
	return checkPath(decoded)
}

// originForm reports whether the target was sent in origin-form (RFC 9112,
// section 3.2.1).
func originForm(r *http.Request, sent string) bool {
	return strings.HasPrefix(r.RequestURI, "/") && strings.HasPrefix(sent, "/") &&
		r.URL.Scheme == "" && r.URL.Host == "" && r.URL.User == nil && r.URL.Opaque == ""
}

// checkEscapes refuses escapes that another parser may resolve before or after
// it splits the path, and those of characters that need none (RFC 3986,
// section 6.2.2.2): /%73tatus is a variable to one and a literal to another.
func checkEscapes(path string, allowed Allowed) error {
	for i := strings.IndexByte(path, '%'); i >= 0; {
		if i+2 >= len(path) {
			return ErrEscapeCut
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		if hi < 0 || lo < 0 {
			return ErrPathEscape
		}
		switch c := byte(hi<<4 | lo); {
		case c == '/':
			if !allowed.Slash {
				return ErrEscapedSlash
			}
		case c == ':':
			if !allowed.Colon {
				return ErrEscapedColon
			}
		case c < 0x20, c == 0x7f:
			return ErrEscapedControl
		case strings.IndexByte(`\%?;#`, c) >= 0:
			return ErrEscapedDelimiter
		case isUnreserved(c):
			return ErrNeedlessEscape
		}
		next := strings.IndexByte(path[i+3:], '%')
		if next < 0 {
			break
		}
		i += 3 + next
	}
	return nil
}

// checkPath looks at the decoded path, segment by segment.
func checkPath(path string) error {
	plain := true
	for i := range len(path) {
		switch c := path[i]; {
		case c < 0x20, c == 0x7f:
			return ErrControl
		case c == '\\' || c == ';':
			return ErrDelimiter
		case c == '/' && i > 0 && path[i-1] == '/':
			return ErrEmptySegment
		case c == ' ' || c >= utf8.RuneSelf:
			plain = false
		}
	}
	if !plain && !utf8.ValidString(path) {
		return ErrNotUTF8
	}
	for rest := path; rest != ""; {
		var seg string
		seg, rest, _ = strings.Cut(rest, "/")
		if !plain {
			if strings.ContainsFunc(seg, unicode.IsControl) {
				return ErrControl
			}
			if seg = folded(seg); strings.ContainsAny(seg, `/\`) {
				return ErrLikeSlash
			}
		}
		if seg == "." || seg == ".." {
			return ErrDotSegment
		}
	}
	return nil
}

// folded returns what a lenient file system or framework may make of a name:
// compatibility forms are replaced (NFKC), spaces and invisible characters are
// gone.
func folded(name string) string {
	drop := func(s string) string {
		return strings.Map(func(c rune) rune {
			if unicode.IsSpace(c) || unicode.Is(unicode.Cf, c) {
				return -1
			}
			return c
		}, s)
	}
	return drop(norm.NFKC.String(drop(name)))
}

// checkQuery refuses a raw ; (a separator to some), and characters that can't
// stand in a query (RFC 3986, section 3.4) and would end it for some.
func checkQuery(query string) error {
	for i := range len(query) {
		switch c := query[i]; {
		case c == ';':
			return ErrQuerySemicolon
		case c == '#', c <= 0x20, c == 0x7f:
			return ErrQueryCharacter
		}
	}
	return nil
}
