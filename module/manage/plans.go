package manage

import (
	"maps"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Plan is a plan of the configuration in the API's form.
type Plan struct {
	Name   string        `json:"name"`
	Limits policy.Limits `json:"limits,omitzero"`
	// Addresses are the networks from which requests may come. Nil is any address.
	Addresses []string `json:"addresses,omitzero"`
}

// listPlans answers the plans and the resources of the configuration. It has no
// pages, because there are only a few.
func (r *request) listPlans(from keys.Reader) (*Answer, error) {
	if _, err := r.findUser(from); err != nil {
		return nil, err
	}
	answer := &Answer{Plans: []Plan{}, Resources: slices.Sorted(slices.Values(r.api.Resources))}
	if answer.Resources == nil {
		answer.Resources = []string{}
	}
	for _, name := range slices.Sorted(maps.Keys(r.api.Plans)) {
		p := r.api.Plans[name]
		answer.Plans = append(answer.Plans, Plan{Name: name, Limits: p.Limits, Addresses: p.Addresses.Texts()})
	}
	return answer, nil
}

// givenPlan checks the plan that a request gives to an app or a user. It refuses a
// plan that the configuration doesn't have, and any plan if the caller isn't the
// operator.
func (r *request) givenPlan(element string, name *string, held string) error {
	if name == nil {
		return nil
	}
	field := join(element, "plan")
	if !r.caller.Operator {
		return refuse(CodeInvalid, field, "only the operator can give a plan; leave it out")
	}
	return r.api.checkPlan(field, *name, held)
}
