package policy

import (
	"maps"
	"slices"
)

// ReservedNames returns the names that no path variable may have, because Caddy
// replaces them in a Caddyfile when they stand in braces.
func ReservedNames() []string { return slices.Sorted(maps.Keys(caddyShorthands)) }
