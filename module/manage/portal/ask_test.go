package portal

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// callable answers what the API would about cak_1, which has no scopes.
func (s *testPortal) callable(query url.Values) *manage.Answer {
	a := &manage.Answer{Status: manage.Status{Code: manage.CodeOK}}
	switch query.Get("method") + " " + query.Get("path") {
	case "POST /v2/inputs?page=1":
		a.Operation = &manage.Operation{
			Method: "POST", Pattern: "/v2/inputs", Reason: "scopes", Details: "The credential lacks scopes.", MissingScopes: []string{"Inputs:Add"},
		}
	case "GET /healthz":
		a.Operation = &manage.Operation{Method: "GET", Pattern: "/healthz", Callable: true, Reason: "public"}
	case "GET /v2/nothing":
		a.Operation = &manage.Operation{Reason: "route_unknown", Details: "No route of this API has this path."}
	default:
		a.Status = manage.Status{Code: manage.CodeInvalid, Field: "path", Details: "path: there is a credential in it"}
	}
	return a
}

// The page of a key answers whether the key can make a request, with the reason
// and, where a grant would help, with a button for it.
func TestAskingWhetherAKeyCanCall(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		says         []string
		grant        bool
	}{
		{"GET", "/healthz", http.StatusOK, []string{"<strong>Yes.</strong> This operation needs no key.", `data-answer="public"`}, false},
		{"GET", "/v2/nothing", http.StatusOK, []string{"<strong>No.</strong> No route of this API has this path.", `data-answer="route_unknown"`}, false},
		{
			"POST", "/v2/inputs?page=1", http.StatusOK,
			[]string{"<strong>No.</strong> It lacks Inputs:Add.", "<button>Grant Inputs:Add, Inputs:Get</button>", `value="/v2/inputs?page=1"`}, true,
		},
		{"GET", "/x?key=secret", http.StatusBadRequest, []string{`<p class="wrong" id="ask-path-wrong">There is a credential in it`}, false},
		{"GET", "", http.StatusBadRequest, []string{"Give the path of the request"}, false},
	} {
		s := newSampledPortal(t)
		status, _, page := s.send("/keys/cak_1/ask", url.Values{"method": {c.method}, "path": {c.path}, "step": {"review"}})
		if status != c.status || strings.Contains(page, "/keys/cak_1/grant") != c.grant || strings.Contains(page, "secret\"") {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, page)
		}
		for _, want := range c.says {
			if !strings.Contains(page, want) {
				t.Errorf("%s %s: no %q in %s", c.method, c.path, want, page)
			}
		}
		if len(s.changed) > 0 {
			t.Errorf("%s %s changes something: %v", c.method, c.path, s.changed)
		}
	}
}

// A grant adds what the API says is missing, with the scopes that it needs,
// whatever else the form says, and only to the version that was shown.
func TestGrantingWhatIsMissing(t *testing.T) {
	form := func(method, path string) url.Values {
		return url.Values{"method": {method}, "path": {path}, "version": {"7"}, "scope": {"All"}, "scopes": {"All"}}
	}
	s := newSampledPortal(t)
	status, to, _ := s.send("/keys/cak_1/grant", form("POST", "/v2/inputs?page=1"))
	want := "PATCH /v2/users/me/keys map[action:merge keys:[map[id:cak_1 scopes:[Inputs:Add Inputs:Get] version:7]]]"
	if status != http.StatusSeeOther || to != "/portal/keys/cak_1?done=key-changed#notice" || len(s.changed) != 1 || s.changed[0] != want {
		t.Errorf("answered %d to %s, and changed %q, want %q", status, to, s.changed, want)
	}
	for _, path := range []string{"/healthz", "/v2/nothing", "/x?key=secret", ""} {
		s := newSampledPortal(t)
		if _, _, page := s.send("/keys/cak_1/grant", form("GET", path)); len(s.changed) > 0 {
			t.Errorf("%s: changed %q: %s", path, s.changed, page)
		}
	}
	s = newSampledPortal(t)
	s.refuse = &manage.Status{Code: manage.CodeConflict, Field: "keys[0].version", Details: "keys[0].version: it is 8 by now"}
	if status, _, page := s.send("/keys/cak_1/grant", form("POST", "/v2/inputs?page=1")); status != http.StatusConflict || !strings.Contains(page, "It was changed since you opened this form") {
		t.Errorf("another version: %d %s", status, page)
	}
}
