package portal

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// someActivity is the activity of a key that was refused for what it lacks, and
// for what no grant helps.
func someActivity() manage.Activity {
	a := manage.Activity{KeyID: "cak_1", From: "2026-10-31", To: "2026-11-29", Allowed: 100, Refused: 6, Refusals: []manage.RefusedRequests{
		{Reason: "scopes", MissingScopes: []string{"Inputs:Add"}, Count: 3, LastDate: "2026-11-29"},
		{Reason: "owner", Count: 2, LastDate: "2026-11-28"}, {Reason: "scopes", Other: true, Count: 1, LastDate: "2026-11-27"},
	}}
	first := time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)
	for i := range 30 {
		a.Days = append(a.Days, manage.ActivityDay{Date: first.AddDate(0, 0, i).Format(time.DateOnly)})
	}
	a.Days[29].Allowed, a.Days[29].Refused, a.Days[29].Refusals = 97, 3, a.Refusals[:1]
	a.Days[28].Allowed, a.Days[27].Refused, a.Days[28].Refused = 3, 1, 2
	return a
}

var barRect = regexp.MustCompile(`<rect class="(allowed|refused)" x="(\d+)" y="(\d+)" width="16" height="(\d+)"/>`)

// The bars are as tall as the counts, stand on each other within the drawing, and
// every day has a title and a row.
func TestActivityIsDrawn(t *testing.T) {
	s := newSampledPortal(t)
	s.activity = someActivity()
	page := s.open("/keys/cak_1")
	_, drawing, _ := strings.Cut(page, `<svg class="bars"`)
	drawing, _, _ = strings.Cut(drawing, "</svg>")
	if n := strings.Count(drawing, "<title>"); n != 30 {
		t.Errorf("%d days have a title", n)
	}
	var bars []string
	for _, m := range barRect.FindAllStringSubmatch(drawing, -1) {
		bars = append(bars, strings.Join(m[1:], " "))
	}
	want := "refused 542 117 3, allowed 562 117 3, refused 562 114 3, allowed 582 4 116, refused 582 1 3"
	if got := strings.Join(bars, ", "); got != want {
		t.Errorf("the bars are %s\nwant %s", got, want)
	}
	if strings.Contains(page, "style=") {
		t.Error("the page has a style of its own, which its policy forbids")
	}
	for _, want := range []string{
		"<title>29 Nov 2026: 97 allowed, 3 refused</title>",
		`<tr><th scope="row">29 Nov 2026</th><td class="number">97</td><td class="number">3</td><td>It lacked scopes or endpoints (3)</td></tr>`,
		`data-allowed>100</strong> allowed`, `data-refused>6</strong> refused`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if n := strings.Count(page, `<tr><th scope="row">`); n != 30 {
		t.Errorf("the table has %d days", n)
	}
	in := xml.NewDecoder(strings.NewReader(`<svg class="bars"` + drawing + "</svg>"))
	for {
		if _, err := in.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the drawing is malformed: %v", err)
		}
	}
}

// Counts of any size are drawn within the drawing.
func TestBarsFit(t *testing.T) {
	for _, counts := range [][2]uint64{{1, 0}, {0, 1}, {1, 1}, {1, 1 << 60}, {1 << 60, 1}, {1 << 62, 1 << 62}} {
		a := activityView{Activity: &manage.Activity{Days: []manage.ActivityDay{{Allowed: counts[0], Refused: counts[1]}}}}
		a.draw()
		b := a.Bars[0]
		if b.RefusedY < 0 || b.AllowedY+b.AllowedBy != barsTall || b.RefusedY+b.RefusedBy != b.AllowedY || (b.AllowedBy > 0) != (counts[0] > 0) || (b.RefusedBy > 0) != (counts[1] > 0) {
			t.Errorf("%v is drawn as %+v", counts, b)
		}
	}
}

// A key that was not used says how it is, and one that was used long ago says
// when.
func TestActivityOfAnUnusedKey(t *testing.T) {
	s := newSampledPortal(t)
	page := s.open("/keys/cak_1")
	if !strings.Contains(page, "This key has not been used yet.") || strings.Contains(page, "<svg class=\"bars\"") {
		t.Errorf("an unused key: %s", page)
	}
}

// A refusal offers what the key lacks, with the scopes that it needs. The grant
// is what the API says, whatever the form says, and only for the shown version.
func TestGrantingWhatWasRefused(t *testing.T) {
	s := newSampledPortal(t)
	s.activity = someActivity()
	page := s.open("/keys/cak_1")
	if n := strings.Count(page, "/keys/cak_1/grant-refused"); n != 1 || !strings.Contains(page, "Grant Inputs:Add, Inputs:Get</button>") {
		t.Errorf("%d grants are offered: %s", n, page)
	}
	form := url.Values{"missing": {"Inputs:Add"}, "version": {"7"}, "scopes": {"All"}}
	status, to, _ := s.send("/keys/cak_1/grant-refused", form)
	want := "PATCH /v2/users/me/keys map[action:merge keys:[map[id:cak_1 scopes:[Inputs:Add Inputs:Get] version:7]]]"
	if status != http.StatusSeeOther || to != "/portal/keys/cak_1?done=key-changed#notice" || fmt.Sprint(s.changed) != "["+want+"]" {
		t.Errorf("answered %d to %s, and changed %q, want %q", status, to, s.changed, want)
	}
	for _, missing := range [][]string{nil, {"All"}, {"Inputs:Add", "All"}, {"Inputs:Get"}} {
		s.changed = nil
		if s.send("/keys/cak_1/grant-refused", url.Values{"missing": missing, "version": {"7"}}); len(s.changed) > 0 {
			t.Errorf("%v: changed %q", missing, s.changed)
		}
	}
	s.refuse = &manage.Status{Code: manage.CodeConflict, Field: "keys[0].version", Details: "keys[0].version: it is 8 by now"}
	if status, _, page := s.send("/keys/cak_1/grant-refused", url.Values{"missing": {"Inputs:Add"}, "version": {"6"}}); status != http.StatusConflict || !strings.Contains(page, "It was changed since you opened this form") {
		t.Errorf("another version: %d %s", status, page)
	}
}

// The history has the newest changes, with a link to all.
func TestHistoryOfAKey(t *testing.T) {
	s := newSampledPortal(t)
	if page := s.open("/keys/cak_1"); !strings.Contains(page, "No change of this key is in the audit log") {
		t.Errorf("without entries: %s", page)
	}
	s.entries = []manage.AuditEntry{{At: time.Now(), Action: "key.change", KeyID: "cak_1", ActorID: "cap_9", ActorUserID: "ada", Address: "192.0.2.7"}}
	page := s.open("/keys/cak_1")
	for _, want := range []string{"key changed", "192.0.2.7", "you<br>", `href="/portal/audit?key=cak_1">All changes of this key`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
}

// A person reads every reason for which a key is refused, or a limit that comes.
func TestReasonsAreInWords(t *testing.T) {
	for _, r := range authz.Reasons() {
		switch r.Step() {
		case authz.StepPublic, authz.StepCredential, authz.StepForward:
			continue
		}
		if words := reasonInWords(r.String()); words == r.String() && r != authz.CredentialUnknown && r != authz.Preflight {
			t.Errorf("%s has no words", r)
		}
	}
}
