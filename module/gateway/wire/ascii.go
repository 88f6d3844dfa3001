package wire

import "strings"

// EqualFold compares with a text in lower case, whatever the case of ASCII
// letters. [strings.EqualFold] takes a long s for an s too.
func EqualFold(s, lower string) bool {
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

// IsToken reports whether a text can be the name of a header field (RFC 9110,
// section 5.6.2).
func IsToken(name string) bool {
	for i := range len(name) {
		if !IsTokenByte(name[i]) {
			return false
		}
	}
	return name != ""
}

// IsTokenByte reports whether a byte can be part of a token (RFC 9110, section
// 5.6.2), such as the name of a header or a cookie.
func IsTokenByte(c byte) bool {
	return IsAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// IsAlphanumeric reports whether a byte is an ASCII letter or digit.
func IsAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isUnreserved reports whether a byte needs no escape in a path (RFC 3986,
// section 2.3).
func isUnreserved(c byte) bool {
	return IsAlphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

// unhex returns the value of a hexadecimal digit, -1 for any other byte.
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
