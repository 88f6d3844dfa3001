package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Site is a gate and the hosts that it stands on, with their ports unless that
// is 443; where a site has none, the addresses that its server listens on.
type Site struct {
	Hosts []string
	Gate  *Gate

	// raw is the gate as it is written, and server what it stands on; neither
	// is known of a gate that is given alone.
	raw, server json.RawMessage
}

// Named reports whether a site has this name, with its port or without.
func (s *Site) Named(name string) bool {
	return slices.ContainsFunc(s.Hosts, func(known string) bool { return known == name || hostOfSite(known) == name })
}

// SitesOf finds the gates in a configuration (JSON), however deep they stand
// in routes and subroutes. They are as they are written: [Gate.Build] is still
// to be called.
func SitesOf(config []byte) ([]Site, error) { return sitesIn(config, surroundings{}) }

// Manages reports whether a site of a configuration (JSON) answers the
// management API.
func Manages(config []byte) bool { return hasHandler(config, "api_keys_manage") }

// hasHandler reports whether one of the handlers stands anywhere in a
// configuration (JSON).
func hasHandler(config []byte, names ...string) bool {
	var fields map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(config, &fields) == nil {
		var name string
		if json.Unmarshal(fields["handler"], &name) == nil && slices.Contains(names, name) {
			return true
		}
		list = slices.Collect(maps.Values(fields))
	} else if json.Unmarshal(config, &list) != nil {
		return false // a text or a number
	}
	return slices.ContainsFunc(list, func(value json.RawMessage) bool { return hasHandler(value, names...) })
}

// surroundings are what stands around a gate.
type surroundings struct {
	hosts, listen []string
	server        json.RawMessage
}

func sitesIn(config json.RawMessage, around surroundings) ([]Site, error) {
	var list []json.RawMessage
	var fields map[string]json.RawMessage
	if json.Unmarshal(config, &fields) == nil {
		if string(fields["handler"]) == `"api_keys"` {
			sites, err := written(config, siteNames(around.hosts, around.listen))
			for i := range sites {
				sites[i].raw, sites[i].server = config, around.server
			}
			return sites, err
		}
		around.hosts = hostsOf(fields, around.hosts)
		if listen := listenersOf(fields); listen != nil {
			around.listen, around.server = listen, config
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			list = append(list, fields[name])
		}
	} else if json.Unmarshal(config, &list) != nil {
		return nil, nil // a text or a number
	}
	var found []Site
	for _, value := range list {
		more, err := sitesIn(value, around)
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
	return []Site{{Hosts: hosts, Gate: gate}}, nil
}

// hostsOf are those that an object's handlers are limited to by its matchers,
// or else as around it.
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
	if len(hosts) == 0 {
		return around
	}
	return hosts
}

// listenersOf are a server's addresses, nil where the object is none.
func listenersOf(fields map[string]json.RawMessage) (listen []string) {
	if json.Unmarshal(fields["listen"], &listen) != nil || len(listen) == 0 {
		return nil
	}
	return listen
}

// siteNames tells sites apart: two may differ by their port alone.
func siteNames(hosts, listen []string) []string {
	if len(hosts) == 0 {
		return listen
	}
	var names []string
	for _, host := range hosts {
		if len(listen) == 0 {
			names = append(names, host)
		}
		for _, address := range listen {
			a, err := caddy.ParseNetworkAddress(address)
			switch {
			case err != nil || a.IsUnixNetwork() || a.StartPort == 0:
				names = append(names, host+" at "+address)
			case a.StartPort == 443:
				names = append(names, host)
			default:
				names = append(names, net.JoinHostPort(host, strconv.Itoa(int(a.StartPort))))
			}
		}
	}
	return names
}

// hostOfSite is a site's host without its port.
func hostOfSite(name string) string {
	if host, _, err := net.SplitHostPort(name); err == nil {
		return host
	}
	return name
}

// sites are the gates of the configuration that runs, with their hosts where
// they stand in routes and subroutes.
func (a *App) sites(ctx caddy.Context) []Site {
	var found []Site
	if found = a.builtSites(); found != nil {
		return found
	}
	if running, err := ctx.AppIfConfigured("http"); err == nil {
		servers := running.(*caddyhttp.App).Servers
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			found = append(found, sitesOfRoutes(servers[name].Routes, nil, servers[name].Listen)...)
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

// builtSites are the sites of the configuration as it was loaded, nil where
// that isn't known.
func (a *App) builtSites() []Site {
	a.sitesMu.Lock()
	config := a.config
	a.sitesMu.Unlock()
	sites, err := SitesOf(config)
	if err != nil {
		return nil
	}
	for _, s := range sites {
		if _, err := s.Gate.Build(); err != nil {
			return nil
		}
	}
	return sites
}

func sitesOfRoutes(routes caddyhttp.RouteList, around, listen []string) (found []Site) {
	for _, route := range routes {
		hosts := around
		if named := matchedHosts(route.MatcherSets); len(named) > 0 {
			hosts = named
		}
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Gate:
				found = append(found, Site{Hosts: siteNames(hosts, listen), Gate: h})
			case *caddyhttp.Subroute:
				found = append(found, sitesOfRoutes(h.Routes, hosts, listen)...)
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
