package portal

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// activityView is what a key was used for, on the key's page.
type activityView struct {
	*manage.Activity
	Bars     []bar
	Refusals []refusalView
	// Most is the number of requests on the busiest day.
	Most uint64
	// Spans are the numbers of days to choose from.
	Spans []int
}

// spans are the numbers of days that activity is shown for. The first is the
// default.
var spans = []int{keys.ActivityDays, 7}

// Span is the number of days that are shown.
func (a *activityView) Span() int { return len(a.Days) }

// span returns the number of days that the query asks for.
func (v *visit) span() int {
	for _, n := range spans {
		if v.r.URL.Query().Get("days") == strconv.Itoa(n) {
			return n
		}
	}
	return spans[0]
}

// bar is a day in the drawing of the activity. Its measures are in the drawing's
// own units.
type bar struct {
	manage.ActivityDay
	X                   int
	AllowedY, AllowedBy int
	RefusedY, RefusedBy int
	Title               string
}

// The measures of the drawing. The page scales it.
const (
	barStep   = 20
	barWidth  = 16
	barsTall  = 120
	leastTall = 3 // of a count that isn't 0
)

// refusalView is a cause of refusals in words.
type refusalView struct {
	manage.RefusedRequests
	Words string
	// Scopes and Endpoints are what a grant would add. They are empty if the key
	// has by now what was missing.
	Scopes, Endpoints []string
	Had               bool
}

// Missing returns the scopes and endpoints that were missing.
func (r *refusalView) Missing() []string {
	return slices.Concat(r.MissingScopes, r.MissingEndpoints)
}

// Grants returns what a grant would add, for its button.
func (r *refusalView) Grants() []string { return namesOfGrant(r.Scopes, r.Endpoints) }

// reasons are the reasons of decisions about keys, as a person would say them.
var reasons = map[authz.Reason]string{
	authz.Target:           "The address or the form of the request was ambiguous",
	authz.NearLiteral:      "The address was almost that of another operation",
	authz.MethodUnknown:    "The method is unknown",
	authz.Expired:          "It had expired",
	authz.Disabled:         "It was disabled",
	authz.Suspended:        "The account was suspended",
	authz.StoreUnavailable: "The key store could not answer",
	authz.Stale:            "The server was not up to date",
	authz.RouteUnknown:     "There is no such operation",
	authz.MethodNotAllowed: "The operation has no such method",
	authz.Kind:             "The operation doesn't accept this kind of key",
	authz.Owner:            "It named a user or an application that is not its own",
	authz.Resource:         "It addressed a resource beyond its limits",
	authz.Scopes:           "It lacked scopes or endpoints",
	authz.Address:          "It may not be used from that address",
	authz.Rate:             "It sent too many requests at once",
	authz.Quota:            "Its quota was used up",
}

// reasonInWords returns a reason of the API in words, and an unknown one as it is.
func reasonInWords(name string) string {
	reason, err := authz.ParseReason(name)
	if words := reasons[reason]; err == nil && words != "" {
		return words
	}
	return name
}

// activityOf reads what a key was used for.
func (v *visit) activityOf(p *keyPage) (*activityView, error) {
	a, err := v.get(mine("keys", p.Key.KeyID, "activity") + "?days=" + strconv.Itoa(v.span()))
	if err != nil {
		return nil, err
	}
	if a.Activity == nil {
		return nil, fmt.Errorf("the API didn't answer the activity of %s", p.Key.KeyID)
	}
	view := &activityView{Activity: a.Activity, Spans: spans}
	view.draw()
	var c *catalogue
	for _, r := range a.Activity.Refusals {
		shown := refusalView{RefusedRequests: r, Words: reasonInWords(r.Reason)}
		if shown.lackedBy(p.Key); len(shown.Scopes) > 0 {
			if c == nil {
				if c, err = v.catalogue(); err != nil {
					return nil, err
				}
			}
			shown.Scopes = c.lackingOf(p.Key.Scopes, shown.Scopes)
		}
		view.Refusals = append(view.Refusals, shown)
	}
	return view, nil
}

// draw computes the bars.
func (a *activityView) draw() {
	for _, d := range a.Days {
		a.Most = max(a.Most, d.Allowed+d.Refused)
	}
	for i, d := range a.Days {
		b := bar{ActivityDay: d, X: i * barStep, Title: titleOfDay(d)}
		b.AllowedBy, b.RefusedBy = a.tall(d.Allowed), a.tall(d.Refused)
		// Both fit, even if one is as tall as the drawing.
		if over := b.AllowedBy + b.RefusedBy - barsTall; over > 0 && b.AllowedBy > b.RefusedBy {
			b.AllowedBy -= over
		} else if over > 0 {
			b.RefusedBy -= over
		}
		b.AllowedY = barsTall - b.AllowedBy
		b.RefusedY = b.AllowedY - b.RefusedBy
		a.Bars = append(a.Bars, b)
	}
}

