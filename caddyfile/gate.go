package caddyfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/cors"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/usage"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// parseGate sets up the gate from Caddyfile tokens. Syntax:
//
//	api_keys [<matcher>] {
//	    scope <name> ["<description>"] {
//	        needs <scopes...>
//	        hidden
//	    }
//	    route <method>|* <pattern> [<scopes...>] {
//	        endpoint <names...>
//	        accept   <kinds...>|public|none
//	        allow    colon
//	        allow    encoded_slash
//	        cost     <number>
//	    }
//	    route grpc /<package.Service>/<Method> [<scopes...>] {
//	        ...
//	    }
//	    include               <table>
//	    owner                 <owner_variable> <app_variable>
//	    owner_query           <owner_field> <app_field>
//	    owner_body            <fields...>
//	    owner_message         /<package.Service>/<Method> <field=numbers...>
//	    descriptors           <file>
//	    resource              <name> [path <variables...>] [body <fields...>] [query <fields...>]
//	    owner_limit           <size>
//	    owner_timeout         <duration>
//	    identity_headers      <prefix>|off
//	    session_header        <name>|off
//	    credential            header|query <name>
//	    forward_credential
//	    keep_override_headers
//	    upgrade               websocket
//	    cors <origins...> {
//	        headers <names...>
//	        expose  <names...>
//	    }
//	    usage                 header <name> [keep]
//	    usage                 json <path>
//	    errors                clarifai|problem|caddy
//	    mode                  enforce|shadow
//	}
//
// The options scope, route, include, credential, cors, resource, owner_query,
// owner_body and owner_message may be given several times, and their lines may stand in
// another file that is imported. What no route matches is refused, so there has
// to be a route or an include. A request that a matcher keeps from the gate is
// not decided at all.
func parseGate(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	if h.NextArg() {
		return nil, h.Errf("unexpected %q: api_keys takes a matcher, and a block with its routes", h.Val())
	}
	p := gateParser{given: options{}}
	var owners []caddyfile.Segment
	for h.NextBlock(0) {
		segment := h.NextSegment()
		if strings.HasPrefix(segment[0].Text, "owner_") {
			// They speak of owner and app in the words of the option owner,
			// which may come later.
			owners = append(owners, segment)
		} else if err := p.option(segment); err != nil {
			return nil, err
		}
	}
	for _, segment := range owners {
		if err := p.option(segment); err != nil {
			return nil, err
		}
	}
	if len(p.gate.Route) == 0 && len(p.gate.Include) == 0 {
		h.Reset()
		h.Next()
		return nil, h.Err("a gate without routes refuses every request: add a line such as route GET /v2/inputs Inputs:Get, or include clarifai")
	}
	site, err := gateway.Compile(&p.gate)
	if errors.Is(err, gateway.ErrOwnerUnused) {
		// Known once all routes are, and the option's place only here.
		return nil, fmt.Errorf("%s: %w", p.given["owner"], err)
	}
	if err != nil {
		return nil, err
	}
	return &p.gate, addSite(h.State, site.Catalogue())
}

// addSite compares what the sites of a Caddyfile say about scopes. It is
// checked again when the configuration is loaded, but places are known here
// only.
func addSite(state map[string]any, catalogue *policy.Catalogue) error {
	const key = "api_keys.catalogue"
	sites := []*policy.Catalogue{catalogue}
	if before, ok := state[key].(*policy.Catalogue); ok {
		sites = []*policy.Catalogue{before, catalogue}
	}
	all, err := policy.Union(sites...)
	if err != nil {
		return err
	}
	state[key] = all
	return nil
}

type gateParser struct {
	gate  gateway.Gate
	given options
}

