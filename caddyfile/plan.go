package caddyfile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// plan reads one plan with its limits.
func (p *appParser) plan(d *caddyfile.Dispenser) error {
	names := d.RemainingArgs()
	if len(names) != 1 {
		return d.Err("plan: write plan NAME and a block with its limits")
	}
	plan := policy.Plan{Name: names[0]}
	if err := policy.CheckPlanName(plan.Name); err != nil {
		return d.WrapErr(err)
	}
	name := "plan " + plan.Name
	if first, ok := p.given[name]; ok {
		return d.Errf("%s is given twice, first at %s: remove one of the two", name, first)
	}
	p.given[name] = fmt.Sprintf("%s:%d", d.File(), d.Line())
	given := options{}
	for d.NextBlock(0) {
		if err := given.limit(d, &plan); err != nil {
			return err
		}
	}
	if !plan.Bounded() && plan.Addresses == nil {
		return d.Errf("plan %s has no limits; give it a rate, a quota, concurrent or addresses", plan.Name)
	}
	p.app.Plan = append(p.app.Plan, plan)
	return nil
}

// limit reads one limit of a plan.
func (o options) limit(d *caddyfile.Dispenser, plan *policy.Plan) (err error) {
	if err := o.once(d); err != nil {
		return err
	}
	option, list := d.Val(), d.RemainingArgs()
	switch option {
	case "rate":
		plan.Rate, err = policy.ParseRate(strings.Join(list, " "))
	case "quota":
		plan.Quota, err = policy.ParseQuota(strings.Join(list, " "))
	case "concurrent":
		if plan.Concurrent, err = strconv.Atoi(strings.Join(list, " ")); err != nil || plan.Concurrent < 1 {
			return d.Errf("concurrent: write concurrent NUMBER, such as concurrent 10")
		}
		err = plan.Check()
	case "addresses":
		if len(list) == 0 {
			return d.Err("addresses: write addresses NETWORK…, such as addresses 192.0.2.0/24")
		}
		plan.Addresses, err = policy.ParseAddresses(list)
	default:
		return d.Errf("unknown option %q of a plan: use rate, quota, concurrent or addresses", option)
	}
	if err != nil {
		return d.WrapErr(err)
	}
	return nil
}