// tall returns the height of a count in the drawing.
func (a *activityView) tall(count uint64) int {
	if count == 0 {
		return 0
	}
	return max(leastTall, int(float64(count)/float64(a.Most)*barsTall))
}

// titleOfDay says what a bar shows.
func titleOfDay(d manage.ActivityDay) string {
	return fmt.Sprintf("%s: %s allowed, %s refused", dayInWords(d.Date), figure(d.Allowed), figure(d.Refused))
}

// dayInWords returns a day of the API, such as 2026-11-29, as 29 Nov 2026.
func dayInWords(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return t.Format("2 Jan 2006")
}

// figure returns a count with commas.
func figure(n uint64) string { return humanize.Comma(int64(min(n, math.MaxInt64))) }

// Width and Height are the measures of the drawing.
func (a *activityView) Width() int  { return len(a.Bars) * barStep }
func (a *activityView) Height() int { return barsTall }

// BarWidth is the width of a bar, and BarStep that of a day.
func (a *activityView) BarWidth() int { return barWidth }
func (a *activityView) BarStep() int  { return barStep }

// Used reports whether the key was used on one of the days.
func (a *activityView) Used() bool { return a.Allowed+a.Refused > 0 }

// Newest returns the days, the newest first.
func (a *activityView) Newest() []bar {
	days := slices.Clone(a.Bars)
	slices.Reverse(days)
	return days
}

// Causes returns the causes of the refusals of a day, in words.
func (b bar) Causes() string {
	list := make([]string, len(b.Refusals))
	for i, r := range b.Refusals {
		list[i] = fmt.Sprintf("%s (%s)", reasonInWords(r.Reason), figure(r.Count))
	}
	return strings.Join(list, "; ")
}

// lackedBy sets what of the missing names a key still lacks.
func (r *refusalView) lackedBy(k *manage.Key) {
	for _, name := range r.MissingScopes {
		if !slices.Contains(k.Scopes, all) && !slices.Contains(k.Scopes, name) {
			r.Scopes = append(r.Scopes, name)
		}
	}
	for _, name := range r.MissingEndpoints {
		if len(k.Endpoints) > 0 && !slices.Contains(k.Endpoints, name) {
			r.Endpoints = append(r.Endpoints, name)
		}
	}
	r.Had = len(r.Missing()) > 0 && len(r.Grants()) == 0
}

// grantRefused grants the key what requests were refused for. What that is, the
// API says again: the form only names the cause.
func (v *visit) grantRefused() error {
	p, err := v.keyToShow()
	if err != nil {
		return err
	}
	for _, r := range p.Activity.Refusals {
		if len(r.Grants()) > 0 && slices.Equal(r.Missing(), v.r.PostForm["missing"]) {
			return v.grant(p, r.Scopes, r.Endpoints)
		}
	}
	return v.show(http.StatusOK, "key", titleOf(p.Key), p)
}

// grant adds scopes and endpoints to the key that a page shows.
func (v *visit) grant(p *keyPage, scopes, endpoints []string) error {
	change := map[string]any{"id": p.Key.KeyID, "version": number(v.r.PostForm.Get("version"))}
	if len(scopes) > 0 {
		change["scopes"] = scopes
	}
	if len(endpoints) > 0 {
		change["endpoints"] = endpoints
	}
	_, err := v.do(http.MethodPatch, mine("keys"), map[string]any{"keys": []any{change}, "action": "merge"})
	if no, ok := problems(err); ok {
		p.Problem = no
		return v.show(no.Code.HTTP(), "key", titleOf(p.Key), p)
	}
	if err != nil {
		return err
	}
	return v.goTo("/keys/"+url.PathEscape(p.Key.KeyID), "key-changed")
}

// shownOfHistory is how many changes the page of a key shows.
const shownOfHistory = "10"

// historyOf reads the newest changes of a key.
func (v *visit) historyOf(k *manage.Key) ([]auditRow, error) {
	query := url.Values{"key_id": {k.KeyID}, "order": {"newest"}, "per_page": {shownOfHistory}}
	a, err := v.get(mine("audit") + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	var rows []auditRow
	for _, e := range a.Entries {
		rows = append(rows, auditRow{e, inWords(e.Action), changes(e)})
	}
	return rows, nil
}
