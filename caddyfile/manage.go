package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway"
)

// parseManage sets up the management API of a site. Syntax:
//
//	api_keys_manage [<matcher>] {
//	    base   <path>
//	    portal <path>
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
			if err := given.word(d, &m.Portal, "portal PATH, for example portal /portal"); err != nil {
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
