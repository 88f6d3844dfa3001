package portal

import (
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The choices of a form have every plan that may be selected, and describe the choice of
// no plan.
func TestChoicesOfPlans(t *testing.T) {
	limits := policy.Limits{Concurrent: 1}
	standard, free := manage.Plan{Name: "default", Limits: limits}, manage.Plan{Name: "free", Limits: limits}
	const words = ": 1 request at the same time"
	for name, c := range map[string]struct {
		form planForm
		want []string
	}{
		"a user":                    {planForm{Plans: []manage.Plan{standard, free}}, []string{"default" + words, "free" + words}},
		"a user, without a default": {planForm{Plans: []manage.Plan{free}}, []string{"none: not limited", "free" + words}},
		"a user who has default":    {planForm{Plans: []manage.Plan{standard}, Held: "default"}, []string{"default" + words, "default" + words}},
		"an app":                    {planForm{App: "shop", Plans: []manage.Plan{standard, free}}, []string{"none: only the plan of the user applies", "default" + words, "free" + words}},
		"a lost plan":               {planForm{Held: "gone", Plan: "gone"}, []string{"none: not limited", "gone: not in the configuration"}},
		"two lost plans":            {planForm{Held: "gone", Plan: "typed"}, []string{"none: not limited", "gone: not in the configuration", "typed: not in the configuration"}},
	} {
		var got []string
		for _, o := range c.form.Options() {
			got = append(got, o.Label)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRatesInWords(t *testing.T) {
	for text, want := range map[string]string{
		"1/s": "1 request a second", "600/m": "600 requests a minute", "3600/h": "3,600 requests an hour", "1/h burst 5": "1 request an hour, at most 5 at once",
	} {
		r, err := policy.ParseRate(text)
		if got := rateInWords(r); got != want || err != nil {
			t.Errorf("%s: %q, want %q, %v", text, got, want, err)
		}
	}
}
