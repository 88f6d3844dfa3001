package policy

import (
	"slices"
	"strings"
)

// Settle turns the route that was found into the demands that a request must
// meet, however the upstream reads its path. An upstream may read an escaped
// colon as the beginning of a verb, so the demands of the route with that verb
// are added. near is a route with other demands that the upstream may choose
// for the path; if it isn't nil, the request must be refused.
func (t *Table) Settle(r *Rule, method string, grpc bool, path string) (settled, near *Rule) {
	if r == nil {
		return nil, nil
	}
	if r.colon && strings.IndexByte(path, '%') >= 0 {
		plain := colons.Replace(path)
		if plain != path {
			return t.settleColon(r, method, grpc, path, plain)
		}
	}
	return r, t.NearLiteral(r, method, grpc, path)
}

var colons = strings.NewReplacer("%3A", ":", "%3a", ":")

func (t *Table) settleColon(r *Rule, method string, grpc bool, path, plain string) (settled, near *Rule) {
	o := t.Find(method, grpc, plain)
	if o == nil || !o.asksElse(r) {
		return r.orVerb(o), t.NearLiteral(r, method, grpc, plain)
	}
	if o.Owner(plain) != r.Owner(path) || o.App(plain) != r.App(path) {
		return r, o
	}
	both := r.and(o).orVerb(o)
	if near = t.NearLiteral(o, method, grpc, plain); near == nil || !near.asksElse(r) {
		return both, nil
	}
	return both, near
}

// orVerb returns the rule for a path that an upstream may read as a path of o. It
// returns r if o is nil.
func (r *Rule) orVerb(o *Rule) *Rule {
	if o == nil || o == r {
		return r
	}
	either := *r
	either.verb = o
	return &either
}

// and returns a rule with the place of r and the demands of both.
func (r *Rule) and(o *Rule) *Rule {
	both := *r
	switch {
	case r.accept.Public():
		both.accept = o.accept
	case !o.accept.Public():
		both.accept = r.accept & o.accept
	}
	both.Accept = both.accept.Words()
	both.Scopes = sortedSet(slices.Concat(r.Scopes, o.Scopes))
	both.Endpoint = sortedSet(slices.Concat(r.Endpoint, o.Endpoint))
	both.cost = max(r.cost, o.cost)
	both.needScopes = scopeNames.bits(both.Scopes)
	both.needEndpoints = endpointNames.bits(both.Endpoint)
	return &both
}
