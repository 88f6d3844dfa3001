// Package caddyfile teaches the Caddyfile the directive and the global option
// of the gate.
package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("api_keys", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("api_keys", httpcaddyfile.Before, "basic_auth")
}

func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	return nil, h.Err("no option is known yet")
}
