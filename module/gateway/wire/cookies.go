package wire

import (
	"net/http"
	"strings"
)

// KeepCookies leaves the cookies of which keep returns true, byte for byte.
func KeepCookies(h http.Header, keep func(pair string) bool) {
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

// NamesCookie reports whether a cookie of this name, in any case, stands in a
// text, as any parser reads it: some split at commas and spaces too, and some
// take quotes off. So it is the name between bytes that can't be part of one,
// with = behind it.
func NamesCookie(text, name string) bool {
	for i := 0; i+len(name) < len(text); i++ {
		if (text[i] != name[0]) || !strings.EqualFold(text[i:i+len(name)], name) || i > 0 && (IsTokenByte(text[i-1]) || text[i-1] == '=') {
			continue
		}
		rest := strings.TrimLeftFunc(text[i+len(name):], func(c rune) bool {
			return c != '=' && c != ';' && (c >= 0x80 || !IsTokenByte(byte(c)))
		})
		if strings.HasPrefix(rest, "=") {
			return true
		}
	}
	return false
}
