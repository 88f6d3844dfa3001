package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway"
)

// parseManage sets up the management API of a site. Syntax:
//
//	api_keys_manage [<matcher>] {
//	    base   <path>
//	    portal <path> {
//	        name   <name>
//	        logo   <file>
//	        accent <color>
//	    }
//	}
func parseManage(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	if h.NextArg() {
		return nil, h.Errf("unexpected %q: api_keys_manage takes a matcher and a block only", h.Val())
	}
	m := new(gateway.Manage)
	given := options{}
	for h.NextBlock(0) {
		d := h.NewFromNextSegment()
		d.Next() // the option's name
		switch d.Val() {
		case "base":
			if err := given.word(d, &m.Base, "base PATH, for example base /v2"); err != nil {
				return nil, err
			}
		case "portal":
			if err := parsePortal(d, m, given); err != nil {
				return nil, err
			}
		default:
			return nil, d.Errf("unknown option %q: use base or portal", d.Val())
		}
		if err := m.Check(); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	return m, nil
}

// parsePortal reads the option portal with its block, the brand.
func parsePortal(d *caddyfile.Dispenser, m *gateway.Manage, given options) error {
	if err := given.once(d); err != nil {
		return err
	}
	list := d.RemainingArgs()
	if len(list) != 1 || list[0] == "" {
		return d.Errf("portal: write portal PATH, for example portal /portal")
	}
	m.Portal = list[0]
	within := options{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if m.PortalBrand == nil {
			m.PortalBrand = new(gateway.PortalBrand)
		}
		sub := d.NewFromNextSegment()
		sub.Next() // the option's name
		var err error
		switch sub.Val() {
		case "name":
			err = within.word(sub, &m.PortalBrand.Name, `name NAME, for example name "Acme API"`)
		case "logo":
			err = within.word(sub, &m.PortalBrand.Logo, "logo FILE, for example logo /etc/caddy/logo.svg")
		case "accent":
			err = within.word(sub, &m.PortalBrand.Accent, `accent COLOR, for example accent "#0f6b66", in quotes because # begins a comment`)
		default:
			err = sub.Errf("unknown option %q of portal: use name, logo or accent", sub.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
