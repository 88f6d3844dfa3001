package portal

import (
	"bytes"
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

// made sends a form that makes a secret, and opens the page that shows it.
func (s *testPortal) made(path string, form url.Values) string {
	s.t.Helper()
	status, location, _ := s.send(path, form)
	if status != http.StatusSeeOther {
		s.t.Fatalf("%s is answered %d", path, status)
	}
	return s.onceAt(http.MethodGet, location, "cas_of_ada").Body.String()
}

// onceAt opens a page with the cookie of the last secret.
func (s *testPortal) onceAt(method, path, session string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Cookie", Cookie+"="+session+"; "+onceCookie+"="+s.once)
	w := httptest.NewRecorder()
	s.portal.ServeHTTP(w, r)
	return w
}

// newOncePortal is a portal whose API makes a key, and secrets of an account.
func newOncePortal(t *testing.T) *testPortal {
	s := newTestPortal(t)
	plain := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		a, err := plain(r, credential, method, target, body)
		if method == http.MethodPost {
			key := manage.Key{ID: "cak_2_secret", KeyID: "cak_2"}
			a.Key, a.Keys, a.Apps = &key, []manage.Key{key}, []manage.App{{ID: "shop"}}
			a.TwoFactor = &manage.TwoFactor{OTPAuthURI: "otpauth://totp/x?secret=SECRETOFADA", RecoveryCodes: []string{"abcd-efgh"}}
		}
		return a, err
	}
	return s
}

// Forms that make a secret lead to a page that shows it once. Going back to the
// page or reloading it explains that, with the remedy.
func TestSecretsAreShownOnce(t *testing.T) {
	for path, c := range map[string]struct {
		form         url.Values
		secret, gone string
	}{
		"/apps":              {url.Values{"name": {"Shop"}}, "cak_2_secret", "Rotate it"},
		"/apps/shop/new":     {url.Values{"step": {"done"}, "expires": {"30d"}, "scope": {"Inputs:Get"}}, "cak_2_secret", "Rotate it"},
		"/tokens/new":        {url.Values{"step": {"done"}, "expires": {"30d"}, "scope": {"Inputs:Get"}}, "cak_2_secret", "Rotate it"},
		"/keys/cak_1/rotate": {url.Values{"end": {"now"}, "expires": {"keep"}}, "cak_2_secret", "Rotate it"},
		"/account/factor":    {url.Values{"password": {"x"}}, "SECRETOFADA", "Begin again"},
		"/account/codes":     {url.Values{"password": {"x"}}, "abcd-efgh", "make new ones"},
	} {
		s := newOncePortal(t)
		status, location, text := s.send(path, c.form)
		if status != http.StatusSeeOther || strings.Contains(location+text, c.secret) {
			t.Fatalf("%s: %d to %s: %s", path, status, location, text)
		}
		for name, other := range map[string]*httptest.ResponseRecorder{
			"HEAD": s.onceAt(http.MethodHead, location, "cas_of_ada"), "another session": s.onceAt(http.MethodGet, location, "cas_2_of_ada"),
			"another browser": s.get(strings.TrimPrefix(location, "/portal")),
		} {
			if name != "HEAD" && !strings.Contains(other.Body.String(), c.gone) || strings.Contains(other.Body.String(), c.secret) {
				t.Errorf("%s: %s gets %s", path, name, other.Body)
			}
		}
		w := s.onceAt(http.MethodGet, location, "cas_of_ada")
		if !strings.Contains(w.Body.String(), c.secret) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the secret isn't shown: %v %s", path, w.Header(), w.Body)
		}
		w = s.onceAt(http.MethodGet, location, "cas_of_ada")
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), c.secret) || !strings.Contains(w.Body.String(), c.gone) {
			t.Errorf("%s: again: %d %s", path, w.Code, w.Body)
		}
	}
}

var hiddenFields = regexp.MustCompile(`<input type="hidden" name="(end|expires)" value="([^"]*)">`)

// The page that explains it rotates the key by one click, with the defaults of the
// page for that.
func TestGoneSecretsAreRotated(t *testing.T) {
	s := newOncePortal(t)
	form := url.Values{}
	for _, field := range hiddenFields.FindAllStringSubmatch(s.open("/keys/cak_1/secret"), -1) {
		form.Add(field[1], field[2])
	}
	if text := s.made("/keys/cak_1/rotate", form); !strings.Contains(text, "cak_2_secret") || !strings.Contains(text, "The old key works until") {
		t.Errorf("the page is %s", text)
	}
}

// A secret is held for a minute, encrypted, and a user can't fill the memory.
func TestHeldSecrets(t *testing.T) {
	now := time.Now()
	var o once
	ada := holder{who: "ada", session: "s", cookie: "c"}
	o.hold(ada, "/x", []byte("a secret"), now)
	if bytes.Contains(o.held[0].sealed, []byte("secret")) {
		t.Error("it is held as it is")
	}
	for name, h := range map[string]holder{"no cookie": {"ada", "s", ""}, "another cookie": {"ada", "s", "d"}, "another session": {"ada", "t", "c"}} {
		if _, ok := o.take(h, "/x", now); ok {
			t.Errorf("%s takes it", name)
		}
	}
	if _, ok := o.take(ada, "/y", now); ok {
		t.Error("another page takes it")
	}
	if _, ok := o.take(ada, "/x", now.Add(onceLife)); ok {
		t.Error("it is held for too long")
	}
	if text, ok := o.take(ada, "/x", now); !ok || string(text) != "a secret" {
		t.Errorf("it is %q, %v", text, ok)
	}
	if _, ok := o.take(ada, "/x", now); ok {
		t.Error("it is shown twice")
	}
	for name, h := range map[string]holder{"another session": {"ada", "t", "c"}, "another page": {"ada", "s", "c"}} {
		path := map[bool]string{true: "/y", false: "/x"}[name == "another page"]
		if o.again(h, path, now); !o.held[0].shown {
			t.Errorf("%s makes the page show the secret again", name)
		}
	}
	o.again(ada, "/x", now)
	if text, ok := o.take(ada, "/x", now.Add(againLife-1)); !ok || string(text) != "a secret" {
		t.Errorf("again it is %q, %v", text, ok)
	}
	o.again(ada, "/x", now.Add(againLife-1))
	if _, ok := o.take(ada, "/x", now.Add(againLife)); ok {
		t.Error("it is shown again for too long")
	}
	if o.forget(now.Add(againLife)); len(o.held) != 0 {
		t.Error("it is held after it was shown")
	}
	bob := holder{who: "bob", session: "b", cookie: "c"}
	o.hold(bob, "/x", nil, now)
	for i := range 2 * maxOnceOfUser {
		o.hold(ada, fmt.Sprint(i), nil, now)
	}
	if len(o.held) != maxOnceOfUser+1 {
		t.Errorf("%d are held", len(o.held))
	}
	if _, ok := o.take(bob, "/x", now); !ok {
		t.Error("one user takes the room of another")
	}
	for i := range maxOnce + 1 {
		o.hold(holder{who: fmt.Sprint(i), session: fmt.Sprint(i)}, "/x", nil, now)
	}
	if len(o.held) != maxOnce {
		t.Errorf("%d are held", len(o.held))
	}
	if o.forget(now.Add(onceLife)); len(o.held) != 0 {
		t.Errorf("%d are left", len(o.held))
	}
}
