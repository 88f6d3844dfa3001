package portal

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// Every icon is drawn for a page, and a mistyped name is an error.
func TestIconsAreUsed(t *testing.T) {
	var text strings.Builder
	list, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		page, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(page)
	}
	for name := range icons {
		if !strings.Contains(text.String(), `icon "`+name+`"`) && !strings.Contains(text.String(), `"Icon" "`+name+`"`) {
			t.Errorf("no page shows the icon %s", name)
		}
	}
	if _, err := icon("none"); err == nil {
		t.Error("an unknown icon is drawn")
	}
}

// A row of a list has a menu, which works without a script and is named after its
// key. The first page and what it needs take less than 60 KiB.
func TestRowMenusAndSize(t *testing.T) {
	s := newTestPortal(t)
	call := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		a, err := call(r, credential, method, target, body)
		if strings.HasPrefix(target, "/v2/users/me/apps/shop/keys") {
			a.Keys = []manage.Key{{ID: "cak_1", KeyID: "cak_1", Description: `<b>"one"`}}
		}
		return a, err
	}
	r := httptest.NewRequest(http.MethodGet, "/portal/apps/shop", nil)
	r.Header.Set("Cookie", Cookie+"=cas_of_ada")
	w := httptest.NewRecorder()
	s.portal.ServeHTTP(w, r)
	page := w.Body.String()
	for _, want := range []string{
		`aria-label="Actions for &lt;b&gt;&#34;one&#34;"`,
		`href="/portal/keys/cak_1/change"`, `href="/portal/keys/cak_1/rotate"`, `href="/portal/keys/cak_1/revoke"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	size := len(page) + MaxLogo
	for _, name := range []string{"portal.css", "portal.js"} {
		text, err := files.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		size += len(text)
	}
	if size > 60<<10 {
		t.Errorf("the first page takes %d bytes with the largest logo", size)
	}
}
