package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/gateway/source"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// Sites compiles the gates of a configuration (JSON).
func Sites(text []byte) ([]*Site, error) {
	var list []*Site
	for _, place := range config.Sites(text) {
		s, err := compileAt(place)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// compileAt compiles the gate of a place in a configuration.
func compileAt(place config.Site) (*Site, error) {
	gate := new(Gate)
	if err := json.Unmarshal(place.Gate, gate); err != nil {
		return nil, fmt.Errorf("reading a gate's configuration: %w", err)
	}
	s, err := Compile(gate)
	if err != nil {
		return nil, err
	}
	s.place = place
	return s, nil
}

// Hosts are the hosts of the site, as [config.Site] has them.
func (s *Site) Hosts() []string { return s.place.Hosts }

// Named reports whether the site has this name, with its port or without.
func (s *Site) Named(name string) bool { return s.place.Named(name) }

// Catalogue is what can be granted for the site.
func (s *Site) Catalogue() *policy.Catalogue { return s.catalogue }

// Resources are the names of the resources that the site declares.
func (s *Site) Resources() []string {
	names := make([]string, len(s.gate.Resource))
	for i := range names {
		names[i] = s.gate.Resource[i].Name
	}
	return names
}

// Declared is all that the site declares, with the tables that it includes, to
// be checked for what is easy to get wrong.
func (s *Site) Declared() (policy.Checked, error) {
	g := s.gate
	t, err := declaredBy(g)
	if err != nil {
		return policy.Checked{}, err
	}
	return policy.Checked{
		Scopes: t.Scopes, Routes: t.Routes, Owner: s.owner[0], App: s.owner[1],
		OwnerQuery:   append(t.OwnerQuery, g.OwnerQuery...),
		OwnerBody:    append(t.OwnerBody, g.OwnerBody...),
		OwnerMessage: append(t.OwnerMessage, g.OwnerMessage...),
	}, nil
}

// Logged are the places in a log where the site's credentials would show.
func (s *Site) Logged() source.Logged { return s.sources.Logged() }

// compileRoutes compiles the scopes and routes, with those of included tables.
func (s *Site) compileRoutes(g *Gate) error {
	t, err := declaredBy(g)
	if err != nil {
		return err
	}
	if err := s.places.Add(t.OwnerQuery, t.OwnerBody, t.OwnerMessage); err != nil {
		return fmt.Errorf("include %s: %w", strings.Join(g.Include, " "), err)
	}
	described, err := tenant.Descriptors(g.Descriptors, g.Include)
	if err != nil {
		return err
	}
	if err := s.places.Compile(described); err != nil {
		return err
	}
	if s.table, err = policy.SharedTable(t.Routes, s.owner[0], s.owner[1]); err != nil {
		return err
	}
	if err := s.ownersAreNamed(g); err != nil {
		return err
	}
	if err := s.resourcesAreNamed(); err != nil {
		return err
	}
	s.catalogue, err = policy.CatalogueOf(t.Scopes, s.table.Rules())
	return err
}

// declaredBy lists the scopes and routes of a gate, with all of the tables that
// it includes.
func declaredBy(g *Gate) (*tables.Table, error) {
	all := &tables.Table{Scopes: slices.Clone(g.Scope), Routes: slices.Clone(g.Route)}
	for i := range all.Routes {
		if all.Routes[i].Place == "" {
			all.Routes[i].Place = fmt.Sprintf("route[%d]", i)
		}
	}
	for _, name := range g.Include {
		t, err := tables.Shipped(name)
		if err != nil {
			return nil, fmt.Errorf("include: %w", err)
		}
		all.Scopes, all.Routes = append(all.Scopes, undescribed(t.Scopes, g.Scope)...), append(all.Routes, t.Routes...)
		all.OwnerQuery, all.OwnerBody = append(all.OwnerQuery, t.OwnerQuery...), append(all.OwnerBody, t.OwnerBody...)
		all.OwnerMessage = append(all.OwnerMessage, t.OwnerMessage...)
	}
	return all, nil
}

// undescribed returns the scopes of a shipped table without our descriptions of
// those that the gate declares itself: the lines of one scope have to agree.
func undescribed(shipped, declared []policy.Scope) []policy.Scope {
	shipped = slices.Clone(shipped)
	for i := range shipped {
		if slices.ContainsFunc(declared, func(s policy.Scope) bool { return s.Name == shipped[i].Name }) {
			shipped[i].Description = ""
		}
	}
	return shipped
}

// ownersAreNamed refuses names of variables that no route has: with a slip in
// the option owner, ownership would be checked nowhere.
func (s *Site) ownersAreNamed(g *Gate) error {
	for i, name := range s.owner {
		if name == defaultOwner[i] || len(g.OwnerQuery)+len(g.OwnerBody)+len(g.OwnerMessage) > 0 {
			continue
		}
		if !slices.ContainsFunc(s.table.Rules(), func(r *policy.Rule) bool {
			return slices.ContainsFunc(r.Parsed().Variables, func(v policy.Variable) bool { return v.Name == name })
		}) {
			return fmt.Errorf("%w {%s}, so nothing would be checked by it; name the variables that the routes have (%s if there is none)", ErrOwnerUnused, name, defaultOwner[i])
		}
	}
	return nil
}

// resourcesAreNamed refuses variables of resources that no route has. A misspelled
// variable would limit no key.
func (s *Site) resourcesAreNamed() error {
	r, name := s.places.Unused(func(variable string) bool {
		return slices.ContainsFunc(s.table.Rules(), func(rule *policy.Rule) bool { return rule.HasVariable(variable) })
	})
	if r != nil {
		return fmt.Errorf("%s: resource %s: no route has a variable {%s}, so it would check nothing; use a variable of a route", r.Place, r.Name, name)
	}
	return nil
}

// warnOfLogs names the logs that would show credentials of the site, with the
// filter to paste. Without an access log only the entries of failed requests
// show a request's header, which is said without a warning.
func (s *Site) warnOfLogs(ctx caddy.Context, logger *zap.Logger) {
	var fields config.LogFields
	fields.Add(s.Logged())
	filter := fields.Filter()
	if filter == "" {
		return
	}
	access, failures := fields.ShownIn(ctx, s.place.Hosts)
	if len(access) > 0 {
		logger.Warn("access logs would show credentials that are sent outside Authorization; add this filter to each of these logs",
			zap.Strings("logs", access), zap.String("filter", filter)) // the logger names the site
	}
	if len(failures) > 0 {
		logger.Info("entries about failed requests show credentials that are sent outside Authorization; this filter hides them",
			zap.Strings("logs", failures), zap.String("filter", filter))
	}
}
