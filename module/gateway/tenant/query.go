package tenant

import (
	"cmp"
	"context"
	"errors"

	"github.com/caddy-api-keys/gateway/module/policy"
)

var errReserved = errors.New("a name of a form has __proto__ or constructor in it")

// Decodes reports whether the site looks for owner and app in queries, which
// then have to be decodable.
func (o *Places) Decodes() bool { return len(o.queryFields) > 0 }

// Reserved reports whether a name of the query, on a site that looks for owner
// and app in names, has __proto__ or constructor in it.
func (o *Places) Reserved(query string) bool {
	if query == "" || len(o.queryFields)+len(o.bodyFields) == 0 {
		return false
	}
	found, _ := HasReserved(context.Background(), query)
	return found
}

// Query adds what the query names. It is short, so it is read to its end.
func (o *Places) Query(n *policy.Named, query string) {
	if query == "" || len(o.queryFields) == 0 {
		return
	}
	_ = scanForm(context.Background(), n, query, o.query, o.queryFields)
}

// ofForm adds what a form names: the fields of the query and those of bodies,
// because servers bind either to both.
func (o *Places) ofForm(ctx context.Context, n *policy.Named, values *Contents, text string) error {
	if reserved, err := HasReserved(ctx, text); err != nil || reserved {
		return cmp.Or(err, errReserved)
	}
	if len(o.queryFields) > 0 {
		if err := scanForm(ctx, n, text, o.query, o.queryFields); err != nil {
			return err
		}
	}
	if len(o.bodyFields) > 0 {
		if err := scanForm(ctx, n, text, o.bodyNames, o.bodyFields); err != nil {
			return err
		}
	}
	if values == nil {
		return nil
	}
	for i := range o.resources {
		add := func(f Found) { values.add(i, &f) }
		if err := o.resources[i].form.Form(ctx, text, add); err != nil {
			return err
		}
	}
	return nil
}

// scanForm adds what a query or a form names, each place by itself.
func scanForm(ctx context.Context, n *policy.Named, text string, watched *Names, fields []Field) error {
	places := make([]policy.Mention, fields[len(fields)-1].Place+1)
	err := watched.Form(ctx, text, func(f Found) {
		field := &fields[f.Field]
		p := &places[field.Place]
		// What can't be decoded may be a name to others.
		p.Conflict = p.Conflict || f.Invalid
		field.Part.add(p, f.Value)
	})
	for _, p := range places {
		n.Take(p)
	}
	return err
}
