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

// limitsView has the limits of a key, for the key's page.
type limitsView struct {
	Sets []limitSet
	// Addresses are lists of networks that the key can be used from. The address of a
	// request has to be in every list.
	Addresses []allowedAddresses
	Resources policy.Values
	// Failed is true if the API can't tell how much is used.
	Failed bool
	// Missing is a plan that the configuration doesn't have, so that requests are
	// refused.
	Missing string
}

// limitSet is one set of limits, and how much of each is used.
type limitSet struct {
	// Title names the key, application or account that the limits belong to.
	Title  string
	Meters []meter
}

// meter shows how much of a limit is used, in percent.
type meter struct {
	Text string
	Used int
}

// allowedAddresses are the networks that a key or a plan permits.
type allowedAddresses struct {
	// By is empty for the key's own.
	By   string
	List []string
}

// Empty reports whether nothing limits the use of the key.
func (l *limitsView) Empty() bool {
	return len(l.Sets)+len(l.Addresses)+len(l.Resources) == 0 && !l.Failed && l.Missing == ""
}

// Only names the values that the key may address, such as model llama-3*.
func (l *limitsView) Only() []string { return onlyFor(l.Resources) }

// onlyFor returns a text for each resource, such as model gpt or llama-3*.
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

// orList joins a list with "or", and shortens a long one.
func orList(list []string) string {
	if len(list) == 2 {
		return list[0] + " or " + list[1]
	}
	return shortList(list)
}

// limitsOf reads the limits of a key.
func (v *visit) limitsOf(p *keyPage) (*limitsView, error) {
	configured, err := v.get(mine("plans"))
	if err != nil {
		return nil, err
	}
	view := &limitsView{Resources: p.Key.Resources}
	if len(p.Key.Addresses) > 0 {
		view.Addresses = append(view.Addresses, allowedAddresses{List: p.Key.Addresses})
	}
	for _, of := range v.plansOf(p, configured.Plans) {
		i := slices.IndexFunc(configured.Plans, func(c manage.Plan) bool { return c.Name == of.plan })
		if i < 0 {
			view.Missing = of.plan
		} else if list := configured.Plans[i].Addresses; len(list) > 0 {
			view.Addresses = append(view.Addresses, allowedAddresses{p.titleOfLimits(of.of, of.plan), list})
		}
	}
	a, err := v.get(mine("keys", p.Key.KeyID, "limits"))
	var no *refused
	if errors.As(err, &no) && no.Code.HTTP() >= http.StatusInternalServerError {
		view.Failed = true
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

// ofPlan is a plan, and the level that has it: key, app or user.
type ofPlan struct{ of, plan string }

// plansOf returns the plans that limit a key.
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

// titleOfLimits describes what a set of limits belongs to. of is key, app or user.
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

// partOf returns how much is used, in percent. A small part is rounded up so that it
// can be seen, and usage beyond the limit is 100.
func partOf(used, most int64) int {
	switch {
	case used <= 0 || most <= 0:
		return 0
	case used >= most:
		return 100
	}
	return max(1, int(float64(used)/float64(most)*100))
}
