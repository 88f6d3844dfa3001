package portal

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// manyTestKeys are keys of every sort, revoked ones too.
func manyTestKeys() (living, revoked []manage.Key) {
	now := time.Now()
	at := func(d time.Duration) *time.Time { t := now.Add(d); return &t }
	app := []manage.KeyApp{{ID: "shop", UserID: "ada"}}
	key := func(id, kind, description string, expires *time.Time, scopes ...string) manage.Key {
		k := manage.Key{KeyID: id, ID: id, Type: kind, Description: description, Scopes: scopes, ExpiresAt: expires, CreatedAt: now.Add(-time.Hour)}
		if kind == manage.TypeAppKey {
			k.Apps = app
		}
		return k
	}
	living = []manage.Key{
		key("cak_full", manage.TypeAppKey, "full <b>", nil, "All"),
		key("cap_soon", manage.TypePAT, "=HYPERLINK(\"x\")", at(time.Hour), "Predict"),
		key("cak_past", manage.TypeAppKey, "past, \"quoted\"", at(-time.Minute), "Predict"),
		key("cak_off", manage.TypeAppKey, "off", at(1000*time.Hour), "Predict"),
		key("cak_old", manage.TypeAppKey, "old", at(1000*time.Hour), "Predict"),
	}
	living[3].Disabled = true
	living[4].CreatedAt = now.Add(-100 * 24 * time.Hour)
	gone := key("cap_gone", manage.TypePAT, "gone", nil, "All")
	gone.RevokedAt, gone.RevokedBy, gone.RevokedReason = at(-time.Minute), "(operator)", "revoked as leaked"
	return living, []manage.Key{gone}
}

// get asks for a page.
func (s *testPortal) get(path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/portal"+path, nil)
	r.Header.Set("Cookie", Cookie+"=cas_of_ada")
	w := httptest.NewRecorder()
	s.portal.ServeHTTP(w, r)
	return w
}

// newListPortal is a portal whose API lists many keys.
func newListPortal(t *testing.T) *testPortal {
	s := newTestPortal(t)
	living, revoked := manyTestKeys()
	plain := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		path, query, _ := strings.Cut(target, "?")
		if method != http.MethodGet || path != "/v2/users/me/keys" {
			return plain(r, credential, method, target, body)
		}
		a := &manage.Answer{Status: manage.Status{Code: manage.CodeOK}, Keys: living}
		if strings.Contains(query, "state=revoked") {
			a.Keys = revoked
		}
		return a, nil
	}
	return s
}

// Every filter shows its keys, the CSV has the same, and a count says how many.
func TestAllKeysAreFiltered(t *testing.T) {
	s := newListPortal(t)
	living, revoked := manyTestKeys()
	for query, want := range map[string]string{
		"": "cak_full cap_soon cak_past cak_off cak_old", "?show=active": "cak_full cap_soon cak_old", "?show=disabled": "cak_off", "?show=expired": "cak_past",
		"?show=expiring": "cap_soon", "?show=unused": "cak_old", "?show=full": "cak_full", "?show=never": "cak_full", "?show=revoked": "cap_gone",
		"?q=shop": "cak_full cak_past cak_off cak_old", "?q=shop&show=active": "cak_full cak_old", "?q=nothing": "", "?show=unknown": "cak_full cap_soon cak_past cak_off cak_old",
	} {
		page, file := s.get("/keys"+query), s.get("/keys/download"+query)
		if page.Code != http.StatusOK || file.Code != http.StatusOK {
			t.Fatalf("%s: %d, %d", query, page.Code, file.Code)
		}
		lines, err := csv.NewReader(file.Body).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) != 1+len(strings.Fields(want)) {
			t.Errorf("%s: %d lines of CSV", query, len(lines))
		}
		for _, k := range append(living, revoked...) {
			is := strings.Contains(" "+want+" ", " "+k.KeyID+" ")
			if got := strings.Contains(page.Body.String(), ">"+k.KeyID+"<"); got != is {
				t.Errorf("%s: the page shows %s: %v", query, k.KeyID, got)
			}
			if got := strings.Contains(fmt.Sprint(lines), " "+k.KeyID+" "); got != is {
				t.Errorf("%s: the CSV has %s: %v", query, k.KeyID, got)
			}
		}
	}
	if text := s.get("/keys").Body.String(); !strings.Contains(text, `Expiring in 7 days <span class="count">1</span>`) {
		t.Errorf("no count: %s", text)
	}
}

