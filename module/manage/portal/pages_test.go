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

// testPortal is a portal with an API that answers what the test tells it, and
// records the requested changes.
type testPortal struct {
	t       *testing.T
	portal  *Portal
	refuse  *manage.Status
	changed []string
	// kept is the cookie of a kept form.
	kept string
	// once is the cookie of the last new secret.
	once string
	// activity is that of every key.
	activity manage.Activity
	entries  []manage.AuditEntry
	// plans and resources are those of the configuration, and limits those of every
	// key.
	plans     []manage.Plan
	resources []string
	limits    []manage.LimitUse
	// unread is the answer to a request for limits, if it isn't nil.
	unread *manage.Status
	// bounds are the plan, limits, addresses and resources of every key.
	bounds manage.Key
}

func newTestPortal(t *testing.T) *testPortal {
	s := &testPortal{t: t}
	s.portal = New(Config{Base: "/portal", API: "/v2", Call: s.call, Failed: func(_ *http.Request, err error) { t.Errorf("the portal failed: %v", err) }})
	return s
}

func (s *testPortal) call(_ *http.Request, _, method, target string, body any) (*manage.Answer, error) {
	a := &manage.Answer{Status: manage.Status{Code: manage.CodeOK}}
	if method != http.MethodGet {
		s.changed = append(s.changed, fmt.Sprint(method, " ", target, " ", body))
		if s.refuse != nil {
			a.Status = *s.refuse
		}
		return a, nil
	}
	path, _, _ := strings.Cut(target, "?")
	if strings.HasSuffix(path, "/activity") {
		a.Activity = &s.activity
		return a, nil
	}
	if strings.HasSuffix(path, "/limits") {
		if a.LimitUses = s.limits; s.unread != nil {
			a.Status = *s.unread
		}
		return a, nil
	}
	switch path {
	case "/v2/users/me/plans":
		a.Plans, a.Resources = s.plans, s.resources
	case "/v2/users/me/audit":
		a.Entries = s.entries
	case "/v2/users/me":
		a.User = &manage.User{ID: "ada"}
	case "/v2/users/me/scopes":
		a.Scopes = []manage.Scope{
			{Scope: "Inputs:Add", DependingScopes: []string{"Inputs:Get"}}, {Scope: "Inputs:Get"}, {Scope: "Models:Get"}, {Scope: "Predict"},
		}
		a.Endpoints = []string{"/clarifai.api.V2/ListInputs", "/clarifai.api.V2/PostInputs"}
	case "/v2/users/me/apps/shop":
		a.App = &manage.App{ID: "shop", UserID: "ada", Name: "Shop"}
	case "/v2/users/me/keys/cak_1", "/v2/users/me/keys/cak_2":
		id := path[len(path)-len("cak_1"):]
		a.Key = &manage.Key{ID: id, KeyID: id, Description: "one", Apps: []manage.KeyApp{{ID: "shop", UserID: "ada"}}}
		a.Key.Plan, a.Key.Limits, a.Key.Addresses, a.Key.Resources = s.bounds.Plan, s.bounds.Limits, s.bounds.Addresses, s.bounds.Resources
	case "/v2/users/me/keys/cak_1/callable":
		query, err := url.ParseQuery(strings.TrimPrefix(target, path+"?"))
		if err != nil {
			return nil, err
		}
		return s.callable(query), nil
	case "/v2/users/me/keys/cak_off":
		a.Key = &manage.Key{KeyID: "cak_off", Disabled: true, Scopes: []string{"All"}, Apps: []manage.KeyApp{{ID: "shop", UserID: "ada"}}}
	case "/v2/users/me/apps/shop/collaborators":
		a.Collaborators = []manage.Collaborator{{User: manage.UserRef{ID: "bob"}, Scopes: []string{"Inputs:Add", "Inputs:Get"}}}
	}
	return a, nil
}

// send sends a form, with a token of its own unless it has one.
func (s *testPortal) send(path string, form url.Values) (int, string, string) {
	s.t.Helper()
	const session = "cas_of_ada"
	if form.Get("form") == "" {
		form.Set("form", s.portal.forms.make(session))
	}
	r := httptest.NewRequest(http.MethodPost, "/portal"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", Cookie+"="+session)
	w := httptest.NewRecorder()
	s.portal.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Name == onceCookie {
			s.once = c.Value
		}
	}
	return w.Code, w.Header().Get("Location"), w.Body.String()
}

