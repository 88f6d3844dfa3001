package portal

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// heldUp makes the API delay the next change until release is called. Each change
// that arrives is sent to arrived.
func (s *testPortal) heldUp() (arrived chan *http.Request, release func()) {
	arrived, free := make(chan *http.Request, 9), make(chan struct{})
	plain := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		if method != http.MethodGet {
			arrived <- r
			<-free
		}
		return plain(r, credential, method, target, body)
	}
	return arrived, func() { close(free) }
}

// formRequest is a request that sends a form, as ada.
func formRequest(ctx context.Context, path string, form url.Values) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/portal"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", Cookie+"=cas_of_ada")
	return r
}

// A browser drops the first request when a form is sent twice. The change is made all
// the same, and only once. The second answer leads to the page of the first.
func TestFormsThatAreSentTwiceAreHandledOnce(t *testing.T) {
	s := newOncePortal(t)
	arrived, release := s.heldUp()
	form := url.Values{"name": {"Shop"}, "form": {s.portal.forms.make("cas_of_ada")}}
	ctx, drop := context.WithCancel(t.Context())
	answers := make(chan *httptest.ResponseRecorder, 2)
	post := func(ctx context.Context) {
		w := httptest.NewRecorder()
		s.portal.ServeHTTP(w, formRequest(ctx, "/apps", form))
		answers <- w
	}
	go post(ctx)
	change := <-arrived
	drop()
	post(ctx) // a request that is dropped while it waits hasn't failed
	if w := <-answers; w.Body.Len() > 0 {
		t.Errorf("a dropped request is answered %d %s", w.Code, w.Body)
	}
	go post(t.Context())
	if err := change.Context().Err(); err != nil {
		t.Errorf("the change ends with the dropped request: %v", err)
	}
	release()
	first, second := <-answers, <-answers
	for _, w := range []*httptest.ResponseRecorder{first, second} {
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/portal/keys/cak_2/secret" {
			t.Errorf("%d to %s", w.Code, w.Header().Get("Location"))
		}
	}
	if first.Header().Get("Set-Cookie") != second.Header().Get("Set-Cookie") || len(s.changed) != 1 {
		t.Errorf("%v and %v after %v", first.Header(), second.Header(), s.changed)
	}
	s.once = second.Result().Cookies()[0].Value
	if w := s.onceAt(http.MethodGet, second.Header().Get("Location"), "cas_of_ada"); !strings.Contains(w.Body.String(), "cak_2_secret") {
		t.Errorf("the key isn't shown: %s", w.Body)
	}
}

// If a form is sent again after its answer, the second answer leads to the page of the
// first, which shows the key again, but only to the same session.
func TestFormsThatAreSentAgainLeadToTheSamePage(t *testing.T) {
	s := newOncePortal(t)
	form := url.Values{"name": {"Shop"}, "form": {s.portal.forms.make("cas_of_ada")}}
	_, location, _ := s.send("/apps", form)
	shown := func(session string) bool {
		return strings.Contains(s.onceAt(http.MethodGet, location, session).Body.String(), "cak_2_secret")
	}
	if !shown("cas_of_ada") || shown("cas_of_ada") {
		t.Error("the key isn't shown once")
	}
	status, again, _ := s.send("/apps", form)
	if status != http.StatusSeeOther || again != location || len(s.changed) != 1 {
		t.Errorf("%d to %s after %v", status, again, s.changed)
	}
	if shown("cas_2_of_ada") {
		t.Error("another session gets the key")
	}
	if !shown("cas_of_ada") || shown("cas_of_ada") {
		t.Error("the key isn't shown once more")
	}

	// A different form is refused.
	other := formRequest(t.Context(), "/apps", form)
	other.Header.Set("Cookie", Cookie+"=cas_2_of_ada")
	for name, r := range map[string]*http.Request{
		"another session": other,
		"another text":    formRequest(t.Context(), "/apps", clone(form, "name", "Other")),
		"another address": formRequest(t.Context(), "/tokens/new", form),
		"another query":   formRequest(t.Context(), "/apps?all=yes", form),
	} {
		w := httptest.NewRecorder()
		s.portal.ServeHTTP(w, r)
		if w.Code != http.StatusConflict || w.Header().Get("Location") != "" || len(s.changed) != 1 {
			t.Errorf("%s: %d to %s after %v", name, w.Code, w.Header().Get("Location"), s.changed)
		}
	}
}

