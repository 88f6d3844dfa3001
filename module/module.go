// Package module is the plug: importing it for its effect gives a Caddy all of
// Caddy API Keys.
//
//	import _ "github.com/caddy-api-keys/gateway/module"
package module

import (
	_ "github.com/caddy-api-keys/gateway/caddyfile"
	_ "github.com/caddy-api-keys/gateway/cmd"
	_ "github.com/caddy-api-keys/gateway/module/boltstore/caddymodule"
	_ "github.com/caddy-api-keys/gateway/module/etcdstore/caddymodule"
	_ "github.com/caddy-api-keys/gateway/module/gateway"
)
