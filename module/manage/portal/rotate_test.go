package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// newRotatePortal is a portal with one key, which the test changes.
func newRotatePortal(t *testing.T, change func(*manage.Key)) *testPortal {
	s := newTestPortal(t)
	plain := s.portal.call
	s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
		a, err := plain(r, credential, method, target, body)
		switch {
		case method == http.MethodPost && strings.HasSuffix(target, "/rotate"):
			a.Key = &manage.Key{ID: "cak_2_secret", KeyID: "cak_2"}
		case target == "/v2/users/me/keys/cak_1":
			change(a.Key)
		case target == "/v2/users/me/keys/cak_gone":
			a.Status = manage.Status{Code: manage.CodeNotFound}
		}
		return a, err
	}
	return s
}

var endValues = regexp.MustCompile(`name="end" value="([^"]+)"( checked)?`)

// The old key ends in 24 hours unless one chooses otherwise, at the very time
// that the page shows.
func TestRotationEndsWhenThePageSays(t *testing.T) {
	s := newRotatePortal(t, func(*manage.Key) {})
	text := s.get("/keys/cak_1/rotate").Body.String()
	ends := endValues.FindAllStringSubmatch(text, -1)
	if len(ends) != 4 || ends[0][2] != " checked" || ends[3][1] != "now" {
		t.Fatalf("the ends are %v: %s", ends, text)
	}
	end, err := time.Parse(time.RFC3339, ends[0][1])
	if err != nil || time.Until(end) < 23*time.Hour || time.Until(end) > 24*time.Hour || !strings.Contains(text, end.Format(exactly)) {
		t.Errorf("the default is %s", ends[0][1])
	}
	page := s.made("/keys/cak_1/rotate", url.Values{"end": {ends[0][1]}, "expires": {"keep"}})
	grace := regexp.MustCompile(`map\[grace:(\S+)\]$`).FindStringSubmatch(s.changed[0])
	if grace == nil {
		t.Fatalf("asked for %v", s.changed)
	}
	if d, err := time.ParseDuration(grace[1]); err != nil || time.Until(end)-d > time.Second || d-time.Until(end) > time.Second {
		t.Errorf("a grace of %s until %s", grace[1], end)
	}
	if !strings.Contains(page, "works until "+end.Format(exactly)) {
		t.Errorf("the page of the new key doesn't say when the old one ends: %s", page)
	}
	s.changed = nil
	s.send("/keys/cak_1/rotate", url.Values{"end": {"now"}, "expires": {"never"}})
	if want := "[POST /v2/users/me/keys/cak_1/rotate map[expires_at:<nil>]]"; fmt.Sprint(s.changed) != want {
		t.Errorf("asked for %v, want %s", s.changed, want)
	}
	s.changed = nil
	s.send("/keys/cak_1/rotate", url.Values{"end": {"now"}, "expires": {"30d"}})
	if at := time.Now().Add(30 * aDay).UTC().Format(time.DateOnly); len(s.changed) != 1 || !strings.Contains(s.changed[0], "expires_at:"+at) || strings.Contains(s.changed[0], "grace") {
		t.Errorf("asked for %v", s.changed)
	}
}

func TestRotationMistakes(t *testing.T) {
	s := newRotatePortal(t, func(*manage.Key) {})
	for name, c := range map[string]struct {
		form url.Values
		says string
	}{
		"a time that has passed": {url.Values{"end": {"2001-01-01T00:00:00Z"}, "expires": {"30d"}}, "This time has passed"},
		"no time":                {url.Values{"end": {"soon"}, "expires": {"30d"}}, "This time has passed"},
		"an expiry in the past":  {url.Values{"end": {"now"}, "expires": {"date"}, "date": {"2001-01-01"}}, "Choose tomorrow"},
	} {
		status, _, text := s.send("/keys/cak_1/rotate", c.form)
		if status != http.StatusBadRequest || !strings.Contains(text, c.says) || len(s.changed) > 0 {
			t.Errorf("%s: %d, changed %v: %s", name, status, s.changed, text)
		}
		if !strings.Contains(text, `value="`+c.form.Get("expires")+`" checked`) {
			t.Errorf("%s: the expiry isn't kept", name)
		}
	}
	s.refuse = &manage.Status{Code: manage.CodeInvalid, Field: "expires_at", Details: "it won't do"}
	end := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	if status, _, text := s.send("/keys/cak_1/rotate", url.Values{"end": {end}, "expires": {"90d"}}); status != http.StatusBadRequest ||
		!strings.Contains(text, "It won&#39;t do.") || !strings.Contains(text, `value="`+end+`" checked`) {
		t.Errorf("a refusal: %d %s", status, text)
	}
}

// The page says what becomes of a key that is disabled, has expired, expires soon
// or was rotated before.
func TestRotationOfKeysInOtherStates(t *testing.T) {
	soon, past := time.Now().Add(2*time.Hour), time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		change    func(*manage.Key)
		asks      string
		end, note string
	}{
		"disabled":     {func(k *manage.Key) { k.Disabled = true }, "This key is disabled, and so is the new one", "now", "Both are disabled."},
		"expired":      {func(k *manage.Key) { k.ExpiresAt = &past }, "This key has expired.", "now", "The old key had expired, and is revoked now."},
		"expires soon": {func(k *manage.Key) { k.ExpiresAt = &soon }, "It expires before:", time.Now().Add(aDay).UTC().Format(time.RFC3339), "works until it expires: " + soon.UTC().Format(exactly)},
		"rotated":      {func(k *manage.Key) { k.RotatedTo = "cak_2" }, "It was rotated before, to", "now", "is refused from now on"},
	} {
		s := newRotatePortal(t, c.change)
		if text := s.get("/keys/cak_1/rotate").Body.String(); !strings.Contains(text, c.asks) || strings.Contains(text, `value="keep"`) == (name == "expired") {
			t.Errorf("%s: the form doesn't say %q, or offers what can't be: %s", name, c.asks, text)
		}
		if text := s.made("/keys/cak_1/rotate", url.Values{"end": {c.end}, "expires": {"90d"}}); !strings.Contains(text, c.note) {
			t.Errorf("%s: the page of the new key doesn't say %q: %s", name, c.note, text)
		}
	}
}

// The page of a key leads to the one before it and the one after it.
func TestRotationLinks(t *testing.T) {
	for to, want := range map[string]string{
		"cak_2":    `Replaced by</dt><dd><a class="mono" href="/portal/keys/cak_2">cak_2</a>, since <time`,
		"cak_gone": `Replaced by</dt><dd><span class="mono">cak_gone</span>, which was revoked`,
		"":         `Replaces</dt><dd><a class="mono" href="/portal/keys/cak_0">cak_0</a>, since <time`,
	} {
		s := newRotatePortal(t, func(k *manage.Key) { k.RotatedFrom, k.RotatedTo, k.CreatedAt = "cak_0", to, time.Now() })
		plain := s.portal.call
		s.portal.call = func(r *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
			a, err := plain(r, credential, method, target, body)
			if a.Key != nil && a.Key.KeyID == "cak_2" {
				a.Key.CreatedAt = time.Now()
			}
			return a, err
		}
		if text := s.get("/keys/cak_1").Body.String(); !strings.Contains(text, want) {
			t.Errorf("%q: no %s in %s", to, want, text)
		}
	}
}
