package authz

import (
	"slices"
	"strings"
)

// Decided is an operation with the decision about it.
type Decided struct {
	Outcome
	*Operation
	// Hosts are those of the operation's site.
	Hosts []string
}

// Callable is what a holder can call.
type Callable struct {
	// Calls are the operations that the holder can call.
	Calls []Decided
	// Near are operations that the holder lacks little for: one scope of
	// several, or those of other resources only.
	Near []Decided
}

// Callable decides about every operation of the sites.
func (h *Holder) Callable(sites []Site) (c Callable) {
	for i := range sites {
		s := &sites[i]
		for j := range s.Operations {
			o := &s.Operations[j]
			d := Decided{o.Call(h), o, s.Hosts}
			switch {
			case !d.Refused():
				c.Calls = append(c.Calls, d)
			case d.near():
				c.Near = append(c.Near, d)
			}
		}
	}
	return c
}

// Useless reports whether the holder can call nothing with the credential,
// except for calls of the management API that need no scope, such as the one
// that tells what the credential grants. Public operations need no credential.
func (c *Callable) Useless() bool {
	return !slices.ContainsFunc(c.Calls, func(d Decided) bool {
		return d.Reason == Allowed && (!d.Managed || len(d.Scopes) > 0)
	})
}

// near reports whether a refused operation lacks little.
func (d *Decided) near() bool {
	lack := &d.Lack
	if d.Reason != Scopes || lack.NoEndpoint || len(lack.Endpoints) > 0 {
		return false
	}
	has := len(d.Operation.Scopes) - len(lack.Scopes)
	if has > 1 && len(lack.Scopes) == 1 {
		return true
	}
	own := 0
	for _, s := range d.Operation.Scopes {
		if !isOf(s, d.Resource) {
			continue
		}
		own++
		if slices.Contains(lack.Scopes, s) {
			return false
		}
	}
	return own > 0
}

// isOf reports whether a scope is one of a resource: ModelTypes:Get of
// model_types.
func isOf(scope, resource string) bool {
	of, _, _ := strings.Cut(scope, ":")
	return strings.EqualFold(of, withoutMarks.Replace(resource))
}

// withoutMarks joins the words of a resource in a path.
var withoutMarks = strings.NewReplacer("_", "", "-", "")
