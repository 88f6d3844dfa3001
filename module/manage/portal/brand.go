package portal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net/http"
)

// Brand is how an operator's portal differs from others: its name, logo and color.
// The zero value is the default. [NewBrand] makes one.
type Brand struct {
	// Name stands on every page and in its title.
	Name string

	logo, logoType string
	style          string
	// version changes with the assets of the brand, so browsers may cache them.
	version string
}

// MaxLogo is the largest logo in bytes. With it, the first page takes less than
// 60 KiB.
const MaxLogo = 24 << 10

const (
	logoName   = "logo"
	brandStyle = "brand.css"
)

// NewBrand makes a brand. name, logo and accent may be empty. logo is an SVG or PNG
// picture, and accent a color such as #0a7 or #00aa77.
func NewBrand(name string, logo []byte, accent string) (Brand, error) {
	b := Brand{Name: name}
	if len(logo) > 0 {
		kind, err := logoType(logo)
		if err != nil {
			return Brand{}, fmt.Errorf("logo: %w", err)
		}
		b.logo, b.logoType = string(logo), kind
	}
	if accent != "" {
		c, err := parseColor(accent)
		if err != nil {
			return Brand{}, fmt.Errorf("accent: %w", err)
		}
		b.style = accentStyle(c)
	}
	sum := sha256.Sum256([]byte(version() + b.logo + "\n" + b.style))
	b.version = hex.EncodeToString(sum[:8])
	return b, nil
}

// logoType returns the media type of a logo. Its text decides, not its file's name.
func logoType(logo []byte) (string, error) {
	if len(logo) > MaxLogo {
		return "", fmt.Errorf("it has %d bytes; at most %d are allowed", len(logo), MaxLogo)
	}
	if _, err := png.DecodeConfig(bytes.NewReader(logo)); err == nil {
		return "image/png", nil
	}
	if err := checkSVG(logo); err != nil {
		return "", fmt.Errorf("it is neither a PNG nor an SVG picture: %w", err)
	}
	return "image/svg+xml", nil
}

// checkSVG requires one well-formed element svg.
func checkSVG(text []byte) error {
	d := xml.NewDecoder(bytes.NewReader(text))
	root := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if start, ok := token.(xml.StartElement); ok && !root {
			if start.Name.Local != "svg" || start.Name.Space != "http://www.w3.org/2000/svg" {
				return fmt.Errorf("its element is %s in the name space %q, not svg in http://www.w3.org/2000/svg", start.Name.Local, start.Name.Space)
			}
			root = true
		}
	}
	if !root {
		return errors.New("it has no element")
	}
	return nil
}

// HasLogo reports whether pages show a logo of the brand's own.
func (b *Brand) HasLogo() bool { return b.logo != "" }

// HasStyle reports whether the brand has a style sheet.
func (b *Brand) HasStyle() bool { return b.style != "" }

// Title returns the name of the portal.
func (b *Brand) Title() string {
	if b.Name == "" {
		return "API keys"
	}
	return b.Name
}

// Version returns the version of the brand's assets.
func (b *Brand) Version() string { return b.version }

// asset returns an asset of the brand and its media type, or no type if there is
// none.
func (b *Brand) asset(name, version string) (text, kind string) {
	switch {
	case version != b.version:
		return "", ""
	case name == logoName && b.HasLogo():
		return b.logo, b.logoType
	case name == brandStyle && b.HasStyle():
		return b.style, "text/css; charset=utf-8"
	}
	return "", ""
}

// lockLogo keeps an SVG from running scripts and from loading anything, even when
// it is opened by itself. Its own style is harmless.
func lockLogo(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
}
