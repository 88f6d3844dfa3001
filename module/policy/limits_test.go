package policy_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]policy.Rate{
		"10/s":              {N: 10, Per: time.Second, Burst: 10},
		"600/m":             {N: 600, Per: time.Minute, Burst: 600},
		"1/h":               {N: 1, Per: time.Hour, Burst: 1},
		"10/s burst 20":     {N: 10, Per: time.Second, Burst: 20},
		"1/h burst 610000":  {N: 1, Per: time.Hour, Burst: 610_000},
		"10/s burst 1":      {N: 10, Per: time.Second, Burst: 1},
		"10000000/s":        {N: 10_000_000, Per: time.Second, Burst: 10_000_000},
		"  10/s  burst 20 ": {N: 10, Per: time.Second, Burst: 20},
	} {
		got, err := policy.ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
		again, err := policy.ParseRate(got.String())
		if err != nil || again != got {
			t.Errorf("%q as %q: got %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "10", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "10/d", "10/", "10/s burst", "10/s burst 0", "10/s 20", "10/s burst 20 30",
		"10000001/s", "1e3/s", "10 /s", "0x10/s", "99999999999999999999/h", "10/s burst 1000000001", "1/h burst 620000",
	} {
		if got, err := policy.ParseRate(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestParseQuota(t *testing.T) {
	for text, want := range map[string]policy.Quota{
		"1000/day": {N: 1000, Per: policy.Day}, "10000/month": {N: 10000, Per: policy.Month}, "1/day": {N: 1, Per: policy.Day},
	} {
		got, err := policy.ParseQuota(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10", "10/s", "10/year", "0/day", "-1/day", "1.5/day", "10/days", "1000000000000001/day"} {
		if got, err := policy.ParseQuota(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestLimitsAsJSON(t *testing.T) {
	const text = `{"rate":"10/s burst 20","quota":"10000/month","concurrent":5}`
	var l policy.Limits
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(l); err != nil || string(got) != text {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := json.Marshal(policy.Limits{}); err != nil || string(got) != "{}" {
		t.Errorf("without limits: got %s, %v", got, err)
	}
}

func TestWindows(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, row := range []struct {
		per             policy.Window
		at, begin, ends string
	}{
		{policy.Day, "2026-02-28T23:59:59Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		{policy.Day, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		{policy.Day, "2026-03-01T00:30:00+02:00", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		{policy.Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{policy.Month, "2026-01-31T12:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
	} {
		if begin, ends := row.per.Begin(at(row.at)), row.per.End(at(row.at)); !begin.Equal(at(row.begin)) || !ends.Equal(at(row.ends)) {
			t.Errorf("the %s of %s: from %s to %s", row.per, row.at, begin, ends)
		}
	}
}

// Limits that are within others permit no more than the others, and the result of And is
// within both.
func TestLimitsWithin(t *testing.T) {
	limits := func(text string) (l policy.Limits) {
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, row := range []struct {
		limits, of string
		within     bool
	}{
		{`{}`, `{}`, true},
		{`{"rate":"10/s"}`, `{}`, true},
		{`{}`, `{"rate":"10/s"}`, false},
		{`{"rate":"10/s"}`, `{"rate":"10/s"}`, true},
		{`{"rate":"10/s burst 11"}`, `{"rate":"10/s"}`, false},
		{`{"rate":"600/m burst 10"}`, `{"rate":"10/s"}`, true},
		{`{"rate":"600/m"}`, `{"rate":"10/s"}`, false},
		{`{"rate":"601/m burst 1"}`, `{"rate":"10/s"}`, false},
		{`{"quota":"10/day"}`, `{"quota":"310/month"}`, true},
		{`{"quota":"10/day"}`, `{"quota":"309/month"}`, false},
		{`{"quota":"10/month"}`, `{"quota":"10/day"}`, true},
		{`{"quota":"11/month"}`, `{"quota":"10/day"}`, false},
		{`{"concurrent":2}`, `{"concurrent":2}`, true},
		{`{"concurrent":3}`, `{"concurrent":2}`, false},
		{`{"rate":"1/s"}`, `{"concurrent":2}`, false},
	} {
		if got := limits(row.limits).Within(limits(row.of)); got != row.within {
			t.Errorf("%s within %s: %v", row.limits, row.of, got)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	some := func() (l policy.Limits) {
		pers := []time.Duration{time.Second, time.Minute, time.Hour}
		if random.IntN(4) > 0 {
			l.Rate = policy.Rate{N: 1 + random.Int64N(200), Per: pers[random.IntN(3)], Burst: 1 + random.Int64N(50)}
		}
		if random.IntN(4) > 0 {
			l.Quota = policy.Quota{N: 1 + random.Int64N(100), Per: policy.Day + policy.Window(random.IntN(2))}
		}
		l.Concurrent = random.IntN(4)
		return l
	}
	for range 20_000 {
		a, b := some(), some()
		both := a.And(b)
		if err := both.Check(); err != nil || !both.Within(a) || !both.Within(b) {
			t.Fatalf("%+v and %+v: %+v, %v", a, b, both, err)
		}
	}
}

func TestPlans(t *testing.T) {
	good := policy.Plan{Name: "free", Limits: policy.Limits{Concurrent: 1}}
	if plans, err := policy.NewPlans([]policy.Plan{good, {Name: "default"}}); err != nil || plans["free"].Concurrent != 1 || plans["default"] == nil {
		t.Errorf("got %v, %v", plans, err)
	}
	for name, list := range map[string][]policy.Plan{
		"twice":          {good, good},
		"no name":        {{}},
		"a bad name":     {{Name: "a b"}},
		"bad limits":     {{Name: "a", Limits: policy.Limits{Concurrent: -1}}},
		"half a rate":    {{Name: "a", Limits: policy.Limits{Rate: policy.Rate{N: 1, Per: time.Second}}}},
		"a rate of days": {{Name: "a", Limits: policy.Limits{Rate: policy.Rate{N: 1, Per: 24 * time.Hour, Burst: 1}}}},
	} {
		if plans, err := policy.NewPlans(list); err == nil {
			t.Errorf("%s: got %v", name, plans)
		}
	}
}
