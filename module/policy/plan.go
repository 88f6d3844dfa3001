package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Plan is a named set of limits for users, apps and keys.
type Plan struct {
	// Name is 1 to 48 letters, digits, - and _. The plan default applies to every
	// user without another plan.
	Name string `json:"name"`
	Limits
	// Addresses are the networks from which requests may come.
	// Default: any.
	Addresses Addresses `json:"addresses,omitempty"`
	// Place is where the plan is declared, for errors.
	Place string `json:"-"`
}

// DefaultPlan is the name of the plan that applies to every user without another.
const DefaultPlan = "default"

// Plans are the plans of a configuration, by name.
type Plans map[string]*Plan

// NewPlans checks plans, and returns them by name.
func NewPlans(list []Plan) (Plans, error) {
	plans := Plans{}
	for i := range list {
		p := &list[i]
		if err := CheckPlanName(p.Name); err != nil {
			return nil, err
		}
		if plans[p.Name] != nil {
			return nil, fmt.Errorf("plan %s is given twice", p.Name)
		}
		if err := p.Check(); err != nil {
			return nil, fmt.Errorf("plan %s: %w", p.Name, err)
		}
		plans[p.Name] = p
	}
	return plans, nil
}

// Equal reports whether the plans are the same.
func (p Plans) Equal(o Plans) bool {
	return maps.EqualFunc(p, o, func(a, b *Plan) bool {
		return a.Limits == b.Limits && (a.Addresses == nil) == (b.Addresses == nil) && slices.Equal(a.Addresses, b.Addresses)
	})
}

// CheckPlanName returns an error if no plan can have the name.
func CheckPlanName(name string) error {
	const most = 48
	if name == "" || len(name) > most || strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		return fmt.Errorf("%q is not the name of a plan: use 1 to %d letters, digits, - and _", name, most)
	}
	return nil
}
