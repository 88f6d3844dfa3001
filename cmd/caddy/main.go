// Command caddy is Caddy with the API keys plug-in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-api-keys/gateway/module"
)

func main() {
	paceCollector()
	caddycmd.Main()
}
