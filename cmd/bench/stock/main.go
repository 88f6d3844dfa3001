// Command stock is Caddy without the API keys plug-in, in the versions of this
// module. The comparison takes it as a baseline.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
