package importer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// notOperations are the fields of a path that aren't operations.
var notOperations = []string{"$ref", "summary", "description", "servers", "parameters", "security"}

// anyMethod is AWS's field for the operation of all methods that a path doesn't
// list.
const anyMethod = "x-amazon-apigateway-any-method"

// paths adds the routes of all operations in a field of the document.
func (d *document) paths(field string) error {
	paths := d.root.get(field)
	if paths == nil {
		return nil // 3.1 allows it: a document of webhooks only
	}
	if paths.kind != object {
		return fmt.Errorf("%s: %s has to be an object", d.place(paths), field)
	}
	if !d.visit(paths) {
		return d.stopped()
	}
	if key := paths.twice(); key != "" {
		return fmt.Errorf("%s: the path %q occurs twice: join the two", d.place(paths), plain(key))
	}
	for i, template := range paths.keys {
		if strings.HasPrefix(template, "x-") {
			continue
		}
		if template == "$ref" {
			return fmt.Errorf("%s: %s has a $ref, so its paths are elsewhere: bundle the document first", d.place(paths.items[i]), field)
		}
		if err := d.path(template, paths.items[i]); err != nil {
			return err
		}
	}
	return nil
}

// path adds the operations of one path, and closes a path without any.
func (d *document) path(template string, item *value) error {
	known := d.operations + len(d.left)
	if err := d.pathItem(template, item, nil); err != nil || d.operations+len(d.left) > known {
		return err
	}
	return d.unknownPath(template, item, errors.New("it has no operation"))
}

// pathItem adds the operations of one path. A $ref adds the operations of
// another place to its own. from are the places of the references so far.
func (d *document) pathItem(template string, item *value, from []*value) error {
	if !d.visit(item) {
		return d.stopped()
	}
	if item.kind != object {
		return d.unknownPath(template, item, errors.New("it is not an object, so its operations are not known"))
	}
	if key := item.twice(); key != "" {
		return fmt.Errorf("%s: %s has %q twice: remove one of them", d.place(item), plain(template), plain(key))
	}
	for i, key := range item.keys {
		if slices.Contains(notOperations, key) || strings.HasPrefix(key, "x-") && key != anyMethod {
			continue
		}
		if item.items[i].kind != object && key != anyMethod && key != "additionalOperations" && !policy.KnownMethod(strings.ToUpper(key)) {
			d.warn(d.place(item.items[i]), "%s: %q is not an operation of OpenAPI and is ignored", template, key)
			continue
		}
		if err := d.field(template, key, item, item.items[i]); err != nil {
			return err
		}
	}
	ref := item.get("$ref")
	if ref == nil {
		return nil
	}
	target, err := d.lookUp(ref.text)
	if from = append(from, item); err == nil && (slices.Contains(from, target) || len(from) > maxHops) {
		err = errors.New("it refers to itself, or follows too many references")
	}
	if err != nil {
		return d.unknownPath(template, item, fmt.Errorf("its operations are elsewhere: %w", err))
	}
	return d.pathItem(template, target, from)
}

// unknownPath closes a path whose operations are not known.
func (d *document) unknownPath(template string, item *value, why error) error {
	bind := binding{method: policy.MethodAny, operation: plain("path " + template), place: d.place(item)}
	return d.leaveUnder(bind, template, item, nil, demand{}, why)
}

// field adds the operations of one field of a path.
func (d *document) field(template, key string, item, op *value) error {
	if key != "additionalOperations" {
		return d.pathOperation(template, key, item, op)
	}
	if !d.visit(op) {
		return d.stopped()
	}
	if op.kind != object {
		return d.unknownPath(template, op, errors.New("its additionalOperations are not an object"))
	}
	for i, method := range op.keys {
		// Here the key is the method, in its own case.
		if err := d.operationOf(binding{method: method}, template, item, op.items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) pathOperation(template, key string, item, op *value) error {
	bind := binding{method: strings.ToUpper(key)}
	if key == anyMethod {
		bind.method = policy.MethodAny
		return d.operationOf(bind, template, item, op)
	}
	if key == strings.ToLower(key) {
		return d.operationOf(bind, template, item, op)
	}
	if !d.visit(op) {
		return d.stopped()
	}
	bind.operation, bind.place = plain(bind.method+" "+template), d.place(op)
	return d.leaveUnder(bind, template, item, nil, demand{}, fmt.Errorf("%q is not an operation of OpenAPI, whose methods are in lower case", plain(key)))
}

// operationOf adds the routes of an operation.
func (d *document) operationOf(bind binding, template string, item, op *value) error {
	if !d.visit(item) || !d.visit(op) {
		return d.stopped()
	}
	bind.operation = plain(cmp.Or(op.str("operationId"), bind.method+" "+template))
	bind.place = d.place(op)
	if op.kind != object || op.get("$ref") != nil {
		return d.leaveUnder(bind, template, item, nil, demand{}, fmt.Errorf("the value of %s is not an operation of OpenAPI", bind.method))
	}
	if err := d.operation(); err != nil {
		return err
	}
	if twice := op.twice(); twice != "" {
		return fmt.Errorf("%s: %s has %q twice: remove one of them", bind.place, bind.operation, plain(twice))
	}
	dem := d.demand(bind, item, op)
	template, err := d.greedy(template, item, op)
	if err != nil {
		return err
	}
	tail, closed, err := openapiPath(&d.naming, template)
	if err != nil {
		return d.leaveUnder(bind, template, item, op, dem, err)
	}
	bind.closed, bind.star = closed, "**"
	bases, err := d.bases(item, op)
	if err != nil {
		return err
	}
	for _, base := range bases {
		bind.template = base + template
		prefix, err := decodeLiteral(base)
		if err != nil {
			err = d.leave(bind, dem, err)
		} else {
			bind.pattern = prefix + tail
			err = d.add(bind, dem)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leaveUnder leaves an operation out under each of its base paths.
func (d *document) leaveUnder(bind binding, template string, item, op *value, dem demand, why error) error {
	bases, err := d.bases(item, op)
	if err != nil {
		return err
	}
	_, _, err = openapiPath(&d.naming, template)
	bind.star, bind.exact = "**", err == nil
	for _, base := range bases {
		bind.template = base + "/" + strings.TrimPrefix(template, "/")
		if err := d.leave(bind, dem, why); err != nil {
			return err
		}
	}
	return nil
}

// greedy writes a variable as {name=*/**} if its parameter allows slashes in its
// value.
func (d *document) greedy(template string, item, op *value) (string, error) {
	for _, of := range []*value{item, op} {
		list := of.get("parameters")
		if list == nil {
			continue
		}
		if !d.visit(list) {
			return "", d.stopped()
		}
		for _, p := range list.items {
			p, err := d.parameter(p)
			if err != nil {
				return "", err
			}
			if p != nil && p.str("in") == "path" && (p.is("x-ms-skip-url-encoding") || d.reserved && p.is("allowReserved")) {
				name := "{" + p.str("name")
				template = strings.ReplaceAll(template, name+"}", name+"=*/**}")
			}
		}
	}
	return template, nil
}

// parameter follows the references of a parameter. It returns nil if one of them
// leads nowhere.
func (d *document) parameter(p *value) (*value, error) {
	for hops := 0; p.str("$ref") != "" && hops < maxHops; hops++ {
		if !d.visit(p) {
			return nil, d.stopped()
		}
		target, err := d.lookUp(p.str("$ref"))
		if err != nil {
			d.warnOnce(p, p.str("$ref"), "the parameter %s is elsewhere, and not read: if it is part of a path, its value may have no slash")
			return nil, d.stopped()
		}
		p = target
	}
	return p, nil
}
