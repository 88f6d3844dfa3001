package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func TestFormsAreTakenOnce(t *testing.T) {
	var f forms
	token := f.make("mine")
	for _, c := range []struct {
		what, session, token string
		want                 bool
	}{
		{"another session's", "other", token, false},
		{"nothing", "mine", "", false},
		{"changed", "mine", token[:len(token)-2] + "xx", false},
		{"its own", "mine", token, true},
	} {
		if _, got := f.check(c.session, c.token); got != c.want || f.unused(c.session, c.token) != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	id, _ := f.check("mine", token)
	s, first := f.begin(id, [32]byte{1}, formLife)
	if _, again := f.begin(id, [32]byte{1}, formLife); !first || again || f.unused("mine", token) || !f.spent(token) {
		t.Errorf("first: %v, again: %v, unused: %v, spent: %v", first, again, f.unused("mine", token), f.spent(token))
	}
	s.free = true
	f.end(id, s, "ada")
	if s, first = f.begin(id, [32]byte{2}, formLife); !first {
		t.Error("a form that did nothing can't be sent again")
	}
	f.end(id, s, "ada")
	// Those that are forgotten are too old to be taken anyway.
	f.cleared = time.Time{}
	f.clear(time.Now().Add(formLife + time.Minute))
	if len(f.sent) != 0 {
		t.Errorf("%d submissions are remembered forever", len(f.sent))
	}
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	for then, want := range map[string]string{
		"/apps/shop": "/apps/shop", "": "", "https://evil.example": "", "//evil.example": "", `/\evil.example`: "", "apps": "", "/a\r\nb": "",
		"/../v2/login": "", "/..": "", "/%2e%2e/else": "", "/apps/.%2E/../else": "", "/./..//evil.example": "", "/a//b": "",
		"/%5cevil.example": "", "/a?b": "", "/a#b": "", "/a\tb": "", "/%zz": "",
	} {
		if got := ours(then); got != want {
			t.Errorf("%q leads to %q, want %q", then, got, want)
		}
	}
}

var sample = &catalogue{needs: map[string][]string{
	"All": nil, "Predict": {"Models:Get"}, "Inputs:Get": nil, "Inputs:Add": {"Inputs:Get"}, "Inputs:Delete": {"Inputs:Add", "Inputs:Get"},
	"Models:Get": nil, "Models:Train": {"Models:Get"}, "ComputeClusters:Get": nil,
}}

func TestWhatOthersNeedIsAdded(t *testing.T) {
	var said []string
	for _, a := range sample.complete([]string{"Inputs:Delete"}) {
		said = append(said, a.Scope+"<"+a.NeededBy)
	}
	if got := strings.Join(said, " "); got != "Inputs:Add<Inputs:Delete Inputs:Get<Inputs:Delete" {
		t.Errorf("added %s", got)
	}
	if added := sample.complete([]string{"All", "Inputs:Add"}); added != nil {
		t.Errorf("added %v to All", added)
	}
}

func TestTimesAsPeopleSayThem(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "now", -20 * time.Second: "now", -time.Minute: "1 minute ago", -90 * time.Minute: "2 hours ago",
		-25 * time.Hour: "1 day ago", 3 * 24 * time.Hour: "in 3 days", 400 * 24 * time.Hour: "in 1 year", -61 * 24 * time.Hour: "2 months ago",
	} {
		if got := relative(now, now.Add(d)); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := timeElement(now, (*time.Time)(nil)); got != "never" {
		t.Errorf("no time: %q", got)
	}
}

func TestKeysAreLookedThrough(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	past, future := now.Add(-time.Hour), now.Add(time.Hour)
	all := []manage.Key{
		{KeyID: "cak_1", Description: "Backup", Scopes: []string{"Inputs:Get"}, CreatedAt: now.Add(-3 * time.Hour), ExpiresAt: &future},
		{KeyID: "cak_2", Description: "alarm", Disabled: true, CreatedAt: now.Add(-2 * time.Hour), LastUsedAt: &past},
		{KeyID: "cak_3", Description: "old", CreatedAt: now.Add(-1 * time.Hour), ExpiresAt: &past},
	}
	for query, want := range map[string]string{
		"": "cak_3 cak_2 cak_1", "sort=name": "cak_2 cak_1 cak_3", "sort=used": "cak_2 cak_1 cak_3", "sort=expires": "cak_3 cak_1 cak_2",
		"q=back": "cak_1", "q=inputs+BACKUP": "cak_1", "q=cak_2": "cak_2", "q=none": "",
		"state=active": "cak_1", "state=disabled": "cak_2", "state=expired": "cak_3", "page=9": "cak_3 cak_2 cak_1",
	} {
		l := keyList{Keys: append([]manage.Key{}, all...)}
		l.choose(mustQuery(t, query), now)
		var ids []string
		for _, k := range l.Keys {
			ids = append(ids, k.KeyID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

func mustQuery(t *testing.T, text string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}
