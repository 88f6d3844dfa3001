package tenant

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// resource is a declared resource, with the names of its fields.
type resource struct {
	policy.Resource
	query *Names
	form  *Names // of the query's fields and of bodies'
}

// Declare adds resources.
func (o *Places) Declare(list []policy.Resource) error {
	for _, r := range list {
		if err := policy.CheckResourceName(r.Name); err != nil {
			return fmt.Errorf("resource: %w", err)
		}
		if i := o.resourceOf(r.Name); i >= 0 {
			return fmt.Errorf("resource %s is given twice (first at %s)", r.Name, o.resources[i].Place)
		}
		if err := o.declare(r); err != nil {
			return fmt.Errorf("resource %s: %w", r.Name, err)
		}
	}
	return o.join()
}

func (o *Places) declare(r policy.Resource) error {
	if len(r.Path)+len(r.Query)+len(r.Body) == 0 {
		return errors.New("no place is given; say where requests name it: path VARIABLE…, body FIELD… or query FIELD…")
	}
	query, err := fieldsOf(r.Query, len(o.resources))
	if err != nil {
		return err
	}
	body, err := fieldsOf(r.Body, len(o.resources))
	if err != nil {
		return err
	}
	o.resources = append(o.resources, resource{r, NewNames(query), NewNames(slices.Concat(query, body))})
	return nil
}

// fieldsOf returns the fields that name a resource.
func fieldsOf(paths []string, resource int) (fields []Field, err error) {
	for _, path := range paths {
		for name := range strings.SplitSeq(path, ".") {
			if Letters(name) == "" {
				return nil, fmt.Errorf("the field %q has a name without letters", path)
			}
		}
		fields = append(fields, Field{Path: path, Part: Value, Resource: resource})
	}
	return fields, nil
}

// join puts the fields of bodies together, so that a body is read once for all
// of them.
func (o *Places) join() error {
	o.limitedFields = slices.Clone(o.bodyFields)
	for i := range o.resources {
		fields, err := fieldsOf(o.resources[i].Body, i)
		if err != nil {
			return err
		}
		o.limitedFields = append(o.limitedFields, fields...)
	}
	o.limitedBody = NewBody(o.limitedFields)
	return o.limitedBody.root.apart(o.limitedFields)
}

// apart returns an error if the field of a resource lies within another field, or the
// other way round. A value would have to be both text and an object.
func (m *member) apart(fields []Field) error {
	if len(m.fields) > 0 && len(m.members) > 0 {
		outer, inner := &fields[m.fields[0]], &fields[m.members[0].first()]
		if outer.Part == Value || inner.Part == Value {
			return fmt.Errorf("body fields %s and %s: the second lies within the first, so they can't both be read; remove one of the two", outer.Path, inner.Path)
		}
	}
	for _, inner := range m.members {
		if err := inner.apart(fields); err != nil {
			return err
		}
	}
	return nil
}

// first returns a field that ends at the member or within it.
func (m *member) first() int {
	for len(m.fields) == 0 {
		m = m.members[0]
	}
	return m.fields[0]
}

// resourceOf returns the number of a resource, or -1 if it isn't declared.
func (o *Places) resourceOf(name string) int {
	return slices.IndexFunc(o.resources, func(r resource) bool { return r.Name == name })
}

// Unused returns the first path variable of a resource for which has returns false,
// and its resource. The resource is nil if there is no such variable.
func (o *Places) Unused(has func(variable string) bool) (r *policy.Resource, variable string) {
	for i := range o.resources {
		r := &o.resources[i].Resource
		for _, variable := range r.Path {
			if !has(variable) {
				return r, variable
			}
		}
	}
	return nil, ""
}

// Contents describes what is known of a request's body, and has the values of
// resources that were found in the body.
type Contents struct {
	// Opaque is true if the body can't be searched for resources, because the request
	// is gRPC.
	Opaque bool
	// Read is true if the body was searched for resources.
	Read bool
	// HandedOn is true if the body was forwarded without being searched.
	HandedOn bool

	values []value
	// more is true if there were more values than are kept.
	more bool
}

// value is a value of a resource.
type value struct {
	resource int
	text     string
	// wrong is true if the value is empty, too long, or not text.
	wrong bool
}

