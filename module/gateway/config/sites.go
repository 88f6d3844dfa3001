// Package config reads configurations of Caddy (JSON): on which sites gates
// stand, and what around them is easy to get wrong, such as requests that reach
// an upstream without a gate's decision, or logs that would show credentials.
package config

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
)

// Site is a place in a configuration where a gate stands.
type Site struct {
	// Hosts are the hosts of the site, with their ports unless that is 443;
	// where the site has none, the addresses that its server listens on.
	Hosts []string
	// Gate is the configuration (JSON) of the gate, or of the management API, as
	// it is written.
	Gate json.RawMessage
	// Order is the site's position among those of the configuration.
	Order int

	// server is the configuration of the server that the gate stands on, nil
	// if that isn't known.
	server json.RawMessage
}

// Named reports whether a site has this name, with its port or without.
func (s *Site) Named(name string) bool {
	return slices.ContainsFunc(s.Hosts, func(known string) bool { return known == name || hostOfSite(known) == name })
}

// Sites finds the gates in a configuration (JSON), however deep they stand in
// routes and subroutes, in the order in which Caddy loads them.
func Sites(config []byte) []Site { return sitesWith(config, "api_keys") }

// Managed finds the sites that answer the management API, as [Sites] finds the
// gates.
func Managed(config []byte) []Site { return sitesWith(config, managementHandler) }

// managementHandler is the handler that answers the management API.
const managementHandler = "api_keys_manage"

func sitesWith(config []byte, handler string) []Site {
	found := sitesIn(config, handler, surroundings{})
	for i := range found {
		found[i].Order = i
	}
	return found
}

// Manages reports whether a site of a configuration (JSON) answers the
// management API.
func Manages(config []byte) bool { return hasHandler(config, managementHandler) }

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

func sitesIn(config json.RawMessage, handler string, around surroundings) (found []Site) {
	var list []json.RawMessage
	var fields map[string]json.RawMessage
	if json.Unmarshal(config, &fields) == nil {
		if string(fields["handler"]) == `"`+handler+`"` {
			return []Site{{Hosts: siteNames(around.hosts, around.listen), Gate: config, server: around.server}}
		}
		around.hosts = hostsOf(fields, around.hosts)
		if listen := listenersOf(fields); listen != nil {
			around.listen, around.server = listen, config
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			list = append(list, fields[name])
		}
	} else if json.Unmarshal(config, &list) != nil {
		return nil // a text or a number
	}
	for _, value := range list {
		found = append(found, sitesIn(value, handler, around)...)
	}
	return found
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
