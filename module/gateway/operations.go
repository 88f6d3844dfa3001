package gateway

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/gateway/explain"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// managedSite is a site that answers the management API.
type managedSite struct {
	hosts []string // nil if they aren't known
	mount *manage.Mount
	site  *Site
	// portal is the path of the portal, or empty if there is none.
	portal string
}

// addManagement takes in a site that answers the management API, whose scopes
// can be granted then. base is as it is written in the configuration.
func (a *App) addManagement(ctx caddy.Context, base string, s managedSite) {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	a.lookAround(ctx)
	i := slices.IndexFunc(a.managed, func(place config.Site) bool {
		var written struct {
			Base string `json:"base"`
		}
		return json.Unmarshal(place.Gate, &written) == nil && written.Base == base
	})
	if i >= 0 {
		s.hosts = a.managed[i].Hosts
		a.managed = slices.Delete(a.managed, i, i+1)
	}
	a.management, a.operations = append(a.management, s), nil
}

// Operations are what requests to the sites of the configuration can call, the
// management API's calls included.
func (a *App) Operations() []authz.Site {
	sites := a.running()
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	if a.operations == nil {
		a.operations = operationsOf(sites, a.management)
	}
	return a.operations
}

// operationsOf lists what can be called. Sites with the same hosts are one.
func operationsOf(gates []*Site, management []managedSite) []authz.Site {
	var all []rulesOf
	for _, gate := range gates {
		answered := func(r *policy.Rule) bool {
			return slices.ContainsFunc(management, func(m managedSite) bool {
				return slices.Equal(m.hosts, gate.Hosts()) && m.site.table.Knows(pathOf(r))
			})
		}
		all = with(all, gate.Hosts(), slices.DeleteFunc(slices.Clone(gate.table.Rules()), answered), &gate.places)
	}
	mounts := map[*policy.Rule]*manage.Mount{}
	for _, m := range management {
		for _, r := range m.site.table.Rules() {
			mounts[r] = m.mount
		}
		all = with(all, m.hosts, m.site.table.Rules(), nil)
	}
	sites := make([]authz.Site, len(all))
	for i := range all {
		sites[i] = authz.NewSite(all[i].hosts, all[i].rules)
		for j := range sites[i].Operations {
			o := &sites[i].Operations[j]
			if places := all[i].places[j]; places != nil {
				o.Facts = routeFacts{places, o.Rule}
			}
			if mount := mounts[o.Rule]; mount != nil {
				o.Managed, o.OwnerOnly = true, mount.OwnerOnly(o.Route)
			}
		}
	}
	return sites
}

// rulesOf are the routes by which requests to some hosts are decided. For each route,
// places has where its requests name resources, or nil if they name none.
type rulesOf struct {
	hosts  []string
	rules  []*policy.Rule
	places []*tenant.Places
}

// with adds routes of some hosts.
func with(all []rulesOf, hosts []string, rules []*policy.Rule, places *tenant.Places) []rulesOf {
	i := slices.IndexFunc(all, func(o rulesOf) bool { return slices.Equal(o.hosts, hosts) })
	if i < 0 {
		i, all = len(all), append(all, rulesOf{hosts: hosts})
	}
	all[i].rules = append(all[i].rules, rules...)
	all[i].places = append(all[i].places, slices.Repeat([]*tenant.Places{places}, len(rules))...)
	return all
}

// ask explains a request like [Explain]. The management API decides about its own
// paths, on the sites where it stands.
func (a *App) ask(ctx context.Context, directory *directory.Directory, q manage.ExplainQuery) (list []manage.Explanation, err error) {
	if err := explain.CheckQuery(&q); err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(q.Target, "?")
	e := explainer{query: q, registry: directory}
	if e.digest, err = digestOfKey(ctx, directory, q.Key); err != nil {
		return nil, err
	}
	gates := a.running()
	for _, m := range a.managementSites() {
		if !m.site.table.Knows(path) {
			continue
		}
		gates = slices.DeleteFunc(gates, func(s *Site) bool { return slices.Equal(s.Hosts(), m.hosts) })
		e.ownerOnly = func(r *policy.Rule) bool { return m.mount.OwnerOnly(r.Route) }
		x, err := e.explain(ctx, m.site)
		if err != nil {
			return nil, err
		}
		x.Hosts = m.hosts
		list = append(list, *x)
	}
	e.ownerOnly = nil
	for _, s := range gates {
		x, err := e.explain(ctx, s)
		if err != nil {
			return nil, err
		}
		list = append(list, *x)
	}
	if list == nil {
		return nil, &manage.Error{Code: manage.CodeNotFound, Details: "the configuration has no site with a gate"}
	}
	return list, nil
}

func (a *App) managementSites() []managedSite {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	return slices.Clone(a.management)
}

// pathOf returns a path of the route. The management API answers every method
// of the paths that it knows, so the gate never sees a request for them.
func pathOf(r *policy.Rule) string {
	p := r.Parsed()
	var path strings.Builder
	for _, segment := range p.Segments {
		if strings.HasPrefix(segment, "*") {
			segment = "x"
		}
		path.WriteString("/" + url.PathEscape(segment))
	}
	if p.Verb != "" {
		path.WriteString(":" + p.Verb)
	}
	return path.String()
}
