package gateway

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/manage/portal"
)

// PortalBrand makes the portal look like the operator's own.
type PortalBrand struct {
	// Name stands on every page instead of "API keys".
	Name string `json:"name,omitempty"`

	// Logo is the file of a picture, SVG or PNG, of at most 24 KiB. The portal
	// serves it so that an SVG can't run scripts.
	Logo string `json:"logo,omitempty"`

	// Accent is the color of links and buttons, such as #0f6b66. Where it isn't
	// readable, light and dark pages use the nearest color that is.
	Accent string `json:"accent,omitempty"`
}

// maxBrandName is the length of the longest name in characters.
const maxBrandName = 40

// check returns what is wrong with the brand, without reading the logo.
func (b *PortalBrand) check() error {
	if b == nil {
		return nil
	}
	if utf8.RuneCountInString(b.Name) > maxBrandName || strings.ContainsFunc(b.Name, unicode.IsControl) || b.Name != strings.TrimSpace(b.Name) {
		return fmt.Errorf("portal name %q: give at most %d characters, without line breaks and without spaces at the ends", b.Name, maxBrandName)
	}
	if _, err := portal.NewBrand(b.Name, nil, b.Accent); err != nil {
		return fmt.Errorf("portal %w", err)
	}
	return nil
}

// build reads the logo and makes the brand.
func (b *PortalBrand) build() (portal.Brand, error) {
	if b == nil {
		return portal.Brand{}, nil
	}
	var logo []byte
	if b.Logo != "" {
		var err error
		if logo, err = readLogo(b.Logo); err != nil {
			return portal.Brand{}, err
		}
	}
	brand, err := portal.NewBrand(b.Name, logo, b.Accent)
	if err != nil {
		return portal.Brand{}, fmt.Errorf("portal brand, logo file %q: %w", b.Logo, err)
	}
	return brand, nil
}

// readLogo reads a file, and no more of it than shows that it is too large.
func readLogo(name string) (logo []byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("portal logo: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	logo, err = io.ReadAll(io.LimitReader(file, portal.MaxLogo+1))
	if err == nil && len(logo) == 0 {
		err = fmt.Errorf("%s is empty", name)
	}
	if err != nil {
		return nil, fmt.Errorf("portal logo: %w", err)
	}
	return logo, nil
}
