package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var watched = []Field{
	{Path: "user_app_id.user_id", Part: Owner}, {Path: "user_app_id.app_id", Part: App},
	{Path: "uploads.user_app_id.user_id", Part: Owner}, {Path: "uploads.user_app_id.app_id", Part: App},
}

// numbered returns a text of some size made of n = 0, 1, 2…
func numbered(size int, format string) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// fill repeats a text up to a size.
func fill(size int, text string) string { return strings.Repeat(text, max(1, size/len(text))) }

// shapes are JSON texts of about a size that cost much if anything in the
// reader depends on more than the text's length.
func shapes(size int) map[string]string {
	const deep = 100
	name := strings.Repeat("a", size/2/deep)
	return map[string]string{
		"deep, then wide":                 strings.Repeat(`{"`+name+`":`, deep) + `{` + numbered(size/3, `"%x":0,`) + `"":0}` + strings.Repeat("}", deep),
		"a long name with many members":   `{"` + strings.Repeat("b", size/2) + `":{` + numbered(size/2, `"%x":0,`) + `"":0}}`,
		"a watched name with many":        `{"user_app_id":{` + numbered(size, `"%x":0,`) + `"":0}}`,
		"one large object":                `{` + numbered(size, `"%x":0,`) + `"":0}`,
		"objects that are just too large": `[` + fill(size, `{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0},`) + `0]`,
		"small objects":                   `[` + fill(size, `{"a":0},`) + `0]`,
		"watched objects":                 `{"user_app_id":[` + fill(size, `{"user_id":""},`) + `{}]}`,
		"empty objects":                   `[` + fill(size, `{},`) + `0]`,
		"small numbers":                   `[` + fill(size, `1,`) + `1]`,
		"escaped names":                   `{` + numbered(size, `"\u0061%x":0,`) + `"":0}`,
		"escaped text":                    `"` + fill(size, `\u0061`) + `"`,
		"invisible characters in a name":  `{"` + fill(size, "\u00ad") + `":0}`,
		"accents in a name":               `{"` + fill(size, "\u0301") + `":0}`,
		"symbols in a name":               `{"` + fill(size, "\u2028") + `":0}`,
		"long decompositions in a name":   `{"` + fill(size, "\ufdfa") + `":0}`,
		"digits in a name":                `{"` + fill(size, "1") + `":0}`,
		"positions in a name":             `{"` + fill(size, "1.") + `":0}`,
		"names that begin alike":          `{` + numbered(size, `"user_app_ic%x":0,`) + `"":0}`,
		"one text":                        `"` + fill(size, `a`) + `"`,
		"white space":                     fill(size, " ") + "1",
		"opening brackets":                fill(size, "["),
	}
}

// The work grows as the text does: comparisons of names, bytes that are
// compared with watched names, and memory.
func TestCostIsLinear(t *testing.T) {
	b := NewBody(watched)
	work := func(text string) int {
		r := reader{ctx: t.Context(), text: text, names: b.names, found: func([]Found) {}, due: checkEvery}
		if err := r.all(&b.root); err != nil && !errors.Is(err, ErrDepth) {
			t.Fatalf("%v in %.80q", err, text)
		}
		return r.read + r.members.looks
	}
	small, large := shapes(64<<10), shapes(1<<20)
	for name, text := range large {
		if got := work(text); got > 10*len(text) {
			t.Errorf("%s: %d steps for %d bytes", name, got, len(text))
		}
		before, after := work(small[name])+64, work(text)
		if ratio, size := float64(after)/float64(before), float64(len(text))/float64(len(small[name])); ratio > 2*size {
			t.Errorf("%s: a text %.1f times as long takes %.1f times the steps", name, size, ratio)
		}
	}
}

// A client that has gone away costs no more.
func TestReadingStopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, text := range map[string]string{"numbers": "[" + fill(1<<20, "1,") + "1]", "objects": "[" + fill(1<<20, "{},") + "1]"} {
		r := reader{ctx: ctx, text: text, names: NewNames(nil), found: func([]Found) {}, due: checkEvery}
		if err := r.all(new(member)); !errors.Is(err, context.Canceled) || r.at > 2*checkEvery {
			t.Errorf("%s: %v after %d bytes", name, err, r.at)
		}
	}
	found := 0
	if err := NewNames(watched).Form(ctx, fill(1<<20, "user_app_id.user_id=x&"), func(Found) { found++ }); !errors.Is(err, context.Canceled) || found > 2*checkEvery/22 {
		t.Errorf("a form: %v after %d", err, found)
	}
}

// BenchmarkRead reads bodies of 1 MiB of every costly shape.
func BenchmarkRead(b *testing.B) {
	body := NewBody(watched)
	for name, text := range shapes(1 << 20) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				_ = body.Read(b.Context(), text, func([]Found) {})
			}
		})
	}
}

func BenchmarkForm(b *testing.B) {
	names := NewNames(watched)
	for name, text := range map[string]string{
		"pairs": fill(1<<20, "a=1&"), "escapes": fill(1<<20, "%61=1&"), "ampersands": fill(1<<20, "&"), "semicolons": fill(1<<20, ";"),
		"watched": fill(1<<20, "user_app_id.user_id=alice&"), "invisible": fill(1<<20, "\u00ad"), "accents": fill(1<<20, "\u0301"),
		"escaped accents": fill(1<<20, "%CC%81"), "one name": fill(1<<20, "user_app_i_"), "positions": fill(1<<20, "1."),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				_ = names.Form(b.Context(), text, func(Found) {})
			}
		})
	}
}
