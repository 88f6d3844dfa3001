package wire

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// CheckFraming refuses the ambiguous framing that net/http leaves, hosts that
// net/http forwards otherwise than they came, and connection headers in versions of HTTP that have none (RFC 9113, section
// 8.2.2).
func CheckFraming(r *http.Request) error {
	h := r.Header
	if len(h["Transfer-Encoding"]) > 0 || len(r.TransferEncoding) > 1 ||
		len(r.TransferEncoding) == 1 && r.TransferEncoding[0] != "chunked" {
		return ErrTransferEncoding
	}
	if lengths := h["Content-Length"]; len(lengths) > 1 || len(lengths) == 1 && len(r.TransferEncoding) > 0 {
		return ErrLengths
	} else if len(lengths) == 1 && !isLength(lengths[0], r.ContentLength) {
		return ErrLength
	}
	if !isHost(r.Host) {
		return ErrHost
	}
	if len(h["Content-Type"]) > 1 {
		return ErrContentTypes
	}
	if resemblesGRPC(r) && !IsGRPC(r) {
		return ErrLikeGRPC
	}
	if padded(h) {
		return ErrPadded
	}
	if r.ProtoMajor >= 2 && (len(h["Connection"]) > 0 || len(h["Proxy-Connection"]) > 0 || len(h["Keep-Alive"]) > 0 || len(h["Upgrade"]) > 0) {
		return ErrConnectionHeaders
	}
	return nil
}

// isHost reports whether a host is forwarded as it came, except the zone of an
// IPv6 address, which no server needs (RFC 6874, section 3). net/http takes out
// what follows the last escape, and it cuts a host off at a slash. HTTP/1.0
// needs no host.
func isHost(host string) bool {
	zone := strings.HasPrefix(host, "[")
	for i := range len(host) {
		switch c := host[i]; c {
		case '%':
			if !zone {
				return false
			}
			zone = false
		case '/', '\\', '?', '#', '@', '"', '<', '>', '^', '`', '{', '|', '}':
			return false
		default:
			if c <= ' ' || c >= 0x7f {
				return false
			}
		}
	}
	return true
}

// isLength reports whether a Content-Length says what net/http made of it. In
// HTTP/2 net/http makes nothing of it where the stream has no body or the text
// is not a number (RFC 9113, section 8.1.1).
func isLength(text string, length int64) bool {
	n, err := strconv.ParseUint(text, 10, 63)
	return err == nil && int64(n) == length
}

// padded reports whether any value has white space around it. HTTP/2 and HTTP/3
// can carry it, though they must not (RFC 9113, section 8.2.1), and in HTTP/1.1
// net/http leaves it behind a value that is folded (RFC 9112, section 5.2). The
// next hop takes it away: " Key K" is not a credential here, and is one there.
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
