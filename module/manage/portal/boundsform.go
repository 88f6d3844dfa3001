package portal

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// boundsForm is the filled-in part of a key's form with the key's limits: how much,
// from where and for what the key can be used.
type boundsForm struct {
	Plan                    string
	Rate, Quota, Concurrent string
	// Addresses has one network per line.
	Addresses string
	Resources []resourceField
	// Plans are the plans to choose from.
	Plans []planChoice
	// Asked is true if the page was opened for these fields.
	Asked bool
}

// resourceField has the values of one resource that the key may address, one per line.
type resourceField struct{ Name, Values string }

// ID identifies the field in the page, and Field is its name in the API.
func (r resourceField) ID() string    { return "resource-" + r.Name }
func (r resourceField) Field() string { return "resources." + r.Name }

// planChoice is a plan with its limits in words.
type planChoice struct{ Name, Label string }

// boundsForm returns the part of an empty form, with the plans and resources of the
// configuration.
func (v *visit) boundsForm() (*boundsForm, error) {
	a, err := v.get(mine("plans"))
	if err != nil {
		return nil, err
	}
	b := &boundsForm{}
	for _, p := range a.Plans {
		b.Plans = append(b.Plans, planChoice{p.Name, p.Name + ": " + strings.Join(planInWords(&p), ", ")})
	}
	for _, name := range a.Resources {
		b.Resources = append(b.Resources, resourceField{Name: name})
	}
	return b, nil
}

// planInWords describes what a plan permits.
func planInWords(p *manage.Plan) []string {
	words := limitsInWords(p.Limits)
	if len(p.Addresses) > 0 {
		words = append(words, "from "+shortList(p.Addresses))
	}
	return words
}

// fill fills in the fields of a key. It offers the key's plan and resources even if
// the configuration no longer has them.
func (b *boundsForm) fill(k *manage.Key) {
	b.Plan = k.Plan
	if offered := func(p planChoice) bool { return p.Name == k.Plan }; k.Plan != "" && !slices.ContainsFunc(b.Plans, offered) {
		b.Plans = append(b.Plans, planChoice{k.Plan, k.Plan + ": not in the configuration"})
	}
	b.Rate, b.Quota = k.Limits.Rate.String(), k.Limits.Quota.String()
	if k.Limits.Concurrent > 0 {
		b.Concurrent = strconv.Itoa(k.Limits.Concurrent)
	}
	b.Addresses = strings.Join(k.Addresses, "\n")
	for _, name := range slices.Sorted(maps.Keys(k.Resources)) {
		declared := func(r resourceField) bool { return r.Name == name }
		if !slices.ContainsFunc(b.Resources, declared) {
			b.Resources = append(b.Resources, resourceField{Name: name})
		}
	}
	for i := range b.Resources {
		b.Resources[i].Values = strings.Join(k.Resources[b.Resources[i].Name], "\n")
	}
}

// read reads the filled-in fields. A field that the form doesn't have stays as it is,
// because the configuration may have changed since the page was made.
func (b *boundsForm) read(in url.Values) {
	for name, field := range map[string]*string{
		"plan": &b.Plan, "rate": &b.Rate, "quota": &b.Quota, "concurrent": &b.Concurrent, "addresses": &b.Addresses,
	} {
		if in.Has(name) {
			*field = in.Get(name)
		}
	}
	for i := range b.Resources {
		if name := "resource." + b.Resources[i].Name; in.Has(name) {
			b.Resources[i].Values = in.Get(name)
		}
	}
}

// Open reports whether the fields are shown, because one of them is filled in or
// refused, or because the page was opened for them.
func (b *boundsForm) Open(no *manage.Status) bool {
	if b.Asked || b.Plan+strings.TrimSpace(b.Rate+b.Quota+b.Concurrent+b.Addresses) != "" || len(b.Values()) > 0 {
		return true
	}
	if no == nil {
		return false
	}
	field := fieldOf(no.Field)
	return slices.Contains([]string{"plan", "limits", "rate", "quota", "concurrent", "addresses", "resources"}, field) ||
		slices.ContainsFunc(b.Resources, func(r resourceField) bool { return r.Field() == field })
}

// Networks returns the filled-in networks.
func (b *boundsForm) Networks() []string {
	return strings.FieldsFunc(b.Addresses, func(c rune) bool { return strings.ContainsRune(" \t\r\n,;", c) })
}

