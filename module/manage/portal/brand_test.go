package portal

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

const logo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>alert(1)</script><rect width="1" height="1"/></svg>`

func TestColors(t *testing.T) {
	for text, want := range map[string]string{"#0a7": "#00aa77", "#0F6b66": "#0f6b66", "0a7": "#00aa77", "##0a7": "", "#0a": "", "#0a77": "", "#00aa7g": "", "": "", "red": ""} {
		c, err := parseColor(text)
		if (err == nil) != (want != "") || err == nil && c.String() != want {
			t.Errorf("%q: %s, %v", text, c, err)
		}
	}
	if got := contrast(black, white); got < 20.99 || got > 21.01 {
		t.Errorf("black on white: %v", got)
	}
}

// Whatever the accent, text in it and on it is readable, and an accent that is
// readable already stays as it is.
func TestEveryAccentIsReadable(t *testing.T) {
	for r := 0; r < 256; r += 51 {
		for g := 0; g < 256; g += 51 {
			for b := 0; b < 256; b += 51 {
				c := color{uint8(r), uint8(g), uint8(b)}
				for name, th := range map[string]theme{"light": lightTheme, "dark": darkTheme} {
					accent, soft := th.accent(c)
					for _, surface := range []color{th.card, th.page, th.sunken, soft, th.text} {
						if got := contrast(accent, surface); got < 4.5 {
							t.Fatalf("%s, %s: %s on %s has a contrast of %.2f", c, name, accent, surface, got)
						}
					}
				}
			}
		}
	}
	if accent, _ := lightTheme.accent(color{0x0f, 0x6b, 0x66}); accent.String() != "#0f6b66" {
		t.Errorf("the default became %s", accent)
	}
}

// The surfaces that accents are made for are those of the style sheet.
func TestThemesAreThoseOfTheStyleSheet(t *testing.T) {
	css, err := os.ReadFile("assets/portal.css")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"card", "page", "sunken"} {
		found := regexp.MustCompile(`--`+name+`: (#\w{6});`).FindAllStringSubmatch(string(css), -1)
		if len(found) != 2 {
			t.Fatalf("%s: %v", name, found)
		}
		for j, th := range []theme{lightTheme, darkTheme} {
			if want := []color{th.card, th.page, th.sunken}[i]; found[j][1] != want.String() {
				t.Errorf("%s: %s in the style sheet, %s in the program", name, found[j][1], want)
			}
		}
	}
}

func TestLogos(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
	for name, c := range map[string]struct{ text, kind, wrong string }{
		"svg":           {logo, "image/svg+xml", ""},
		"png":           {png, "image/png", ""},
		"html":          {"<html></html>", "", "its element is html"},
		"no name space": {"<svg></svg>", "", "name space"},
		"half":          {`<svg xmlns="http://www.w3.org/2000/svg">`, "", "neither a PNG nor an SVG"},
		"text":          {"hello", "", "no element"},
		"large":         {strings.Repeat("x", MaxLogo+1), "", "at most 24576"},
	} {
		kind, err := logoType([]byte(c.text))
		if kind != c.kind || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %q, %v", name, kind, err)
		}
	}
}

// The brand stands on the pages, and its logo can't run scripts.
func TestBrandOnThePages(t *testing.T) {
	brand, err := NewBrand(`Acme <"&>`, []byte(logo), "#f06")
	if err != nil {
		t.Fatal(err)
	}
	p := New(Config{Base: "/portal", API: "/v2", Brand: brand, Failed: func(_ *http.Request, err error) { t.Error(err) }})
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	page := get("/portal/signin").Body.String()
	at := "/portal/assets/" + brand.Version() + "/"
	for _, want := range []string{"<title>Sign in – Acme &lt;&#34;&amp;&gt;</title>", `src="` + at + `logo"`, `href="` + at + `brand.css"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s: %s", want, page)
		}
	}
	picture := get(at + "logo")
	policy := picture.Header().Get("Content-Security-Policy")
	if picture.Body.String() != logo || picture.Header().Get("Content-Type") != "image/svg+xml" ||
		picture.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(policy, "default-src 'none'") || !strings.HasSuffix(policy, "sandbox") {
		t.Errorf("the logo: %v", picture.Header())
	}
	if style := get(at + "brand.css"); !strings.HasPrefix(style.Header().Get("Content-Type"), "text/css") || !strings.Contains(style.Body.String(), "--accent: #") {
		t.Errorf("the style: %s", style.Body)
	}
	for _, path := range []string{"/portal/assets/0000000000000000/logo", "/portal/assets/" + version() + "/logo"} {
		if status := get(path).Code; status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// Without a brand, nothing of one is on a page.
func TestNoBrand(t *testing.T) {
	p := New(Config{Base: "/portal", API: "/v2"})
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/portal/signin", nil))
	page := w.Body.String()
	if !strings.Contains(page, "<title>Sign in – API keys</title>") || strings.Contains(page, "brand.css") || strings.Contains(page, `/logo"`) {
		t.Error(page)
	}
}
