package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Undecided is a place of a configuration where requests are forwarded that no
// gate decides about, on a site that has a gate.
type Undecided struct {
	// Site are the site's names.
	Site []string
	// Forward is the handler that forwards, and Matcher what keeps requests
	// from the gate; empty where the gate only comes later.
	Forward, Matcher string
}

// Text is a sentence for people.
func (u *Undecided) Text() string {
	why := "stands before the gate"
	if u.Matcher != "" {
		why = "gets requests outside the gate's matcher " + u.Matcher
	}
	return fmt.Sprintf("%s %s, so nobody decides about them; let the gate see every request, and write routes with \"accept public\" for those that need no credential", u.Forward, why)
}

// UndecidedRequests looks through a configuration (JSON) for requests that reach an
// upstream without a gate's decision. It goes by the order of routes and by
// whether they have matchers, and can't tell what matchers mean; a matcher on
// hosts alone makes a site of its own. Handlers that answer by themselves, such
// as respond and file_server, and error routes are no concern of it.
func UndecidedRequests(config []byte) (found []Undecided, err error) {
	var app struct {
		Servers map[string]*server `json:"servers"`
	}
	if err := json.Unmarshal(httpApp(config), &app); err != nil {
		return nil, fmt.Errorf("reading the http app's configuration: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		s := app.Servers[name]
		s.site(s.Routes, nil, passed{}, &found)
	}
	return found, nil
}

// server is as much of a server as is needed to know where requests go.
type server struct {
	Listen      []string                   `json:"listen"`
	Routes      caddyhttp.RouteList        `json:"routes"`
	NamedRoutes map[string]caddyhttp.Route `json:"named_routes"`
}

// handler is as much of a handler.
type handler struct {
	Handler        string              `json:"handler"`
	Routes         caddyhttp.RouteList `json:"routes"`
	Name           string              `json:"name"`
	HandleResponse []json.RawMessage   `json:"handle_response"`
	Upstreams      []struct {
		Dial string `json:"dial"`
	} `json:"upstreams"`
	Rewrite *struct {
		Method string `json:"method"`
	} `json:"rewrite"`
}

// forwards reports whether a handler hands requests to an upstream.
// forward_auth asks one about a request, and goes on.
func (h *handler) forwards() bool {
	asks := h.Rewrite != nil && h.Rewrite.Method == "GET" && len(h.HandleResponse) > 0
	return (h.Handler == "reverse_proxy" || h.Handler == "php") && !asks
}

func (h *handler) String() string {
	words := []string{h.Handler}
	for _, u := range h.Upstreams {
		words = append(words, u.Dial)
	}
	return strings.Join(words, " ")
}

// passed is what every request that comes to a place has passed.
type passed struct {
	gate bool
	// some are the matchers of gates that only some requests have passed.
	some []string
}

// unit is the walk through one site.
type unit struct {
	server   *server
	hosts    []string
	found    *[]Undecided
	gates    []string // the matchers of its gates, empty for none
	forwards []Undecided
	depth    int
}

// site walks through the routes of a site, and adds what is undecided there.
func (s *server) site(routes caddyhttp.RouteList, hosts []string, p passed, found *[]Undecided) {
	u := unit{server: s, hosts: hosts, found: found, gates: slices.Clone(p.some)}
	u.walk(routes, p, "")
	if len(u.gates) == 0 {
		return
	}
	matchers := slices.DeleteFunc(u.gates, func(m string) bool { return m == "" })
	slices.Sort(matchers)
	for _, f := range u.forwards {
		f.Site, f.Matcher = siteNames(hosts, s.Listen), strings.Join(slices.Compact(matchers), ", ")
		if !slices.ContainsFunc(*found, func(known Undecided) bool { return known.Text() == f.Text() && slices.Equal(known.Site, f.Site) }) {
			*found = append(*found, f)
		}
	}
}

// maxDepth bounds how deep routes stand in one another; named routes can call
// themselves.
const maxDepth = 32

// walk returns what requests have passed behind the routes. around names the
// matchers around them.
func (u *unit) walk(routes caddyhttp.RouteList, p passed, around string) passed {
	u.depth++
	defer func() { u.depth-- }()
	if u.depth > maxDepth {
		return p
	}
	groups := map[string]bool{} // whether every route of a group so far passes a gate
	for _, route := range routes {
		if hosts := onlyHosts(route); hosts != nil {
			var inside caddyhttp.Route
			inside.HandlersRaw = route.HandlersRaw
			u.server.site(caddyhttp.RouteList{inside}, hosts, p, u.found)
			continue
		}
		matcher := describeMatchers(route)
		within := around
		if matcher != "" {
			within = strings.TrimPrefix(around+" within "+matcher, " within ")
		}
		before := len(u.gates)
		behind := u.handlers(route, p, within)
		all, grouped := groups[route.Group]
		all = behind.gate && (all || !grouped)
		if route.Group != "" {
			groups[route.Group] = all
		}
		switch {
		case matcher == "" && (route.Group == "" || all):
			p.gate = p.gate || behind.gate
		case behind.gate && !p.gate:
			p.some = append(slices.Clone(p.some), u.gates[before:]...)
		}
	}
	return p
}

// handlers walks through the handlers of a route.
func (u *unit) handlers(route caddyhttp.Route, p passed, within string) passed {
	for _, raw := range route.HandlersRaw {
		var h handler
		if json.Unmarshal(raw, &h) != nil {
			continue // the handler's own module reports it
		}
		switch {
		case h.Handler == "api_keys":
			p.gate = true
			u.gates = append(u.gates, within)
		case h.Handler == "subroute":
			p = u.walk(h.Routes, p, within)
		case h.Handler == "invoke":
			if named, ok := u.server.NamedRoutes[h.Name]; ok {
				p = u.walk(caddyhttp.RouteList{named}, p, within)
			}
		case h.forwards() && !p.gate:
			u.forwards = append(u.forwards, Undecided{Forward: h.String()})
		}
	}
	return p
}

// onlyHosts are the hosts of a route that is limited by hosts and nothing else,
// nil for any other route.
func onlyHosts(route caddyhttp.Route) (hosts []string) {
	for _, set := range route.MatcherSetsRaw {
		var list []string
		if len(set) != 1 || json.Unmarshal(set["host"], &list) != nil {
			return nil
		}
		hosts = append(hosts, list...)
	}
	return hosts
}

// describeMatchers are the matchers of a route in words, empty where every
// request matches.
func describeMatchers(route caddyhttp.Route) string {
	var sets []string
	for _, set := range route.MatcherSetsRaw {
		var words []string
		for _, name := range slices.Sorted(maps.Keys(set)) {
			var list []string
			if json.Unmarshal(set[name], &list) != nil {
				words = append(words, name+" "+string(set[name]))
				continue
			}
			if name == "path" && (slices.Contains(list, "*") || slices.Contains(list, "/*")) {
				continue
			}
			words = append(words, name+" "+strings.Join(list, " "))
		}
		if words == nil {
			return ""
		}
		sets = append(sets, strings.Join(words, " and "))
	}
	return strings.Join(sets, " or ")
}
