package portal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

var typed = url.Values{"description": {"nightly import"}, "scope": {"Inputs:Get"}, "expires": {"30d"}, "sender": {"ada"}, "step": {"done"}}

// openKept opens a page as its user.
func (s *testPortal) openKept(path string) (int, string) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/portal"+path, nil)
	r.Header.Set("Cookie", Cookie+"=cas_of_ada; "+keptCookie+"="+s.kept)
	w := httptest.NewRecorder()
	s.portal.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func clone(form url.Values, more ...string) url.Values {
	c := url.Values{}
	for name, values := range form {
		c[name] = values
	}
	for i := 0; i < len(more); i += 2 {
		c.Set(more[i], more[i+1])
	}
	return c
}

// keptAt is where the sign-in page of an answer leads back to.
func keptAt(t *testing.T, location string) string {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || u.Path != "/portal/signin" || u.Query().Get("done") != "form-kept" || !strings.HasPrefix(u.Query().Get("then"), "/kept/") {
		t.Fatalf("the form leads to %s", location)
	}
	if ours(u.Query().Get("then")) == "" {
		t.Errorf("signing in doesn't lead to %s", location)
	}
	return u.Query().Get("then")
}

// A form whose session has ended is there again after signing in, for its user
// alone, and nothing was done meanwhile.
func TestFormsOutliveTheirSession(t *testing.T) {
	s := newTestPortal(t)
	user := "ada"
	call := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		switch {
		case target != "/v2/users/me":
			return call(r, credential, method, target, body)
		case user == "":
			return &manage.Answer{Status: manage.Status{Code: manage.CodeKeyUnknown}}, nil
		}
		return &manage.Answer{Status: manage.Status{Code: manage.CodeOK}, User: &manage.User{ID: user}}, nil
	}
	user = ""
	status, location, _ := s.send("/apps/shop/new", clone(typed))
	if status != http.StatusSeeOther {
		t.Fatal(status)
	}
	then := keptAt(t, location)
	user = "ada"
	if status, text := s.openKept(then); status != http.StatusNotFound || strings.Contains(text, "nightly") {
		t.Errorf("a browser that didn't send the form gets %d %s", status, text)
	}
	s.kept = strings.TrimPrefix(then, "/kept/")
	user = "bob"
	if status, text := s.openKept(then); status != http.StatusNotFound || strings.Contains(text, "nightly") {
		t.Errorf("another user gets %d %s", status, text)
	}
	user = "ada"
	status, text := s.openKept(then)
	if status != http.StatusOK || !strings.Contains(text, `action="/portal/apps/shop/new"`) || !strings.Contains(text, `<dd>nightly import</dd>`) {
		t.Fatalf("%d %s", status, text)
	}
	again := url.Values{}
	for _, field := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(text[strings.Index(text, "<main"):], -1) {
		again.Add(field[1], field[2])
	}
	if again.Get("step") != stepForm {
		t.Errorf("it would be done without a look: %v", again)
	}
	if status, _, text = s.send("/apps/shop/new", again); status != http.StatusOK || !strings.Contains(text, `value="nightly import"`) {
		t.Errorf("%d %s", status, text)
	}
	if len(s.changed) > 0 {
		t.Errorf("it changed %v", s.changed)
	}
	// Passwords are not kept.
	user = ""
	if _, location, _ := s.send("/account/password", url.Values{"password": {"secret"}}); strings.Contains(location, "kept") {
		t.Errorf("a password is kept: %s", location)
	}
}

// Nothing typed is lost when the store fails, or when the token is of an earlier
// session.
func TestFailuresKeepWhatWasTyped(t *testing.T) {
	for _, c := range []struct {
		path, kept string
		form       url.Values
	}{
		{"/apps/shop/new", "nightly import", typed},
		{"/apps", "Typed name", url.Values{"name": {"Typed name"}}},
		{"/apps/shop/settings", "Typed name", url.Values{"name": {"Typed name"}, "version": {"3"}}},
		{"/apps/shop/collaborators/new", "carol", url.Values{"user": {"carol"}, "scope": {"Inputs:Get"}}},
	} {
		s := newTestPortal(t)
		s.refuse = &manage.Status{Code: manage.CodeUnavailable, Description: "Unavailable", Details: "the disk is full"}
		status, _, text := s.send(c.path, clone(c.form))
		if status != http.StatusServiceUnavailable || !strings.Contains(text, `value="`+c.kept+`"`) || !strings.Contains(text, `action="/portal`+c.path+`"`) {
			t.Errorf("%s: %d, and lost what was typed: %s", c.path, status, text)
		}
		s.refuse = nil
		s.changed = nil
		status, _, text = s.send(c.path, clone(c.form, "form", s.portal.forms.make("cas_of_before")))
		if status != http.StatusConflict || !strings.Contains(text, `value="`+c.kept+`"`) || len(s.changed) > 0 {
			t.Errorf("%s: %d after %v, and lost what was typed: %s", c.path, status, s.changed, text)
		}
	}
	// A form that was used is not offered again: it would be done twice.
	s := newOncePortal(t)
	token := s.portal.forms.make("cas_of_ada")
	if status, _, _ := s.send("/apps", url.Values{"name": {"once"}, "form": {token}}); status != http.StatusSeeOther {
		t.Fatal(status)
	}
	if status, _, text := s.send("/apps", url.Values{"name": {"twice"}, "form": {token}}); status != http.StatusConflict || strings.Contains(text, "twice") {
		t.Errorf("%d %s", status, text)
	}
}

func TestKeptFormsAreBounded(t *testing.T) {
	var k kept
	now := time.Now()
	first := k.put(keptForm{who: "ada"}, now)
	if _, ok := k.get(first, "ada", now.Add(keptLife)); ok {
		t.Error("it is kept for too long")
	}
	for i := range maxKept {
		k.put(keptForm{who: fmt.Sprint(i)}, now)
	}
	if _, ok := k.get(first, "ada", now); ok || len(k.byID) != maxKept || len(k.order) != maxKept {
		t.Errorf("%d are kept", len(k.byID))
	}
	k.put(keptForm{}, now.Add(2*keptLife))
	if len(k.byID) != 1 {
		t.Errorf("%d of them are too old", len(k.byID)-1)
	}
	if id := k.put(keptForm{form: url.Values{"name": {strings.Repeat("x", maxKeptSize)}}}, now); id != "" {
		t.Error("one of any size is kept")
	}
}