// A form that was refused did nothing, so it is handled again. A form that failed
// may have made its change, so it isn't.
func TestFormsThatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		refuse        *manage.Status
		fail          error
		status, tries int
		shown         string
	}{
		"refused":     {refuse: &manage.Status{Code: manage.CodeInvalid, Field: "name", Details: "it won't do"}, status: http.StatusBadRequest, tries: 2, shown: "It won&#39;t do."},
		"unavailable": {refuse: &manage.Status{Code: manage.CodeUnavailable, Description: "Unavailable", Details: "the disk is full"}, status: http.StatusServiceUnavailable, tries: 1, shown: "The disk is full."},
		"broken":      {fail: errors.New("the API broke"), status: http.StatusServiceUnavailable, tries: 1, shown: "Something failed on our side."},
	} {
		s := newTestPortal(t)
		s.refuse = c.refuse
		s.portal.failed = func(*http.Request, error) {}
		if c.fail != nil {
			plain := s.portal.call
			s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
				a, err := plain(r, credential, method, target, body)
				if method != http.MethodGet {
					err = c.fail
				}
				return a, err
			}
		}
		form := url.Values{"name": {"Shop"}, "form": {s.portal.forms.make("cas_of_ada")}}
		for range 2 {
			if status, _, text := s.send("/apps", form); status != c.status || !strings.Contains(text, c.shown) {
				t.Errorf("%s: %d %s", name, status, text)
			}
		}
		if len(s.changed) != c.tries {
			t.Errorf("%s: tried %v", name, s.changed)
		}
	}
}

// Nobody waits forever for a form whose page panicked.
func TestFormsThatPanicked(t *testing.T) {
	s := newTestPortal(t)
	s.portal.failed = func(*http.Request, error) {}
	plain := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		if method != http.MethodGet {
			panic("the API panics")
		}
		return plain(r, credential, method, target, body)
	}
	form := url.Values{"name": {"Shop"}, "form": {s.portal.forms.make("cas_of_ada")}}
	func() {
		defer func() { _ = recover() }()
		s.send("/apps", form)
	}()
	if status, _, text := s.send("/apps", form); status != http.StatusServiceUnavailable || !strings.Contains(text, "check first whether it was done") {
		t.Errorf("%d %s", status, text)
	}
}

// The ending of a form is kept encrypted, because it may contain cookies.
func TestEndingsAreEncrypted(t *testing.T) {
	s := newOncePortal(t)
	token := s.portal.forms.make("cas_of_ada")
	s.send("/apps", url.Values{"name": {"Shop"}, "form": {token}})
	id, _ := s.portal.forms.check("cas_of_ada", token)
	if kept := s.portal.forms.sent[id].ending; len(kept) == 0 || bytes.Contains(kept, []byte("secret")) {
		t.Errorf("the ending is kept as %q", kept)
	}
}

// A code and a one-time link work once, so only the same form at the same time
// leads to the same page.
func TestFormsOfSignedOutUsersAreSentTwice(t *testing.T) {
	for path, form := range map[string]url.Values{
		"/signin/code": {"code": {"123456"}},
		"/reset":       {"code": {"ada.X"}, "password": {"a long password"}, "again": {"a long password"}},
	} {
		s := newTestPortal(t)
		arrived, free, until := make(chan bool, 9), make(chan struct{}), time.Now().Add(time.Hour)
		s.portal.signIn = func(*http.Request, string, string, string, any) (*manage.Answer, error) {
			arrived <- true
			<-free
			return &manage.Answer{Status: manage.Status{Code: manage.CodeOK}, Login: manage.Login{SessionToken: "cas_of_ada", ExpiresAt: &until}}, nil
		}
		answers := make(chan *httptest.ResponseRecorder, 2)
		post := func(ctx context.Context, half string) {
			r, w := formRequest(ctx, path, form), httptest.NewRecorder()
			r.Header.Set("Cookie", halfCookie+"="+half)
			s.portal.ServeHTTP(w, r)
			answers <- w
		}
		ctx, drop := context.WithCancel(t.Context())
		go post(ctx, "half")
		<-arrived
		drop()
		// The same form waits for the first one, and another browser's form is
		// handled.
		waits := &waiting{Context: t.Context(), began: make(chan struct{})}
		go post(waits, "half")
		<-waits.began
		go post(t.Context(), "another")
		<-arrived
		close(free)
		var locations, cookies []string
		for range 3 {
			w := <-answers
			locations = append(locations, w.Header().Get("Location"))
			cookies = append(cookies, strings.Join(w.Header().Values("Set-Cookie"), " "))
		}
		if locations[0] == "" || locations[0] != locations[1] || locations[1] != locations[2] || cookies[0] != cookies[1] || len(arrived) > 0 {
			t.Errorf("%s: to %v with %q, and %d more changes", path, locations, cookies, len(arrived))
		}
		// The same form is handled again if it is sent later.
		post(t.Context(), "half")
		if len(arrived) != 1 {
			t.Errorf("%s: the form is not handled again later", path)
		}
	}
}

