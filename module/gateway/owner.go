package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// The defaults of owner_limit and owner_timeout.
const (
	DefaultOwnerLimit   = 1 << 20 // bytes
	DefaultOwnerTimeout = 10 * time.Second
)

// provisionOwnership compiles where the site's requests name owner and app.
func (g *Gate) provisionOwnership() error {
	g.ownership = tenant.NewPlaces(g.Owner[0], g.Owner[1])
	if err := g.ownership.Add(g.OwnerQuery, g.OwnerBody, g.OwnerMessage); err != nil {
		return err
	}
	limit, timeout := int64(DefaultOwnerLimit), DefaultOwnerTimeout
	if g.OwnerLimit != "" {
		n, err := humanize.ParseBytes(g.OwnerLimit)
		if err != nil || n < 1 || n > 1<<30 {
			return fmt.Errorf("owner_limit %q: give a size up to 1GiB, as 1MiB", g.OwnerLimit)
		}
		limit = int64(n)
	}
	if g.OwnerTimeout < 0 {
		return errors.New("owner_timeout: give a duration, as 10s")
	}
	if g.OwnerTimeout > 0 {
		timeout = time.Duration(g.OwnerTimeout)
	}
	if g.Mode == "shadow" {
		timeout = 0 // a body that was late once can't be handed on
	}
	g.ownership.Bound(limit, timeout)
	return nil
}

// refuseInspected refuses a body or a message that was looked into. It returns
// nil if nothing is wrong with it.
func refuseInspected(err *tenant.Error) *refusal {
	switch {
	case err == nil:
		return nil
	case err.Problem == tenant.Foreign:
		return errOwner
	}
	ref := refuseBecause(authz.Target, err.Details)
	switch err.Problem {
	case tenant.Unreadable:
		ref.status = http.StatusUnsupportedMediaType
	case tenant.TooLarge:
		ref.status, ref.code, ref.grpc = http.StatusRequestEntityTooLarge, manage.CodeTooLarge, grpcResourceExhausted
	case tenant.Slow:
		ref.status, ref.grpc = http.StatusRequestTimeout, grpcDeadlineExceeded
	default: // the answer is that of the reason
	}
	return ref
}
