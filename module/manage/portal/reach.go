package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// reach is what a key can call, by the gate's own decision.
type reach struct {
	Groups []reachGroup
	// Near are operations that the key lacks little for.
	Near []nearCall
	// Count is how many operations it can call, Reads how many of them change
	// nothing, and Total how many a key of its kind can call at most. Operations
	// that need no key don't count.
	Count, Reads, Total int
	// Useless reports that it can call nothing.
	Useless bool
}

// reachGroup is the operations of one resource that a key can call.
type reachGroup struct {
	// Hosts name the site if there are several.
	Hosts, Title string
	Total        int
	Calls        []reachCall
}

// reachCall is an operation with its routes.
type reachCall struct {
	Name   string
	Reads  bool
	Public bool
	Routes []*authz.Operation
}

// nearCall is an operation and what the key lacks for it.
type nearCall struct {
	Name    string
	Missing []string
}

// holderOf returns the holder of a key of the user.
func (v *visit) holderOf(app bool, scopes, endpoints []string) *authz.Holder {
	h := &authz.Holder{Standing: keys.Active, Caller: policy.Caller{Kind: policy.PAT, UserID: v.user.ID}}
	if app {
		h.Caller.Kind = policy.AppKey
	}
	if len(endpoints) == 0 {
		endpoints = nil // no list: all endpoints
	}
	h.Caller.Grant = policy.NewGrant(scopes, endpoints)
	return h
}

// reachOf returns what a holder can call on the sites.
func reachOf(h *authz.Holder, sites []authz.Site) *reach {
	can := h.Callable(sites)
	r := &reach{Useless: can.Useless()}
	full := *h
	full.Caller.Grant, full.Caller.Resources = policy.Everything(), nil
	totals := groupsOf(full.Callable(sites).Calls, len(sites) > 1)
	r.Groups = groupsOf(can.Calls, len(sites) > 1)
	r.Total, _ = countsOf(totals)
	r.Count, r.Reads = countsOf(r.Groups)
	for i := range r.Groups {
		g := &r.Groups[i]
		same := func(t reachGroup) bool { return t.Hosts == g.Hosts && t.Title == g.Title }
		if t := slices.IndexFunc(totals, same); t >= 0 {
			g.Total = len(totals[t].Calls)
		}
	}
	r.Near = nearOf(can.Near)
	return r
}

// countsOf counts the operations that need a key, and those of them that only read.
func countsOf(groups []reachGroup) (count, reads int) {
	for _, g := range groups {
		for _, c := range g.Calls {
			if c.Public {
				continue
			}
			count++
			if c.Reads {
				reads++
			}
		}
	}
	return count, reads
}

// groupsOf groups decided routes by site, resource and operation, in the order of
// their names.
func groupsOf(list []authz.Decided, several bool) []reachGroup {
	type place struct{ hosts, title string }
	at := map[place]int{}
	calls := map[place]map[string]int{}
	var groups []reachGroup
	for _, d := range list {
		p := place{title: titleOfResource(d.Resource)}
		if several {
			p.hosts = strings.Join(d.Hosts, ", ")
		}
		i, ok := at[p]
		if !ok {
			i, at[p], calls[p] = len(groups), len(groups), map[string]int{}
			groups = append(groups, reachGroup{Hosts: p.hosts, Title: p.title})
		}
		g, name := &groups[i], nameOfOperation(d.Operation)
		n, ok := calls[p][name]
		if !ok {
			n, calls[p][name] = len(g.Calls), len(g.Calls)
			g.Calls = append(g.Calls, reachCall{Name: name, Reads: true, Public: true})
		}
		c := &g.Calls[n]
		c.Routes = append(c.Routes, d.Operation)
		c.Reads, c.Public = c.Reads && d.Operation.Reads, c.Public && d.Reason == authz.Public
	}
	for _, g := range groups {
		slices.SortFunc(g.Calls, func(a, b reachCall) int { return cmp.Compare(a.Name, b.Name) })
	}
	slices.SortFunc(groups, func(a, b reachGroup) int {
		return cmp.Or(cmp.Compare(a.Hosts, b.Hosts), cmp.Compare(a.Title, b.Title))
	})
	return groups
}

// nearOf names operations with what is missing, those that lack least first.
func nearOf(list []authz.Decided) (near []nearCall) {
	seen := map[string]bool{}
	for _, d := range list {
		name := nameOfOperation(d.Operation)
		if key := name + " " + strings.Join(d.Lack.Scopes, " "); !seen[key] {
			seen[key] = true
			near = append(near, nearCall{name, d.Lack.Scopes})
		}
	}
	slices.SortStableFunc(near, func(a, b nearCall) int {
		return cmp.Or(cmp.Compare(len(a.Missing), len(b.Missing)), cmp.Compare(a.Name, b.Name))
	})
	return near
}

// nameOfOperation returns the method of the operation's endpoint, such as
// ListInputs, or else its route.
func nameOfOperation(o *authz.Operation) string {
	if len(o.Endpoint) == 0 {
		return o.String()
	}
	return shortEndpoint(o.Endpoint[0])
}

func shortEndpoint(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// titleOfResource returns a resource as a heading: Model types for model_types.
func titleOfResource(resource string) string {
	text := strings.NewReplacer("_", " ", "-", " ").Replace(resource)
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return "Other operations"
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// Words describes the reach in a sentence. where is where the key is valid.
func (r *reach) Words(where string) string {
	switch {
	case r.Total == 0:
		return "No operations are known here."
	case r.Useless:
		return "It can call nothing " + where + " that needs a scope."
	case r.Count == r.Total:
		return fmt.Sprintf("It can call all %s %s.", counted(r.Total, "operation"), where)
	}
	text := fmt.Sprintf("It can call %d of %s %s.", r.Count, counted(r.Total, "operation"), where)
	switch others := r.Count - r.Reads; others {
	case 0:
		return text + " It only reads."
	case r.Count:
		return text + " Each can change something."
	default:
		return text + fmt.Sprintf(" Of these, %d only read, and %d can change something.", r.Reads, others)
	}
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
