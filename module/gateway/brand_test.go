package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage/portal"
)

func TestPortalBrand(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	svg := write("logo.svg", `<svg xmlns="http://www.w3.org/2000/svg"/>`)
	for name, c := range map[string]struct {
		brand *PortalBrand
		wrong string
	}{
		"none":        {nil, ""},
		"everything":  {&PortalBrand{Name: "Acme", Logo: svg, Accent: "#f06"}, ""},
		"no file":     {&PortalBrand{Logo: filepath.Join(folder, "none.svg")}, "none.svg"},
		"empty file":  {&PortalBrand{Logo: write("empty.svg", "")}, "is empty"},
		"large file":  {&PortalBrand{Logo: write("large.svg", strings.Repeat(" ", portal.MaxLogo+1))}, "at most"},
		"no picture":  {&PortalBrand{Logo: write("page.svg", "<html/>")}, "neither a PNG nor an SVG"},
		"no color":    {&PortalBrand{Accent: "red"}, "is not a color"},
		"two lines":   {&PortalBrand{Name: "a\nb"}, "line breaks"},
		"long name":   {&PortalBrand{Name: strings.Repeat("é", 41)}, "at most 40"},
		"longest":     {&PortalBrand{Name: strings.Repeat("é", 40)}, ""},
		"a space end": {&PortalBrand{Name: "a "}, "spaces at the ends"},
	} {
		err := c.brand.check()
		if err == nil {
			_, err = c.brand.build()
		}
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", name, err, c.wrong)
		}
	}
	if err := (&Manage{PortalBrand: &PortalBrand{Name: "Acme"}}).Check(); err == nil || !strings.Contains(err.Error(), "without portal") {
		t.Errorf("a brand without a portal: %v", err)
	}
}