// open opens a page.
func (s *testPortal) open(path string) string {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/portal"+path, nil)
	r.Header.Set("Cookie", Cookie+"=cas_of_ada")
	w := httptest.NewRecorder()
	s.portal.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s is answered %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// status is how the opening of a page is answered.
func (s *testPortal) status(path string) int {
	r := httptest.NewRequest(http.MethodGet, "/portal"+path, nil)
	r.Header.Set("Cookie", Cookie+"=cas_of_ada")
	w := httptest.NewRecorder()
	s.portal.ServeHTTP(w, r)
	return w.Code
}

// Without a script, a preset is applied on the server. The typed texts stay,
// nothing is done, whatever else the form says, and the form can still be sent.
func TestPresetsKeepWhatWasTyped(t *testing.T) {
	for path, version := range map[string]string{
		"/apps/shop/new": "", "/tokens/new": "", "/keys/cak_1/change": "7", "/apps/shop/collaborators/new": "", "/apps/shop/collaborators/of/bob": "8",
	} {
		s := newSampledPortal(t)
		form := url.Values{
			"description": {"nightly import"}, "user": {"nightly import"}, "expires": {"30d"}, "scope": {"Inputs:Add"},
			"version": {version}, "preset": {"read"}, "step": {"done"},
		}
		for range 2 {
			status, _, text := s.send(path, form)
			if status != http.StatusOK || len(s.changed) > 0 {
				t.Fatalf("%s: %d, and changed %v", path, status, s.changed)
			}
			if !strings.HasSuffix(path, "/bob") && !strings.Contains(text, `value="nightly import"`) {
				t.Errorf("%s has lost what was typed: %s", path, text)
			}
			if !strings.Contains(text, `name="version" value="`+version+`"`) {
				t.Errorf("%s has lost the version: %s", path, text)
			}
			for scope, want := range map[string]bool{"Inputs:Get": true, "Inputs:Add": false} {
				box := regexp.MustCompile(`name="scope" value="` + scope + `"[^>]*>`).FindString(text)
				if strings.Contains(box, " checked") != want {
					t.Errorf("%s: %s, want ticked: %v", path, box, want)
				}
			}
		}
	}
}

// A refusal by the API is shown next to its field, in words, and no typed text
// is lost.
func TestMistakesAreShownAtTheirField(t *testing.T) {
	for _, c := range []struct {
		path, apiField, field string
		form                  url.Values
		kept                  string
	}{
		{"/apps", "apps[0].id", "id", url.Values{"name": {"Typed name"}, "id": {"typed-id"}}, "Typed name"},
		{"/apps", "apps[0].name", "name", url.Values{"name": {"Typed name"}, "id": {"typed-id"}}, "typed-id"},
		{"/apps/shop/settings", "app.name", "name", url.Values{"name": {"Typed name"}}, "Typed name"},
		{"/apps/shop/new", "keys[0].description", "description", url.Values{"description": {"typed"}, "expires": {"30d"}, "step": {"done"}}, "typed"},
		{"/apps/shop/new", "keys[0].expires_at", "date", url.Values{"description": {"typed"}, "expires": {"30d"}, "step": {"done"}}, "typed"},
		{"/apps/shop/collaborators/new", "collaborators[0].user_id", "user", url.Values{"user": {"typed-user"}}, "typed-user"},
		{"/account/password", "current_password", "pw-password", url.Values{"new": {"12345678"}, "again": {"12345678"}}, ""},
		{"/account/password", "password", "new", url.Values{"new": {"1234"}, "again": {"1234"}}, ""},
		{"/account/password", "again", "again", url.Values{"new": {"1234"}, "again": {"4321"}}, ""},
		{"/account/factor", "password", "factor-password", url.Values{}, ""},
		{"/account/factor/on", "code", "code", url.Values{"saved": {"yes"}}, ""},
	} {
		s := newTestPortal(t)
		s.refuse = &manage.Status{Code: manage.CodeInvalid, Field: c.apiField, Details: c.apiField + ": it won't do"}
		says := "It won&#39;t do."
		if c.apiField == "again" { // which the portal finds itself
			says = "It differs from the new password. Type both again."
		}
		status, _, text := s.send(c.path, c.form)
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d", c.path, status)
		}
		if !strings.Contains(text, `<p class="wrong" id="`+c.field+`-wrong">`+says+`</p>`) {
			t.Errorf("%s shows nothing next to %s: %s", c.path, c.field, text)
		}
		input := regexp.MustCompile(`<input[^>]* id="` + c.field + `"[^>]*>|<input id="` + c.field + `"[^>]*>`).FindString(text)
		if !strings.Contains(input, `aria-invalid="true" aria-describedby="`+c.field+`-wrong`) {
			t.Errorf("%s: the field isn't marked: %s", c.path, input)
		}
		if n := strings.Count(text, `aria-invalid="true"`); n != 1 {
			t.Errorf("%s: %d fields are marked", c.path, n)
		}
		if !strings.Contains(text, `id="problem"`) || strings.Contains(text, c.apiField+":") {
			t.Errorf("%s: no summary, or one in the API's words: %s", c.path, text)
		}
		if c.kept != "" && !strings.Contains(text, `value="`+c.kept+`"`) {
			t.Errorf("%s has lost what was typed: %s", c.path, text)
		}
	}
}

