// Package management tests the management API, the portal and the admin
// endpoint as they are served: over HTTP, by a running Caddy.
package management
