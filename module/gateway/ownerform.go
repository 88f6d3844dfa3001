package gateway

import (
	"cmp"
	"context"
	"errors"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
)

var errReserved = errors.New("a name of a form has __proto__ or constructor in it")

// reserved reports whether a name of the query, on a site that looks for owner
// and app in names, has __proto__ or constructor in it.
func (o *ownership) reserved(query string) bool {
	if query == "" || len(o.queryFields)+len(o.bodyFields) == 0 {
		return false
	}
	found, _ := tenant.HasReserved(context.Background(), query)
	return found
}

// ofQuery adds what the query names. It is short, so it is read to its end.
func (o *ownership) ofQuery(n *names, query string) {
	if query == "" || len(o.queryFields) == 0 {
		return
	}
	_ = scanForm(context.Background(), n, query, o.query, o.queryFields)
}

// ofForm adds what a form names: the fields of the query and those of bodies,
// because servers bind either to both.
func (o *ownership) ofForm(ctx context.Context, n *names, text string) error {
	if reserved, err := tenant.HasReserved(ctx, text); err != nil || reserved {
		return cmp.Or(err, errReserved)
	}
	if len(o.queryFields) > 0 {
		if err := scanForm(ctx, n, text, o.query, o.queryFields); err != nil {
			return err
		}
	}
	return scanForm(ctx, n, text, o.bodyNames, o.bodyFields)
}

// scanForm adds what a query or a form names, each place by itself.
func scanForm(ctx context.Context, n *names, text string, watched *tenant.Names, fields []tenant.Field) error {
	places := make([]place, fields[len(fields)-1].Place+1)
	err := watched.Form(ctx, text, func(f tenant.Found) {
		field := &fields[f.Field]
		p := &places[field.Place]
		// What can't be decoded may be a name to others.
		p.conflict = p.conflict || f.Invalid
		p.add(field.Part, f.Value)
	})
	for _, p := range places {
		n.take(p)
	}
	return err
}
