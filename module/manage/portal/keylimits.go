package portal

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// limitsView is what bounds the use of a key, on the key's page.
type limitsView struct {
	Sets []limitSet
	// Addresses are the networks that the key can be used from. A request's address
	// has to be in all of them.
	Addresses []allowedAddresses
	Resources policy.Values
	// Failed reports that the API can't tell what is used. Missing is then the plan
	// that the configuration doesn't have, if that is why.
	Failed  bool
	Missing string
}

// limitSet is one set of limits, with what is used of each.
type limitSet struct {
	// Title is what the limits are those of.
	Title  string
	Meters []meter
}

// meter shows how much of a limit is used, of 100.
type meter struct {
	Text string
	Used int
}

// allowedAddresses are networks that something permits.
type allowedAddresses struct {
	// By is empty for the key's own.
	By   string
	List []string
}

// Empty reports whether nothing bounds the use of the key.
func (l *limitsView) Empty() bool {
	return len(l.Sets)+len(l.Addresses)+len(l.Resources) == 0 && !l.Failed
}

// Only names the values that the key is for, such as model llama-3*.
func (l *limitsView) Only() []string { return onlyFor(l.Resources) }

// onlyFor names values of resources.
func onlyFor(values policy.Values) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) == 0 {
			list = append(list, "no "+name)
			continue
		}
		list = append(list, name+" "+orList(values[name]))
	}
	return list
}

// orList joins a list by or, or shortens it.
func orList(list []string) string {
	if len(list) == 2 {
		return list[0] + " or " + list[1]
	}
	return shortList(list)
}

// limitsOf reads what bounds a key.
func (v *visit) limitsOf(p *keyPage) (*limitsView, error) {
	configured, err := v.get(mine("plans"))
	if err != nil {
		return nil, err
	}
	view := &limitsView{Resources: p.Key.Resources}
	if len(p.Key.Addresses) > 0 {
		view.Addresses = append(view.Addresses, allowedAddresses{List: p.Key.Addresses})
	}
	missing := ""
	for _, of := range v.plansOf(p, configured.Plans) {
		i := slices.IndexFunc(configured.Plans, func(c manage.Plan) bool { return c.Name == of.plan })
		if i < 0 {
			missing = of.plan
		} else if list := configured.Plans[i].Addresses; len(list) > 0 {
			view.Addresses = append(view.Addresses, allowedAddresses{p.titleOfLimits(of.of, of.plan), list})
		}
	}
	a, err := v.get(mine("keys", p.Key.KeyID, "limits"))
	var no *refused
	if errors.As(err, &no) && no.Code.HTTP() >= http.StatusInternalServerError {
		view.Failed, view.Missing = true, missing
		return view, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range a.LimitUses {
		use := &a.LimitUses[i]
		view.Sets = append(view.Sets, limitSet{p.titleOfLimits(use.Of, use.Plan), metersOf(use)})
	}
	return view, nil
}

// ofPlan is a plan and what it is the plan of: key, app or user.
type ofPlan struct{ of, plan string }

// plansOf returns the plans that bound a key.
func (v *visit) plansOf(p *keyPage, configured []manage.Plan) (list []ofPlan) {
	user := v.user.Plan
	if user == "" && slices.ContainsFunc(configured, func(c manage.Plan) bool { return c.Name == policy.DefaultPlan }) {
		user = policy.DefaultPlan
	}
	list = []ofPlan{{"key", p.Key.Plan}, {"user", user}}
	if p.App != nil {
		list = slices.Insert(list, 1, ofPlan{"app", p.App.Plan})
	}
	return slices.DeleteFunc(list, func(o ofPlan) bool { return o.plan == "" })
}

// titleOfLimits says what limits are those of, by the API's word.
func (p *keyPage) titleOfLimits(of, plan string) string {
	title := "This " + p.What()
	switch of {
	case "app":
		title = "All keys of its application together"
	case "user":
		title = "All keys and tokens of your account together"
	}
	if plan != "" {
		title += ", by the plan " + plan
	}
	return title
}

// metersOf describes how much of a set of limits is used.
func metersOf(use *manage.LimitUse) (list []meter) {
	if use.RateLeft != nil {
		text := fmt.Sprintf("%s; %s left now", rateInWords(use.Rate), humanize.Comma(*use.RateLeft))
		list = append(list, meter{text, partOf(use.Rate.Burst-*use.RateLeft, use.Rate.Burst)})
	}
	if use.QuotaUsed != nil && use.QuotaEndsAt != nil {
		window, until := "this month", use.QuotaEndsAt.UTC().Format("2 January")
		if use.Quota.Per == policy.Day {
			window, until = "today", use.QuotaEndsAt.UTC().Format(exactly)
		}
		text := fmt.Sprintf("%s of %s %s, until %s", humanize.Comma(*use.QuotaUsed), humanize.Comma(use.Quota.N), window, until)
		list = append(list, meter{text, partOf(*use.QuotaUsed, use.Quota.N)})
	}
	if use.Live != nil {
		text := fmt.Sprintf("%s of %s now", humanize.Comma(*use.Live), concurrentInWords(use.Concurrent)+" at the same time")
		list = append(list, meter{text, partOf(*use.Live, int64(use.Concurrent))})
	}
	return list
}

// partOf returns how much of 100 is used. Something that is used is seen, and more
// than there is fills the meter.
func partOf(used, most int64) int {
	switch {
	case used <= 0 || most <= 0:
		return 0
	case used >= most:
		return 100
	}
	return max(1, int(float64(used)/float64(most)*100))
}
