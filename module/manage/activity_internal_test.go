package manage

import (
	"reflect"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// The answer has the last days up to today, and sums up only those.
func TestShowActivity(t *testing.T) {
	today := keys.DateOf(keys.Date(20_000).Time())
	scopes, owner := keys.NewCause("scopes", []string{"A", "B"}, []string{"/p.S/M"}), keys.NewCause("owner", nil, nil)
	var counted keys.Activity
	for _, d := range []keys.Date{today - 30, today - 29, today - 1, today, today + 1} {
		counted.Allow(d, 10)
		counted.Refuse(d, owner, 1)
	}
	counted.Refuse(today-1, scopes, 5)
	counted.Refuse(today-29, keys.Cause{Reason: "scopes", Scopes: keys.OtherLack}, 2)
	a := showActivity("cap_1", counted, today, keys.ActivityDays)
	if a.From != "2024-09-05" || a.To != "2024-10-04" || len(a.Days) != 30 || a.Days[0].Date != a.From || a.Days[29].Date != a.To {
		t.Errorf("%s to %s, %d days: %+v", a.From, a.To, len(a.Days), a.Days)
	}
	if a.Allowed != 30 || a.Refused != 10 {
		t.Errorf("%d allowed and %d refused", a.Allowed, a.Refused)
	}
	want := []RefusedRequests{
		{Reason: "scopes", MissingScopes: []string{"A", "B"}, MissingEndpoints: []string{"/p.S/M"}, Count: 5, LastDate: "2024-10-03"},
		{Reason: "owner", Count: 3, LastDate: "2024-10-04"},
		{Reason: "scopes", Other: true, Count: 2, LastDate: "2024-09-05"},
	}
	if !reflect.DeepEqual(a.Refusals, want) {
		t.Errorf("got %+v, want %+v", a.Refusals, want)
	}
	if d := a.Days[28]; d.Allowed != 10 || d.Refused != 6 || len(d.Refusals) != 2 || d.Refusals[0].LastDate != "2024-10-03" {
		t.Errorf("the day before: %+v", d)
	}
	if d := a.Days[10]; d.Allowed+d.Refused != 0 || d.Refusals == nil {
		t.Errorf("a day without requests: %+v", d)
	}
	a = showActivity("cap_1", counted, today, 1)
	want = []RefusedRequests{{Reason: "owner", Count: 1, LastDate: "2024-10-04"}}
	if a.From != a.To || len(a.Days) != 1 || a.Allowed != 10 || !reflect.DeepEqual(a.Refusals, want) {
		t.Errorf("one day: %+v", a)
	}
}
