package tenant

import (
	"context"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// overrideNames are the parameters by which a request asks upstreams to take
// its method for another. The first ones have a mark in front, as _method has:
// method alone is a name like any other.
var overrideNames = NewNames([]Field{
	{Path: "method"},
	{Path: "httpmethod"},
	{Path: "methodoverride"},
	{Path: "httpmethodoverride"},
	{Path: "xhttpmethod"},
	{Path: "xmethodoverride"},
	{Path: "xhttpmethodoverride"},
})

// markedNames is how many of overrideNames have a mark in front.
const markedNames = 4

// Overrides reports whether some upstream may take a decoded name for one that
// overrides the method.
func Overrides(name string) bool {
	i, ok := overrideNames.Find(name)
	if !ok || i >= markedNames {
		return ok
	}
	first, _ := utf8.DecodeRuneInString(name)
	return !unicode.IsLetter(first) && !unicode.IsDigit(first)
}

// OverridesIn calls found with every method that a query or a form asks to be
// taken for, empty where it can't be decoded. It stops with the context's
// error.
func OverridesIn(ctx context.Context, text string, found func(method string)) error {
	return eachPair(ctx, text, func(pair string) {
		name, value, _ := strings.Cut(pair, "=")
		if !Overrides(Unescape(name)) {
			return
		}
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		} else {
			value = ""
		}
		found(value)
	})
}

// OverridesInPart reports whether a header of a part of a form has a name that
// overrides the method: as any word of it, whichever parameter that is, quoted,
// escaped or encoded. A name in pieces (RFC 2231, section 3) counts as one.
func OverridesInPart(header string) bool {
	header = strings.ReplaceAll(header, `\`, "")
	words := strings.FieldsFunc(header, func(c rune) bool {
		return unicode.IsSpace(c) || strings.ContainsRune(`"';:=,?`, c)
	})
	for _, word := range words {
		piece, digits, cut := strings.Cut(word, "*")
		if cut && strings.EqualFold(piece, "name") && digits != "" || Overrides(Unescape(word)) {
			return true
		}
	}
	return false
}

// HasReserved reports whether a name of a query or a form leads through
// __proto__ or constructor: what JavaScript reads behind them is everywhere. It
// stops with the context's error.
func HasReserved(ctx context.Context, text string) (found bool, err error) {
	if !strings.Contains(text, "%") && !strings.Contains(text, protoName) && !strings.Contains(text, constructorName) {
		return false, nil
	}
	err = eachPair(ctx, text, func(pair string) {
		name, _, _ := strings.Cut(pair, "=")
		found = found || leadsThroughReserved(Unescape(name))
	})
	return found, err
}

const (
	protoName       = "__proto__"
	constructorName = "constructor"
)

func leadsThroughReserved(name string) bool {
	if !strings.Contains(name, protoName) && !strings.Contains(name, constructorName) {
		return false
	}
	parts := strings.FieldsFunc(name, func(c rune) bool {
		return c != '_' && c != '-' && c != '$' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	})
	for _, part := range parts {
		if part == protoName || part == constructorName {
			return true
		}
	}
	return false
}