// list returns the filled-in values.
func (r resourceField) list() (values []string) {
	for line := range strings.Lines(r.Values) {
		if value := strings.TrimSpace(line); value != "" && !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return values
}

// Values returns the resources that limit the key.
func (b *boundsForm) Values() policy.Values {
	values := policy.Values{}
	for _, r := range b.Resources {
		if list := r.list(); len(list) > 0 {
			values[r.Name] = list
		}
	}
	return values
}

// limits returns the limits, or the first field that can't be read.
func (b *boundsForm) limits() (l policy.Limits, wrong *manage.Status) {
	var err error
	if text := strings.TrimSpace(b.Rate); text != "" {
		if l.Rate, err = policy.ParseRate(text); err != nil {
			return l, mistake("rate", err)
		}
	}
	if text := strings.TrimSpace(b.Quota); text != "" {
		if l.Quota, err = policy.ParseQuota(text); err != nil {
			return l, mistake("quota", err)
		}
	}
	text := strings.TrimSpace(b.Concurrent)
	if text == "" {
		return l, nil
	}
	if l.Concurrent, err = strconv.Atoi(text); err != nil || l.Concurrent < 1 || l.Check() != nil {
		return l, mistake("concurrent", errNotConcurrent)
	}
	return l, nil
}

var errNotConcurrent = errors.New("write a number of requests from 1 to 1000000")

func mistake(field string, err error) *manage.Status {
	return &manage.Status{Field: field, Details: sentence(err.Error(), "")}
}

// check returns the first field that can't be read. The API checks the fields too,
// but only at the last step of the form.
func (b *boundsForm) check() *manage.Status {
	if _, wrong := b.limits(); wrong != nil {
		return wrong
	}
	if _, err := policy.ParseAddresses(b.Networks()); err != nil {
		return mistake("addresses", err)
	}
	for _, r := range b.Resources {
		if err := (policy.Values{r.Name: r.list()}).Check(); err != nil {
			return mistake(r.Field(), err)
		}
	}
	return nil
}

// body adds the fields that differ from those of the saved key to a request to the
// API.
func (b *boundsForm) body(key map[string]any, was *manage.Key) {
	if was == nil {
		was = &manage.Key{}
	}
	if b.Plan != was.Plan {
		key["plan"] = b.Plan
	}
	now, _ := b.limits() // they were checked
	limits := map[string]any{}
	if now.Rate != was.Limits.Rate {
		limits["rate"] = now.Rate.String()
	}
	if now.Quota != was.Limits.Quota {
		limits["quota"] = now.Quota.String()
	}
	if now.Concurrent != was.Limits.Concurrent {
		limits["concurrent"] = now.Concurrent
		if now.Concurrent == 0 {
			limits["concurrent"] = nil
		}
	}
	if len(limits) > 0 {
		key["limits"] = limits
	}
	if list := b.Networks(); !slices.Equal(list, was.Addresses) {
		key["addresses"] = append([]string{}, list...)
	}
	resources := map[string]any{}
	for _, r := range b.Resources {
		if list := r.list(); !slices.Equal(list, was.Resources[r.Name]) {
			resources[r.Name] = append([]string{}, list...)
		}
	}
	if len(resources) > 0 {
		key["resources"] = resources
	}
}

// Words describes the filled-in limits.
func (b *boundsForm) Words() []string {
	l, _ := b.limits() // they were checked
	return limitsInWords(l)
}

// conflicts compares the fields with those of the key as it is saved now.
func (b *boundsForm) conflicts(c *conflict, now *boundsForm) {
	c.text("Plan", b.Plan, now.Plan)
	yours, _ := b.limits() // they were checked
	saved, _ := now.limits()
	c.text("Rate", rateInWords(yours.Rate), rateInWords(saved.Rate))
	c.text("Quota", quotaInWords(yours.Quota), quotaInWords(saved.Quota))
	c.text("Requests at the same time", concurrentInWords(yours.Concurrent), concurrentInWords(saved.Concurrent))
	c.list("Allowed addresses", "any", b.Networks(), now.Networks())
	mine, theirs := b.Values(), now.Values()
	for _, r := range now.Resources {
		c.list("Only for "+r.Name, "any", mine[r.Name], theirs[r.Name])
	}
}

// limitsInWords describes each limit.
func limitsInWords(l policy.Limits) (words []string) {
	if l.Rate != (policy.Rate{}) {
		words = append(words, rateInWords(l.Rate))
	}
	if l.Quota != (policy.Quota{}) {
		words = append(words, quotaInWords(l.Quota))
	}
	if l.Concurrent > 0 {
		words = append(words, concurrentInWords(l.Concurrent)+" at the same time")
	}
	return words
}

// concurrentInWords returns a number of requests. It is empty for 0.
func concurrentInWords(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 request"
	}
	return humanize.Comma(int64(n)) + " requests"
}

// rateInWords returns a rate such as 10 requests a second, at most 20 at once. It is
// empty for the zero value.
func rateInWords(r policy.Rate) string {
	if r == (policy.Rate{}) {
		return ""
	}
	per := map[byte]string{'s': "a second", 'm': "a minute", 'h': "an hour"}
	text, _, _ := strings.Cut(r.String(), " ")
	words := humanize.Comma(r.N) + " requests " + per[text[len(text)-1]]
	if r.N == 1 {
		words = "1 request " + per[text[len(text)-1]]
	}
	if r.Burst != r.N {
		words += ", at most " + humanize.Comma(r.Burst) + " at once"
	}
	return words
}

// quotaInWords returns a quota such as 10,000 a month. It is empty for the zero
// value.
func quotaInWords(q policy.Quota) string {
	if q == (policy.Quota{}) {
		return ""
	}
	return humanize.Comma(q.N) + " a " + q.Per.String()
}