// Revoking several keys leads back to the same list, and nowhere else, whatever
// the form says.
func TestRevokingSeveralComesBackToTheList(t *testing.T) {
	for list, want := range map[string]string{
		"?q=night&state=active&sort=name&page=2": "/portal/apps/shop?page=2&q=night&sort=name&state=active&done=",
		"":                                       "/portal/apps/shop?done=",
		"?done=app-deleted&evil=1":               "/portal/apps/shop?done=",
		"//evil.example/?q=a":                    "/portal/apps/shop?done=",
		"?q=a%26b%0d%0aX:+y":                     "/portal/apps/shop?q=a%26b%0D%0AX%3A+y&done=",
		"?q=%zz":                                 "/portal/apps/shop?done=",
	} {
		s := newTestPortal(t)
		status, to, _ := s.send("/apps/shop/revoke", url.Values{"key": {"cak_1", "cak_2"}, "list": {list}, "step": {"done"}})
		if status != http.StatusSeeOther || to != want+"key-revoked#notice" || len(s.changed) != 1 {
			t.Errorf("%q: %d to %s after %v", list, status, to, s.changed)
		}
		if _, to, _ = s.send("/apps/shop/revoke", url.Values{"list": {list}, "step": {"review"}}); to != want+"none-selected#notice" {
			t.Errorf("%q: with none ticked to %s", list, to)
		}
	}
	s := newTestPortal(t)
	for _, c := range []struct {
		keys  []string
		title string
	}{{[]string{"cak_1"}, "Revoke this key?"}, {[]string{"cak_1", "cak_2"}, "Revoke 2 keys?"}} {
		_, _, text := s.send("/apps/shop/revoke", url.Values{"key": c.keys, "list": {"?q=night"}, "step": {"review"}})
		for _, want := range []string{">" + c.title + "</h1>", `href="/portal/apps/shop?q=night"`, `name="list" value="?q=night"`} {
			if !strings.Contains(text, want) {
				t.Errorf("%v: no %s in %s", c.keys, want, text)
			}
		}
	}
}

func TestAPITextsOnAPage(t *testing.T) {
	for _, c := range []struct{ details, field, want string }{
		{"password: fewer than 8 characters", "password", "Fewer than 8 characters."},
		{"keys[0].scopes: choose, or ask.", "keys[0].scopes", "Choose, or ask."},
		{
			"keys[0].version: it is 2 by now", "keys[0].version",
			"It was changed since you opened this form, perhaps in another tab. Open the form again and repeat your change.",
		},
		{"élan", "", "Élan."}, {"do this (or that)", "", "Do this (or that)."}, {"", "", ""}, {"a: b", "c", "A: b."},
	} {
		if got := sentence(c.details, c.field); got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.details, c.field, got, c.want)
		}
	}
}

