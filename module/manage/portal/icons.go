package portal

import (
	"fmt"
	"html/template"
)

// icons are the drawings of the pages' icons, on a field of 20 by 20, for a pen of
// the style sheet. They are parts of the pages, so that they cost no request.
var icons = map[string]string{ //nolint:gosec // drawings
	"account": "M10 10a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM3.8 16.6c.8-2.7 3.2-4.3 6.2-4.3s5.4 1.6 6.2 4.3",
	"apps":    "M3.5 3.5h5v5h-5zM11.5 3.5h5v5h-5zM3.5 11.5h5v5h-5zM11.5 11.5h5v5h-5z",
	"audit":   "M5 3.5h10v13H5zM7.6 7h4.8M7.6 10h4.8M7.6 13h2.6",
	"change":  "M12.8 4.2l3 3L7.4 15.6l-3.7.7.7-3.7zM11 6l3 3",
	"copy":    "M7.5 7.5h9v9h-9zM12.5 7.5v-4h-9v9h4",
	"key":     "M6.8 13.4a3.4 3.4 0 1 0 0-6.8 3.4 3.4 0 0 0 0 6.8zM10.2 10h7M14.6 10v3M17.2 10v2",
	"keys":    "M6 9.6a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8.8 6.8h8M14 6.8v2.4M3.4 13h13.2M3.4 16h8.6",
	"leak":    "M10 3.4l7.2 12.8H2.8zM10 8.2v3.6M10 14v.2",
	"leave":   "M8.4 3.6h-5v12.8h5M12.6 6.6L16 10l-3.4 3.4M7.2 10H16",
	"more":    "M4.6 10h.1M10 10h.1M15.3 10h.1",
	"people":  "M7.4 9.4a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4zM2.4 16c.5-2.6 2.5-4.2 5-4.2s4.5 1.6 5 4.2M12.6 4.3a2.7 2.7 0 0 1 0 4.9M14.2 12.1c1.8.5 3 1.9 3.4 3.9",
	"plus":    "M10 4v12M4 10h12",
	"revoke":  "M4 5.6h12M8 5.6V3.6h4v2M5.6 5.6l.7 10.8h7.4l.7-10.8M8.6 8.6v5M11.4 8.6v5",
	"rotate":  "M15.8 8.2A6.2 6.2 0 0 0 4.4 7.2M4.2 11.8a6.2 6.2 0 0 0 11.4 1M4 3.6v3.8h3.8M16 16.4v-3.8h-3.8",
	"search":  "M8.8 14a5.2 5.2 0 1 0 0-10.4 5.2 5.2 0 0 0 0 10.4zM12.6 12.6l4 4",
	"secure":  "M10 3l6 2.2v4.3c0 3.6-2.5 6.2-6 7.5-3.5-1.3-6-3.9-6-7.5V5.2zM7.4 9.8l1.9 1.9 3.4-3.6",
	"token":   "M3 5h14v10H3zM6.8 10.4a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2zM4.8 13c.4-1 1.1-1.5 2-1.5s1.6.5 2 1.5M11.4 8.4h3.4M11.4 11.4h3.4",
}

// icon returns the drawing of a name. Words beside it tell what it means, so that
// screen readers leave it out.
func icon(name string) (template.HTML, error) {
	path, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %s", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false"><path d="` + path + `"/></svg>`), nil //nolint:gosec // drawings of the program's own
}
