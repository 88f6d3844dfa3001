package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestCredentialsInAText(t *testing.T) {
	one, _ := credential.Mint("ca", policy.PAT)
	two, _ := credential.Mint("x1", policy.AppKey)
	for text, want := range map[string][]pastedText{
		one:                                     {{1, one}},
		"  " + one + "\r\n":                     {{1, one}},
		"\n\nAuthorization: Key " + one + "\n":  {{3, one}},
		`{"a":"` + one + `","b":"` + two + `"}`: {{1, one}, {1, two}},
		"sk-elsewhere_123\n" + two:              {{1, "sk-elsewhere_123"}, {2, two}},
		"":                                      nil, " \n\t\n": nil,
	} {
		if got := pastedIn(text); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// A refused or empty form doesn't show again what was pasted.
func TestLeakedKeysAreNotShownAgain(t *testing.T) {
	text, _ := credential.Mint("ca", policy.PAT)
	for name, c := range map[string]struct {
		pasted string
		refuse *manage.Status
		want   int
	}{
		"nothing":  {" ", nil, http.StatusBadRequest},
		"too many": {strings.Repeat(text+"\n", maxLeaked+1), nil, http.StatusBadRequest},
		"refused":  {text, &manage.Status{Code: manage.CodeInvalid, Field: "credentials[0]", Details: "it won't do"}, http.StatusBadRequest},
	} {
		s := newTestPortal(t)
		s.refuse = c.refuse
		status, _, page := s.send("/leaked", url.Values{"credentials": {c.pasted}, "step": {"review"}})
		if status != c.want || strings.Contains(page, text) || !strings.Contains(page, `id="problem"`) {
			t.Errorf("%s: %d %s", name, status, page)
		}
	}
	// A failure in the middle is no success, and says what to do.
	s := newTestPortal(t)
	s.refuse = &manage.Status{Code: manage.CodeUnavailable, Details: "not now"}
	status, _, page := s.send("/leaked", url.Values{"key": {"cap_0123456789AB", text}, "step": {"done"}})
	if status != http.StatusServiceUnavailable || !strings.Contains(page, "Not everything is revoked") || len(s.changed) != 1 || strings.Contains(s.changed[0], text) {
		t.Errorf("%d after %v: %s", status, s.changed, page)
	}
	if _, to, _ := s.send("/leaked", url.Values{"key": {text}, "step": {"done"}}); to != "/portal/leaked?done=none-selected#notice" {
		t.Errorf("a credential for a key ID leads to %s", to)
	}
}
