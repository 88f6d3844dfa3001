package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Site is a gate and the hosts that it stands on; where a site has none, the
// addresses that its server listens on.
type Site struct {
	Hosts []string
	Gate  *Gate
}

// SitesOf finds the gates in a configuration (JSON), however deep they stand
// in routes and subroutes. They are as they are written: [Gate.Build] is still
// to be called.
func SitesOf(config []byte) ([]Site, error) { return sitesIn(config, nil) }

// Manages says whether a site of a configuration (JSON) answers the management
// API.
func Manages(config []byte) bool {
	var fields map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(config, &fields) == nil {
		if string(fields["handler"]) == `"api_keys_manage"` {
			return true
		}
		list = slices.Collect(maps.Values(fields))
	} else if json.Unmarshal(config, &list) != nil {
		return false // a text or a number
	}
	return slices.ContainsFunc(list, func(value json.RawMessage) bool { return Manages(value) })
}

func sitesIn(config json.RawMessage, hosts []string) ([]Site, error) {
	var list []json.RawMessage
	var fields map[string]json.RawMessage
	if json.Unmarshal(config, &fields) == nil {
		if string(fields["handler"]) == `"api_keys"` {
			return written(config, hosts)
		}
		hosts = hostsOf(fields, hosts)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			list = append(list, fields[name])
		}
	} else if json.Unmarshal(config, &list) != nil {
		return nil, nil // a text or a number
	}
	var found []Site
	for _, value := range list {
		more, err := sitesIn(value, hosts)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func written(config json.RawMessage, hosts []string) ([]Site, error) {
	gate := new(Gate)
	if err := json.Unmarshal(config, gate); err != nil {
		return nil, fmt.Errorf("reading a gate's configuration: %w", err)
	}
	return []Site{{hosts, gate}}, nil
}

// hostsOf are those that an object's handlers are limited to: by its matchers,
// or else as a server by its listeners, or else as around it.
func hostsOf(fields map[string]json.RawMessage, around []string) []string {
	var matchers []struct {
		Host []string `json:"host"`
	}
	var hosts []string
	if json.Unmarshal(fields["match"], &matchers) == nil {
		for _, m := range matchers {
			hosts = append(hosts, m.Host...)
		}
	}
	if len(hosts) == 0 && json.Unmarshal(fields["listen"], &hosts) != nil || len(hosts) == 0 {
		return around
	}
	return hosts
}

// sites are the gates of the configuration that runs, with their hosts where
// they stand in routes and subroutes.
func (a *App) sites(ctx caddy.Context) []Site {
	var found []Site
	if running, err := ctx.AppIfConfigured("http"); err == nil {
		servers := running.(*caddyhttp.App).Servers
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			found = append(found, sitesOfRoutes(servers[name].Routes, servers[name].Listen)...)
		}
	}
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	for _, g := range a.gates {
		if !slices.ContainsFunc(found, func(s Site) bool { return s.Gate == g }) {
			found = append(found, Site{Gate: g})
		}
	}
	return found
}

func sitesOfRoutes(routes caddyhttp.RouteList, around []string) (found []Site) {
	for _, route := range routes {
		hosts := around
		if named := matchedHosts(route.MatcherSets); len(named) > 0 {
			hosts = named
		}
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Gate:
				found = append(found, Site{hosts, h})
			case *caddyhttp.Subroute:
				found = append(found, sitesOfRoutes(h.Routes, hosts)...)
			default: // it may hold gates that no host is known of
			}
		}
	}
	return found
}

func matchedHosts(sets caddyhttp.MatcherSets) (hosts []string) {
	for _, set := range sets {
		for _, matcher := range set {
			switch m := matcher.(type) {
			case caddyhttp.MatchHost:
				hosts = append(hosts, m...)
			case *caddyhttp.MatchHost:
				hosts = append(hosts, *m...)
			default:
			}
		}
	}
	return hosts
}
