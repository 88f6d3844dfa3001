package portal

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
)

// color is red, green and blue in sRGB.
type color [3]uint8

var (
	white = color{255, 255, 255}
	black = color{0, 0, 0}
)

// parseColor reads #rgb or #rrggbb, with or without the #, which begins a comment
// in a Caddyfile unless it is quoted.
func parseColor(text string) (c color, err error) {
	digits := strings.TrimPrefix(text, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	if len(digits) != 2*len(c) {
		digits = ""
	}
	if n, err := hex.Decode(c[:], []byte(digits)); err != nil || n != len(c) {
		return color{}, fmt.Errorf("%q is not a color; write \"#rgb\" or \"#rrggbb\", such as \"#0f6b66\"", text)
	}
	return c, nil
}

func (c color) String() string { return "#" + hex.EncodeToString(c[:]) }

// mix returns a color between c and other. share is the part of other, from 0 to 1.
func (c color) mix(other color, share float64) (mixed color) {
	for i := range c {
		mixed[i] = uint8(math.Round(float64(c[i])*(1-share) + float64(other[i])*share))
	}
	return mixed
}

// luminance is the relative luminance of WCAG 2.2.
func (c color) luminance() float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(c[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

// contrast is the contrast ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b color) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// readable is the contrast that WCAG 2.2 AA asks of text, and a little more,
// because colors are rounded.
const readable = 4.6

// theme is a color scheme of the style sheet: its surfaces, and the end towards
// which an accent gains contrast on them.
type theme struct {
	card, page, sunken, toward, text color
	// soft is the share of the accent in the surface behind the current page's name.
	soft float64
}

var (
	lightTheme = theme{card: white, page: color{0xf6, 0xf7, 0xf8}, sunken: color{0xee, 0xf0, 0xf2}, toward: black, text: white, soft: .1}
	darkTheme  = theme{card: color{0x17, 0x1b, 0x1e}, page: color{0x0f, 0x12, 0x14}, sunken: color{0x1f, 0x25, 0x29}, toward: white, text: color{0x06, 0x08, 0x0a}, soft: .16}
)

// accent returns the color nearest to c that is readable in the theme, as text on
// every surface and as a surface behind text, and the soft surface for it.
func (t theme) accent(c color) (accent, soft color) {
	for step := range 101 {
		accent = c.mix(t.toward, float64(step)/100)
		soft = t.card.mix(accent, t.soft)
		lowest := contrast(accent, t.text)
		for _, surface := range []color{t.card, t.page, t.sunken, soft} {
			lowest = min(lowest, contrast(accent, surface))
		}
		if lowest >= readable {
			break
		}
	}
	return accent, soft
}

// accentStyle returns the style sheet that gives the portal its accent.
func accentStyle(c color) string {
	properties := func(t theme) string {
		accent, soft := t.accent(c)
		return fmt.Sprintf(":root { --accent: %s; --accent-soft: %s; --accent-text: %s; }", accent, soft, t.text)
	}
	return properties(lightTheme) + "\n@media (prefers-color-scheme: dark) { " + properties(darkTheme) + " }\n"
}