// A spreadsheet takes no cell for a formula, and the file is a download.
func TestCSVIsHarmless(t *testing.T) {
	w := newListPortal(t).get("/keys/download")
	if h := w.Header(); h.Get("Content-Type") != "text/csv; charset=utf-8" || h.Get("Content-Disposition") != `attachment; filename="keys.csv"` || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
	lines, err := csv.NewReader(w.Body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		for _, cell := range line {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("a cell begins a formula: %s", cell)
			}
		}
	}
	if text := fmt.Sprint(lines); !strings.Contains(text, `'=HYPERLINK("x")`) || !strings.Contains(text, `past, "quoted"`) {
		t.Errorf("the texts are %s", text)
	}
}

// The confirmation names what is revoked: the selected keys, or all that the list
// found. Only then they are revoked, and the list is shown as before.
func TestAllKeysAreRevoked(t *testing.T) {
	s := newListPortal(t)
	for _, c := range []struct {
		path         string
		form         url.Values
		title, named string
	}{
		{"/keys/revoke", url.Values{"key": {"cak_full"}}, "Revoke this key?", "cak_full"},
		{"/keys/revoke", url.Values{"key": {"cap_soon"}}, "Revoke this token?", "cap_soon"},
		{"/keys/revoke", url.Values{"key": {"cap_soon", "cak_off", "cak_unknown", "cap_gone"}}, "Revoke 2 keys?", "cap_soon cak_off"},
		{"/keys/revoke?all=yes", url.Values{"list": {"?show=active&q=shop"}, "key": {"cak_off"}}, "Revoke 2 keys?", "cak_full cak_old"},
	} {
		c.form.Set("step", "review")
		status, _, text := s.send(c.path, c.form)
		if status != http.StatusOK || !strings.Contains(text, ">"+c.title+"</h1>") || len(s.changed) > 0 {
			t.Errorf("%s %v: %d, changed %v: %s", c.path, c.form, status, s.changed, text)
		}
		for _, id := range []string{"cak_full", "cap_soon", "cak_past", "cak_off", "cak_old", "cap_gone", "cak_unknown"} {
			is := strings.Contains(" "+c.named+" ", " "+id+" ")
			if got := strings.Contains(text, `name="key" value="`+id+`"`) && strings.Contains(text, ">"+id+"<"); got != is {
				t.Errorf("%s %v: names %s: %v", c.path, c.form, id, got)
			}
			if got := strings.Contains(text, `name="maker" value="`+id+`"`); got != (is && id == "cap_soon") {
				t.Errorf("%s %v: also what %s made: %v", c.path, c.form, id, got)
			}
		}
	}
	for _, path := range []string{"/keys/revoke", "/keys/revoke?all=yes"} {
		form := url.Values{"list": {"?show=revoked&evil=1"}, "step": {"review"}}
		if _, to, _ := s.send(path, form); to != "/portal/keys?show=revoked&done=none-selected#notice" {
			t.Errorf("%s with nothing selected leads to %s", path, to)
		}
	}
	form := url.Values{"key": {"cap_soon", "cak_off"}, "maker": {"cap_soon"}, "minted": {"yes"}, "list": {"?show=full"}, "step": {"done"}}
	status, to, _ := s.send("/keys/revoke", form)
	want := "[DELETE /v2/users/me/keys map[ids:[cap_soon cak_off]] POST /v2/users/me/keys/revoke map[minted_by:cap_soon]]"
	if status != http.StatusSeeOther || to != "/portal/keys?show=full&done=key-revoked#notice" || fmt.Sprint(s.changed) != want {
		t.Errorf("%d to %s after %v", status, to, s.changed)
	}
}