// option takes one option: the tokens of its line, and of its block where it
// has one.
func (p *gateParser) option(segment caddyfile.Segment) error {
	d := caddyfile.NewDispenser(segment)
	d.Next() // the option's name
	switch d.Val() {
	case "scope":
		scope, err := tables.ParseScope(tokens(segment))
		p.gate.Scope = append(p.gate.Scope, scope)
		return err
	case "route":
		route, err := tables.ParseRoute(tokens(segment))
		p.gate.Route = append(p.gate.Route, route)
		return err
	case "descriptors":
		return p.descriptors(segment)
	case "include":
		return p.include(d)
	}
	if err := p.setting(d, segment); err != nil {
		return err
	}
	if err := gateway.CheckOptions(&p.gate); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// setting takes an option that is checked together with the others.
func (p *gateParser) setting(d *caddyfile.Dispenser, segment caddyfile.Segment) (err error) {
	g := &p.gate
	switch d.Val() {
	case "owner_query":
		fields, err2 := tables.ParseOwnerQuery(tokens(segment))
		g.OwnerQuery, err = append(g.OwnerQuery, fields), err2
	case "owner_body":
		fields, err2 := tables.ParseOwnerBody(tokens(segment))
		g.OwnerBody, err = append(g.OwnerBody, fields...), err2
	case "owner_message":
		message, err2 := tables.ParseOwnerMessage(tokens(segment))
		g.OwnerMessage, err = append(g.OwnerMessage, message), err2
	case "resource":
		resource, err2 := parseResource(segment)
		g.Resource, err = append(g.Resource, resource), err2
	case "owner_limit":
		err = p.given.word(d, &g.OwnerLimit, "owner_limit SIZE, for example owner_limit 1MiB")
	case "owner_timeout":
		err = p.given.duration(d, &g.OwnerTimeout, "owner_timeout DURATION, for example owner_timeout 10s")
	case "credential":
		err = p.credential(d)
	case "cors":
		err = p.cors(d)
	case "owner":
		g.Owner, err = p.given.words(d, 2, "owner OWNER_VARIABLE APP_VARIABLE")
	case "identity_headers":
		err = p.given.word(d, &g.IdentityHeaders, "identity_headers PREFIX, or identity_headers off")
	case "session_header":
		err = p.given.word(d, &g.SessionHeader, "session_header NAME, or session_header off")
	case "forward_credential":
		err = p.given.flag(d, &g.ForwardCredential)
	case "keep_override_headers":
		err = p.given.flag(d, &g.KeepOverrideHeaders)
	case "upgrade":
		err = p.given.word(d, &g.Upgrade, "upgrade websocket")
	case "usage":
		err = p.usage(d)
	case "errors":
		err = p.given.word(d, &g.Errors, "errors clarifai, errors problem or errors caddy")
	case "mode":
		err = p.given.word(d, &g.Mode, "mode enforce or mode shadow")
	default:
		return d.Errf("unknown option %q: use scope, route, include, owner, owner_query, owner_body, owner_message, descriptors, resource, owner_limit, owner_timeout, identity_headers, session_header, credential, forward_credential, keep_override_headers, upgrade, cors, usage, errors or mode", d.Val())
	}
	return err
}

// include looks the table up at once, because the place of its name isn't known
// later.
func (p *gateParser) include(d *caddyfile.Dispenser) error {
	list, err := words(d, 1, "include TABLE, for example include clarifai")
	if err != nil {
		return err
	}
	if _, err := tables.Shipped(list[0]); err != nil {
		return d.WrapErr(err)
	}
	p.gate.Include = append(p.gate.Include, list[0])
	return nil
}

// descriptors takes the file that describes gRPC methods. Its name is relative
// to the folder of the file in which it is written: an imported table brings
// its own along, and may be named again where it is imported.
func (p *gateParser) descriptors(segment caddyfile.Segment) error {
	name, err := tables.ParseDescriptors(tokens(segment))
	if err != nil {
		return err
	}
	first := segment[0]
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(first.File), name)
	}
	d := caddyfile.NewDispenser(segment)
	d.Next()
	place := fmt.Sprintf("%s:%d", first.File, first.Line)
	if before, given := p.given["descriptors"]; given {
		if name == p.gate.Descriptors && !strings.HasPrefix(before, first.File+":") {
			return nil
		}
		return d.Errf("descriptors is given twice, first at %s: import the packages at once, so that one file describes both", before)
	}
	p.given["descriptors"], p.gate.Descriptors = place, name
	if _, err := tenant.ReadDescriptors(name); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (p *gateParser) credential(d *caddyfile.Dispenser) error {
	list, err := words(d, 2, "credential header NAME, or credential query NAME")
	if err == nil {
		p.gate.Credential = append(p.gate.Credential, gateway.Source{In: list[0], Name: list[1]})
	}
	return err
}

// usage reads where responses report how much a request used.
func (p *gateParser) usage(d *caddyfile.Dispenser) error {
	const syntax = "usage header NAME, usage header NAME keep, or usage json PATH, for example usage json usage.total_tokens"
	if err := p.given.once(d); err != nil {
		return err
	}
	list := d.RemainingArgs()
	switch {
	case len(list) == 2 && list[0] == "header":
		p.gate.Usage = &usage.Config{Header: list[1]}
	case len(list) == 3 && list[0] == "header" && list[2] == "keep":
		p.gate.Usage = &usage.Config{Header: list[1], Keep: true}
	case len(list) == 2 && list[0] == "json":
		p.gate.Usage = &usage.Config{JSON: list[1]}
	default:
		return d.Errf("usage: write %s", syntax)
	}
	return nil
}

// cors takes one of the lines; all of them together make one setting.
func (p *gateParser) cors(d *caddyfile.Dispenser) error {
	origins := d.RemainingArgs()
	if len(origins) == 0 {
		return d.Err("cors: write cors ORIGIN…, for example cors https://app.example.com")
	}
	if p.gate.CORS == nil {
		p.gate.CORS = new(cors.Config)
	}
	c := p.gate.CORS
	c.Origins = append(c.Origins, origins...)
	given := options{}
	for d.NextBlock(0) {
		switch d.Val() {
		case "headers":
			if err := given.names(d, &c.Headers, "headers NAME…, for example headers X-Request-Id"); err != nil {
				return err
			}
		case "expose":
			if err := given.names(d, &c.Expose, "expose NAME…, such as expose X-Request-Id"); err != nil {
				return err
			}
		default:
			return d.Errf("unknown option %q of cors: use headers or expose", d.Val())
		}
	}
	return nil
}

// names takes an option of cors: one name or more.
func (o options) names(d *caddyfile.Dispenser, into *[]string, syntax string) error {
	if err := o.once(d); err != nil {
		return err
	}
	option, list := d.Val(), d.RemainingArgs()
	if len(list) == 0 {
		return d.Errf("cors %s: write %s", option, syntax)
	}
	*into = append(*into, list...)
	return nil
}
