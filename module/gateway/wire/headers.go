package wire

import (
	"net/http"
	"net/textproto"
	"strings"
)

// overrideHeaders make some upstreams see another method or path than the one
// that was decided about.
var overrideHeaders = [...]string{
	"x-http-method-override", "x-http-method", "x-method-override",
	"x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url",
}

// IsOverride reports whether some upstream takes a header of this name for one
// that replaces the method or the path.
func IsOverride(name string) bool {
	if len(name) <= 2 || name[0] != 'X' && name[0] != 'x' {
		return false
	}
	for _, o := range overrideHeaders {
		if len(name) == len(o) && FoldedPrefix(name, o) {
			return true
		}
	}
	return false
}

// FoldedPrefix reports whether name begins with prefix, which is of letters in
// lower case, digits and -, however name is spelled: some servers read every
// byte that is neither letter nor digit as the same (a CGI variable has neither
// - nor . in it).
func FoldedPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case (c < 'a' || c > 'z') && (c < '0' || c > '9'):
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// KeepConnection leaves of Connection only what is about the connection. It
// names headers that the next hop removes (RFC 9110, section 7.6.1), so a
// client could have the gate's removed, or those that the decision rests on.
func KeepConnection(h http.Header) {
	lines := h["Connection"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for option := range strings.SplitSeq(line, ",") {
			option = textproto.TrimString(option)
			switch strings.ToLower(option) {
			case "close", "keep-alive", "te":
				kept = append(kept, option)
			case "upgrade":
				if len(h["Upgrade"]) > 0 {
					kept = append(kept, option)
				}
			default: // a header of the client's choice
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
}

// DropTrailers removes the trailers, which arrive after the decision. The
// server fills in those of the request that it knows itself, which is another.
func DropTrailers(r *http.Request) {
	delete(r.Header, "Trailer")
	r.Trailer = nil
}