// The most that a request may name. If the caller is limited to some values, requests
// with more values or longer ones are refused.
const (
	maxValues = 100
	maxValue  = 1024 // bytes
)

// add adds a value that a body has in a field of a resource.
func (c *Contents) add(resource int, f *Found) {
	if f.Null || c.more {
		return
	}
	v := valueOf(resource, f)
	if slices.Contains(c.values, v) {
		return
	}
	if c.more = len(c.values) == maxValues; !c.more {
		v.text = strings.Clone(v.text) // the body isn't kept
		c.values = append(c.values, v)
	}
}

func valueOf(resource int, f *Found) value {
	if f.Invalid || f.Inner || f.Value == "" || len(f.Value) > maxValue {
		return value{resource: resource, wrong: true}
	}
	return value{resource: resource, text: f.Value}
}

// Look returns what is known of the request's body before it is read.
func (o *Places) Look(r *http.Request, grpc bool) Contents {
	return Contents{Opaque: grpc || o.InMessages(r)}
}

// InspectsFor reports whether the request's body has to be read before the
// request of a caller with these limits is forwarded.
func (o *Places) InspectsFor(limits policy.Values, r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && o.MayNameValueInBody(limits)
}

// MayNameValueInBody reports whether a body may name a limited resource.
func (o *Places) MayNameValueInBody(limits policy.Values) bool {
	for name := range limits {
		if i := o.resourceOf(name); i >= 0 && len(o.resources[i].Body) > 0 {
			return true
		}
	}
	return false
}

// Beyond returns the name of a resource that a request may address beyond these
// limits, or an empty string. Such a resource isn't declared, or the request names
// another value of it, or the request may name the resource in a place that can't be
// searched. path and query are escaped.
func (o *Places) Beyond(limits policy.Values, rule *policy.Rule, path, query string, body *Contents) string {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		i := o.resourceOf(name)
		if i < 0 || body.Opaque || !o.inPath(i, limits, rule, path) || !o.inQuery(i, limits, query) || !o.inBody(i, limits, body) {
			return name
		}
	}
	return ""
}

// BeyondRoute is [Places.Beyond] for requests of a route that name no more than
// necessary.
func (o *Places) BeyondRoute(limits policy.Values, rule *policy.Rule) string {
	grpc := rule.Method == policy.MethodGRPC || o.messages[rule.Pattern] != nil
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		i := o.resourceOf(name)
		if i < 0 || grpc || len(limits[name]) == 0 && slices.ContainsFunc(o.resources[i].Path, rule.HasVariable) {
			return name
		}
	}
	return ""
}

// inPath reports whether the path names no other value of a resource.
func (o *Places) inPath(i int, limits policy.Values, rule *policy.Rule, path string) bool {
	r := &o.resources[i]
	for _, variable := range r.Path {
		for text := range rule.Values(variable, path) {
			if !o.permits(limits, valueOf(i, &Found{Value: text})) {
				return false
			}
		}
	}
	return true
}

// inQuery reports whether the query names no other value of a resource. It returns
// false for a query in which servers may read other names than the gate does.
func (o *Places) inQuery(i int, limits policy.Values, query string) bool {
	r := &o.resources[i]
	if query == "" || len(r.Query)+len(r.Body) == 0 {
		return true
	}
	if reserved, _ := HasReserved(context.Background(), query); reserved || len(r.Query) > 0 && !Decodable(query) {
		return false
	}
	left, permitted := maxValues, true
	_ = r.query.Form(context.Background(), query, func(f Found) {
		left--
		permitted = permitted && left >= 0 && o.permits(limits, valueOf(i, &f))
	})
	return permitted
}

// inBody reports whether the body names no other value of a resource.
func (o *Places) inBody(i int, limits policy.Values, body *Contents) bool {
	if len(o.resources[i].Body) == 0 {
		return true
	}
	return !body.HandedOn && !body.more && !slices.ContainsFunc(body.values, func(v value) bool {
		return v.resource == i && !o.permits(limits, v)
	})
}

func (o *Places) permits(limits policy.Values, v value) bool {
	return !v.wrong && limits.Permit(o.resources[v.resource].Name, v.text)
}