func TestTitlesFitAHeading(t *testing.T) {
	for description, want := range map[string]string{
		"": "cak_1", "short": "short", strings.Repeat("é", 100): strings.Repeat("é", 100), strings.Repeat("é", 101): strings.Repeat("é", 99) + "…",
	} {
		if got := titleOf(&manage.Key{KeyID: "cak_1", Description: description}); got != want {
			t.Errorf("%q: %q", description, got)
		}
	}
}

func TestExactTimes(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	at := now.Add(-2 * time.Hour).In(time.FixedZone("", 3600))
	const want = `<time datetime="2026-05-06T05:08:09Z">2 hours ago <span class="hint">6 May 2026, 05:08 UTC</span></time>`
	if got := exactTime(now, at); string(got) != want {
		t.Errorf("%s", got)
	}
	if got := exactTime(now, &at); string(got) != want {
		t.Errorf("%s", got)
	}
	if got := exactTime(now, (*time.Time)(nil)); got != "never" {
		t.Errorf("no time: %s", got)
	}
}

// A mistyped code keeps the set-up, and so does a box that wasn't ticked. What
// isn't a second factor's URI is not drawn.
func TestMistypedCodesKeepTheSetUp(t *testing.T) {
	const uri = "otpauth://totp/keys.example:ada?secret=JBSWY3DPEHPK3PXP&issuer=keys.example"
	for _, c := range []struct {
		name, uri, saved, field string
		kept                    bool
	}{
		{"a mistyped code", uri, "yes", "code", true},
		{"codes that aren't saved", uri, "", "saved", true},
		{"another address", "https://evil.example/?secret=JBSWY3DPEHPK3PXP", "yes", "code", false},
		{"a long one", uri + strings.Repeat("x", longestURI), "yes", "code", false},
	} {
		s := newTestPortal(t)
		s.refuse = &manage.Status{Code: manage.CodeLoginFailed, Field: "code", Details: "the code is wrong"}
		_, _, text := s.send("/account/factor/on", url.Values{"code": {"000000"}, "uri": {c.uri}, "recovery": {"abcd-efgh", "ijkl-mnop"}, "saved": {c.saved}})
		if !strings.Contains(text, `id="`+c.field+`-wrong"`) || len(s.changed) > 0 != (c.saved != "") {
			t.Errorf("%s: no problem at %s, or %v was called: %s", c.name, c.field, s.changed, text)
		}
		for _, want := range []string{`class="qr"`, `value="JBSWY3DPEHPK3PXP"`, "<li>abcd-efgh</li><li>ijkl-mnop</li>", `name="recovery" value="ijkl-mnop"`} {
			if strings.Contains(text, want) != c.kept {
				t.Errorf("%s: %s, want kept: %v: %s", c.name, want, c.kept, text)
			}
		}
	}
}

// The page of a key says where the key works and who made it.
func TestFactsOfAKey(t *testing.T) {
	s := newTestPortal(t)
	plain := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		for id, by := range map[string]string{"cap_3": "(operator)", "cap_4": "cas_9", "cap_5": "(import 0123456789abcdef)"} {
			if strings.HasSuffix(target, "/keys/"+id) {
				used := time.Now()
				return &manage.Answer{Status: manage.Status{Code: manage.CodeOK}, Key: &manage.Key{KeyID: id, CreatedBy: by, LastUsedAt: &used, LastUsedFrom: "192.0.2.7"}}, nil
			}
		}
		return plain(r, credential, method, target, body)
	}
	for path, list := range map[string][]string{
		"/keys/cak_1": {`<dt>Works in</dt><dd><a href="/portal/apps/shop">Shop</a></dd>`},
		"/keys/cap_3": {`<dt>Works in</dt><dd>all your applications, and those shared with you</dd>`, "by the operator</dd>", "from 192.0.2.7</dd>"},
		"/keys/cap_4": {`by you <span class="mono hint">cas_9</span></dd>`},
		"/keys/cap_5": {`by <span class="mono">(import 0123456789abcdef)</span></dd>`},
	} {
		text := s.open(path)
		for _, want := range list {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in %s", path, want, text)
			}
		}
	}
}
