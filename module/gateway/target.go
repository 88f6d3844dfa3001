package gateway

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/text/unicode/norm"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// checkTarget refuses a request that the gate and an upstream could read
// differently, however the upstream reads it: what it says of the target, its
// framing, and attempts to leave HTTP. The answer is the reason, empty if
// there is none. path is the escaped one, the bytes that are forwarded.
func (g *Gate) checkTarget(r *http.Request, path string, rule *policy.Rule) string {
	if !originForm(r) {
		return "the request target has to be a path: it begins with a slash and names no scheme or host"
	}
	// HTTP/2 and HTTP/3 can carry it. Forwarded, it would be escaped.
	if strings.IndexByte(r.RequestURI, ' ') >= 0 {
		return "the request target has a space in it (write it as %20)"
	}
	if why := checkEscapes(path, rule != nil && rule.AllowsEncodedSlash(), rule != nil && rule.AllowsColon()); why != "" {
		return why
	}
	if why := checkPath(r.URL.Path); why != "" {
		return why
	}
	if why := checkQuery(r.URL.RawQuery); why != "" {
		return why
	}
	if len(g.ownership.queryFields) > 0 && !decodable(r.URL.RawQuery) {
		return "the query has an invalid escape"
	}
	if g.ownership.reserved(r.URL.RawQuery) {
		return "the query has a name with __proto__ or constructor in it"
	}
	if g.overridden(r.URL.RawQuery, path, rule) {
		return overrideWhy
	}
	if why := checkFraming(r); why != "" {
		return why
	}
	return checkUpgrade(r)
}

// originForm says whether the target was sent in origin-form (RFC 9112,
// section 3.2.1). Handlers before this one may have rewritten it, so what was
// sent first counts too.
func originForm(r *http.Request) bool {
	if !strings.HasPrefix(r.RequestURI, "/") || r.URL.Scheme != "" || r.URL.Host != "" || r.URL.User != nil || r.URL.Opaque != "" {
		return false
	}
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return strings.HasPrefix(sent.RequestURI, "/")
	}
	return true
}

