package keys_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

func TestDateOf(t *testing.T) {
	for at, want := range map[string]string{
		"2026-11-29T00:00:00Z":      "2026-11-29",
		"2026-11-29T23:59:59Z":      "2026-11-29",
		"2026-11-29T23:30:00-05:00": "2026-11-30",
		"1969-12-31T23:59:59Z":      "1969-12-31",
		"1969-12-31T00:00:00Z":      "1969-12-31",
		"1969-12-30T23:59:59Z":      "1969-12-30",
	} {
		parsed, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := keys.DateOf(parsed); got.String() != want || keys.DateOf(got.Time()) != got {
			t.Errorf("%s is on %s (%s), want %s", at, got, got.Time(), want)
		}
	}
}

func TestActivityJoins(t *testing.T) {
	owner, scopes := keys.NewCause("owner", nil, nil), keys.NewCause("scopes", []string{"A:Get", "B:Get"}, nil)
	was := keys.Activity{{Date: 10, Allowed: 5, Refused: map[keys.Cause]uint64{owner: 2}}, {Date: 12, Allowed: 1}}
	with := keys.Activity{{Date: 10, Allowed: 3, Refused: map[keys.Cause]uint64{owner: 4, scopes: 1}}, {Date: 11, Allowed: 7}}
	for _, c := range []struct {
		name string
		join func(*keys.Activity)
		want keys.Activity
	}{
		{"added", func(a *keys.Activity) { a.Add(with) }, keys.Activity{
			{Date: 10, Allowed: 8, Refused: map[keys.Cause]uint64{owner: 6, scopes: 1}}, {Date: 11, Allowed: 7}, {Date: 12, Allowed: 1},
		}},
		{"raised", func(a *keys.Activity) { a.Raise(with) }, keys.Activity{
			{Date: 10, Allowed: 5, Refused: map[keys.Cause]uint64{owner: 4, scopes: 1}}, {Date: 11, Allowed: 7}, {Date: 12, Allowed: 1},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got keys.Activity
			got.Add(was)
			c.join(&got)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	most := keys.Activity{{Date: 10, Allowed: math.MaxUint64 - 1}}
	if most.Add(with); most[0].Allowed != math.MaxUint64 {
		t.Errorf("a count went past its end: %d", most[0].Allowed)
	}
}

// However many lacks there are, a key's activity takes a bounded number of
// names, and counts every refusal.
func TestActivityIsBounded(t *testing.T) {
	var a keys.Activity
	for i := range 100 {
		a.Refuse(keys.Date(10+i%3), keys.NewCause("scopes", []string{fmt.Sprint("S", i)}, nil), 1)
	}
	a.Refuse(10, keys.NewCause("owner", nil, nil), 1)
	a.Refuse(10, keys.NewCause("scopes", []string{strings.Repeat("long", 100)}, nil), 1)
	causes, refused := a.Causes(), uint64(0)
	for i := range a {
		refused += a[i].AllRefused()
	}
	if len(causes) != 18 || refused != 102 {
		t.Errorf("%d causes of %d refusals: %v", len(causes), refused, causes)
	}
	other := a[0].Refused[keys.Cause{Reason: "scopes", Scopes: keys.OtherLack}]
	if other == 0 {
		t.Errorf("none counts as another lack: %v", a[0].Refused)
	}
	// What is known goes on being told apart.
	before := a[1].Refused[keys.NewCause("scopes", []string{"S1"}, nil)]
	if a.Refuse(11, keys.NewCause("scopes", []string{"S1"}, nil), 1); a[1].Refused[keys.NewCause("scopes", []string{"S1"}, nil)] != before+1 {
		t.Errorf("the first lack is not counted any more: %v", a[1].Refused)
	}
}

func TestRecent(t *testing.T) {
	var a keys.Activity
	for day := keys.Date(100); day < 150; day++ {
		a.Allow(day, 1)
	}
	got := a.Recent(140)
	if len(got) != keys.ActivityDays+1 || got[0].Date != 111 || got[len(got)-1].Date != 141 {
		t.Errorf("%d days are kept: %v", len(got), got)
	}
}
