package policy

import (
	"maps"
	"slices"
)

// ReservedNames lists the names that no path variable may have, because Caddy
// replaces them where they stand in braces in a Caddyfile.
func ReservedNames() []string { return slices.Sorted(maps.Keys(caddyShorthands)) }