// checkEscapes refuses escapes that another parser may resolve before or after
// it splits the path, and those of characters that need none (RFC 3986,
// section 6.2.2.2): /%73tatus is a variable to one and a literal to another.
func checkEscapes(path string, slash, colon bool) string {
	for i := strings.IndexByte(path, '%'); i >= 0; {
		if i+2 >= len(path) {
			return "the path ends within an escape"
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		if hi < 0 || lo < 0 {
			return "the path has an invalid escape"
		}
		switch c := byte(hi<<4 | lo); {
		case c == '/':
			if !slash {
				return "the path has an escaped slash"
			}
		case c == ':':
			if !colon {
				return "the path has an escaped colon"
			}
		case c < 0x20, c == 0x7f:
			return "the path has an escaped control character"
		case strings.IndexByte(`\%?;#`, c) >= 0:
			return `the path has an escaped \ % ? ; or #`
		case isUnreserved(c):
			return "the path escapes a character that needs no escaping"
		}
		next := strings.IndexByte(path[i+3:], '%')
		if next < 0 {
			break
		}
		i += 3 + next
	}
	return ""
}

// CheckPath says why a request of this escaped path is refused whatever else it
// says, empty where it isn't. slash says that a route allows an escaped slash.
func CheckPath(path string, slash bool) string {
	if why := checkEscapes(path, slash, false); why != "" {
		return why
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return "the path has an invalid escape"
	}
	return checkPath(decoded)
}

// checkPath looks at the decoded path, segment by segment.
func checkPath(path string) string {
	plain := true
	for i := range len(path) {
		switch c := path[i]; {
		case c < 0x20, c == 0x7f:
			return "the path has a control character"
		case c == '\\' || c == ';':
			return `the path has a \ or a ;`
		case c == '/' && i > 0 && path[i-1] == '/':
			return "the path has an empty segment (//)"
		case c == ' ' || c >= utf8.RuneSelf:
			plain = false
		}
	}
	if !plain && !utf8.ValidString(path) {
		return "the path is not valid UTF-8"
	}
	for rest := path; rest != ""; {
		var seg string
		seg, rest, _ = strings.Cut(rest, "/")
		if !plain {
			if strings.ContainsFunc(seg, unicode.IsControl) {
				return "the path has a control character"
			}
			if seg = folded(seg); strings.ContainsAny(seg, `/\`) {
				return `the path has a character that some read as / or \`
			}
		}
		if seg == "." || seg == ".." {
			return "the path has a segment that is . or .., or that some read so"
		}
	}
	return ""
}

// folded is what a lenient file system or framework may make of a name:
// compatibility forms replaced (NFKC), spaces and invisible characters gone.
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

// checkQuery refuses a raw ; (a separator to some), and what can't stand in a
// query (RFC 3986, section 3.4) and would end it for some.
func checkQuery(query string) string {
	for i := range len(query) {
		switch c := query[i]; {
		case c == ';':
			return "the query has a ; (write it as %3B)"
		case c == '#', c <= 0x20, c == 0x7f:
			return "the query has a #, a space or a control character (escape it)"
		}
	}
	return ""
}

// decodable says whether every % begins an escape.
func decodable(query string) bool {
	for i := range len(query) {
		if query[i] == '%' && (i+2 >= len(query) || unhex(query[i+1]) < 0 || unhex(query[i+2]) < 0) {
			return false
		}
	}
	return true
}

// checkFraming refuses what is left of ambiguous framing once net/http has
// settled the rest, and connection headers in versions of HTTP that have none
// (RFC 9113, section 8.2.2).
func checkFraming(r *http.Request) string {
	h := r.Header
	if len(h["Transfer-Encoding"]) > 0 || len(r.TransferEncoding) > 1 ||
		len(r.TransferEncoding) == 1 && r.TransferEncoding[0] != "chunked" {
		return "the transfer encoding is not one that is understood"
	}
	if lengths := h["Content-Length"]; len(lengths) > 1 || len(lengths) == 1 && len(r.TransferEncoding) > 0 {
		return "the length of the body is given in more than one way"
	} else if len(lengths) == 1 && !isLength(lengths[0], r.ContentLength) {
		return "the length of the body is not the one that is given"
	}
	if len(h["Content-Type"]) > 1 {
		return "there is more than one Content-Type"
	}
	if resemblesGRPC(r) && !isGRPC(r) {
		return "the Content-Type resembles those of gRPC, and some upstreams take it for one"
	}
	if padded(h) {
		return "a header's value begins or ends with white space"
	}
	if r.ProtoMajor >= 2 && (len(h["Connection"]) > 0 || len(h["Proxy-Connection"]) > 0 || len(h["Keep-Alive"]) > 0 || len(h["Upgrade"]) > 0) {
		return "a connection header in a version of HTTP that has none"
	}
	return ""
}

// isLength says whether a Content-Length says what net/http made of it. In
// HTTP/2 that is none, where the stream has no body or the text is no number
// (RFC 9113, section 8.1.1).
func isLength(text string, length int64) bool {
	n, err := strconv.ParseUint(text, 10, 63)
	return err == nil && int64(n) == length
}

// padded says whether any value has white space around it. HTTP/2 and HTTP/3
// can carry it, though they must not (RFC 9113, section 8.2.1), and in HTTP/1.1
// net/http leaves it behind a value that is folded (RFC 9112, section 5.2). The
// next hop takes it away: " Key K" is no credential here, and one there.
func padded(h http.Header) bool {
	for _, values := range h {
		for _, v := range values {
			if len(v) != len(textproto.TrimString(v)) {
				return true
			}
		}
	}
	return false
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
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

const grpcType = "application/grpc"

// isGRPC tells gRPC requests by their content type (gRPC over HTTP/2,
// "Content-Type"): application/grpc alone, with a codec or parameters behind
// it, or one of gRPC-Web's.
func isGRPC(r *http.Request) bool {
	if !resemblesGRPC(r) {
		return false
	}
	rest := r.Header["Content-Type"][0][len(grpcType):]
	return rest == "" || strings.IndexByte("+; \t", rest[0]) >= 0 || len(rest) >= 4 && equalFold(rest[:4], "-web")
}

func resemblesGRPC(r *http.Request) bool {
	ct := r.Header["Content-Type"]
	return len(ct) > 0 && len(ct[0]) >= len(grpcType) && equalFold(ct[0][:len(grpcType)], grpcType)
}

// equalFold compares with a text in lower case, whatever the case of ASCII
// letters; strings.EqualFold takes a long s for an s too.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