// waiting is a context that notes that somebody waits for its end.
type waiting struct {
	context.Context
	once  sync.Once
	began chan struct{}
}

// Done notes the wait.
func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.began) })
	return w.Context.Done()
}

// The remembered forms of a user are bounded, and don't displace those of other users.
func TestRememberedFormsAreBounded(t *testing.T) {
	s := newTestPortal(t)
	s.portal.forms = &forms{}
	bobs := formID{1}
	sent, _ := s.portal.forms.begin(bobs, [32]byte{}, formLife)
	s.portal.forms.end(bobs, sent, "bob")
	long := url.Values{"list": {"q=" + strings.Repeat("x", maxForm/2)}, "step": {"done"}}
	var last url.Values
	for range maxFormsOfUser + 2 {
		last = clone(long, "form", s.portal.forms.make("cas_of_ada"))
		if status, location, _ := s.send("/tokens/revoke", last); status != http.StatusSeeOther || len(location) < maxEnding {
			t.Fatalf("%d to %d bytes", status, len(location))
		}
	}
	if status, location, _ := s.send("/tokens/revoke", last); status != http.StatusConflict || location != "" {
		t.Errorf("an answer that is too long is repeated: %d to %d bytes", status, len(location))
	}
	size := 0
	for _, one := range s.portal.forms.sent {
		size += len(one.ending)
	}
	if n := len(s.portal.forms.sent); n != maxFormsOfUser+1 || size > n*maxEnding || !s.portal.forms.has(bobs) {
		t.Errorf("%d forms are remembered with %d bytes, bob's: %v", n, size, s.portal.forms.has(bobs))
	}
	s.portal.forms.cleared = time.Time{}
	s.portal.forms.clear(time.Now().Add(formLife + time.Minute))
	if n := len(s.portal.forms.sent) + len(s.portal.forms.ofUser); n != 0 {
		t.Errorf("%d submissions are remembered forever", n)
	}
}

// A stranger can make the token of a session that doesn't exist. Such a form isn't
// remembered, even if the store is unavailable.
func TestFormsOfStrangersAreForgotten(t *testing.T) {
	for name, code := range map[string]manage.Code{"no session": manage.CodeLoginFailed, "no store": manage.CodeUnavailable} {
		s := newTestPortal(t)
		s.portal.forms = &forms{}
		s.portal.call = func(*http.Request, string, string, string, any) (*manage.Answer, error) {
			return &manage.Answer{Status: manage.Status{Code: code}}, nil
		}
		s.send("/keys/cak_1/disable", url.Values{"form": {s.portal.forms.make("cas_of_ada")}})
		if n := len(s.portal.forms.sent); n != 0 {
			t.Errorf("%s: %d forms are remembered", name, n)
		}
	}
}

// A form that is sent again after its session has ended gets no cookies, and isn't kept
// as if nothing was done.
func TestFormsThatAreSentAgainAfterTheirSession(t *testing.T) {
	for name, c := range map[string]struct {
		refuse   *manage.Status
		status   int
		location string
	}{
		"done":   {nil, http.StatusSeeOther, "/portal/keys/cak_2/secret"},
		"failed": {&manage.Status{Code: manage.CodeUnavailable, Description: "Unavailable"}, http.StatusServiceUnavailable, ""},
	} {
		s := newOncePortal(t)
		s.refuse = c.refuse
		form := url.Values{"name": {"Shop"}, "sender": {"ada"}, "form": {s.portal.forms.make("cas_of_ada")}}
		s.send("/apps", form)
		s.portal.call = func(*http.Request, string, string, string, any) (*manage.Answer, error) {
			return &manage.Answer{Status: manage.Status{Code: manage.CodeLoginFailed}}, nil
		}
		w := httptest.NewRecorder()
		s.portal.ServeHTTP(w, formRequest(t.Context(), "/apps", form))
		if w.Code != c.status || w.Header().Get("Location") != c.location {
			t.Errorf("%s: %d to %s", name, w.Code, w.Header().Get("Location"))
		}
		for _, cookie := range w.Result().Cookies() {
			if cookie.Value != "" {
				t.Errorf("%s: the session gets the cookie %s", name, cookie)
			}
		}
	}
}
