package importer

import (
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// scheme is a security scheme.
type scheme struct {
	// scoped is true if the list of a requirement holds scopes by specification,
	// as in OAuth 2 and OpenID Connect.
	scoped bool
	// declared are the scopes of its flows, or nil if the document declares no scopes.
	declared map[string]bool
}

// readSchemes reads the security schemes, and declares their scopes.
func (d *document) readSchemes() error {
	components := d.root.get("components")
	if components != nil && !d.visit(components) {
		return d.stopped()
	}
	all := components.get("securitySchemes")
	if d.swagger {
		all = d.root.get("securityDefinitions")
	}
	if all == nil || all.kind != object {
		return nil
	}
	if !d.visit(all) {
		return d.stopped()
	}
	for i, name := range all.keys {
		v := all.items[i]
		for hops := 0; v.str("$ref") != "" && hops < maxHops; hops++ {
			target, err := d.lookUp(v.str("$ref"))
			if err != nil {
				d.warn(d.place(v), "the security scheme %s refers to something else: %v", name, err)
				break
			}
			v = target
		}
		if !d.visit(v) {
			return d.stopped()
		}
		s := new(scheme)
		d.schemes[name] = s
		switch v.str("type") {
		case "openIdConnect":
			s.scoped = true
		case "oauth2":
			s.scoped = true
			s.declared = map[string]bool{}
			flows := []*value{v}
			if f := v.get("flows"); !d.swagger && f != nil && f.kind == object {
				flows = f.items
			}
			for _, flow := range flows {
				if err := d.flow(s, flow.get("scopes")); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// flow declares the scopes of one OAuth 2 flow.
func (d *document) flow(s *scheme, scopes *value) error {
	if scopes == nil || scopes.kind != object {
		return nil
	}
	if !d.visit(scopes) {
		return d.stopped()
	}
	for i, name := range scopes.keys {
		if name == "" || d.swagger && strings.HasPrefix(name, "x-") {
			continue
		}
		s.declared[name] = true
		declared := d.scope(name, scopes.items[i].text)
		if err := d.spend(len(name) + len(declared.Description)); err != nil {
			return err
		}
	}
	return nil
}

// demand returns what an operation requires by its own security, or else by the
// document's, and by the extension.
func (d *document) demand(bind binding, item, op *value) demand {
	security := op.get("security")
	if security == nil {
		security = d.security
	}
	var dem demand
	if security != nil {
		dem = d.ofSecurity(security)
	}
	if ofPath := item.get("security"); ofPath != nil && op.get("security") == nil {
		d.warn(bind.place, "%s is under a path with security, which OpenAPI doesn't know there: that is demanded too", bind.operation)
		if security == nil {
			dem.accept = policy.AcceptAny
		}
		dem, security = both(dem, d.ofSecurity(ofPath)), ofPath
	}
	extra, stated, ok := d.extensions(bind, item, op)
	switch {
	case !ok:
		return demand{note: bind.operation + " has " + d.extension + " in a form that can't be read."}
	case security == nil && !stated:
		return d.undemanded(bind.operation, bind.place)
	case security == nil:
		return demand{scopes: extra, accept: policy.AcceptAny}
	case !stated || dem.accept == policy.AcceptNone:
		return dem
	}
	if dem.accept.Public() {
		d.warn(bind.place, "%s is public by its security, but has %s: that is demanded", bind.operation, d.extension)
	}
	return both(dem, demand{scopes: extra, accept: policy.AcceptAny})
}

// extensions returns the scopes that the extension lists in the path and the
// operation.
func (d *document) extensions(bind binding, item, op *value) (scopes []string, stated, ok bool) {
	for _, of := range []*value{item, op} {
		v := of.get(d.extension)
		if v == nil {
			continue
		}
		stated = true
		if !d.visit(v) {
			return nil, true, false
		}
		list, isList := v.strings()
		if v.kind == text {
			list, isList = strings.FieldsFunc(v.text, func(r rune) bool { return r == ',' || r == ' ' }), true
		}
		if !isList || slices.Contains(list, "") {
			d.warn(d.place(v), "%s of %s has to be a list of texts: accept none", d.extension, bind.operation)
			return nil, true, false
		}
		scopes = append(scopes, list...)
	}
	return sortedSet(scopes), stated, true
}

// ofSecurity returns what a list of requirements demands. The requirements are
// alternatives, which a table can't express.
func (d *document) ofSecurity(list *value) demand {
	if dem, known := d.demands[list]; known {
		return dem
	}
	dem := d.readSecurity(list)
	d.demands[list] = dem
	return dem
}

func (d *document) readSecurity(list *value) demand {
	if list.kind != array || !d.visit(list) {
		d.warn(d.place(list), "security has to be a list: accept none")
		return demand{note: "Its security can't be read."}
	}
	var alternatives [][]string
	optional := len(list.items) == 0
	for _, requirement := range list.items {
		scopes, ok := d.requirement(requirement)
		switch {
		case !ok:
			d.warn(d.place(requirement), "a security requirement has to be an object of schemes, each with a list of texts: accept none")
			return demand{note: "Its security can't be read."}
		case len(requirement.keys) == 0:
			optional = true
		default:
			alternatives = append(alternatives, scopes)
		}
	}
	if len(alternatives) == 0 {
		return demand{accept: policy.AcceptPublic}
	}
	if optional {
		d.warn(d.place(list), "a credential is optional here ({}), which a table can't express: one is demanded")
	}
	all := sortedSet(slices.Concat(alternatives...))
	if slices.ContainsFunc(alternatives, func(scopes []string) bool { return !slices.Equal(scopes, all) }) {
		d.warn(d.place(list), "%d alternatives demand different scopes, which a table can't say: all of %s are demanded",
			len(alternatives), strings.Join(all, " "))
	}
	return demand{scopes: all, accept: policy.AcceptAny}
}

// requirement returns what one security requirement demands: the scopes of all of
// its schemes.
func (d *document) requirement(v *value) (scopes []string, ok bool) {
	if v.kind != object || !d.visit(v) {
		return nil, false
	}
	for i, name := range v.keys {
		if !d.visit(v.items[i]) {
			return nil, false
		}
		list, isList := v.items[i].strings()
		if !isList || slices.Contains(list, "") {
			return nil, false
		}
		s := d.schemes[name]
		switch {
		case s == nil:
			d.warnOnce(v, name, "the security scheme %s is not declared; its list is demanded nevertheless")
		case !s.scoped && len(list) > 0 && !d.roles:
			d.warnOnce(v, name, "the security scheme %s has roles, which came with OpenAPI 3.1; they are demanded nevertheless")
		}
		for _, scope := range list {
			if s != nil && s.declared != nil && !s.declared[scope] {
				d.warnOnce(v, scope, "the scope %s is demanded, but not declared by its security scheme")
			}
		}
		scopes = append(scopes, list...)
	}
	return sortedSet(scopes), true
}

func (d *document) warnOnce(v *value, name, format string) {
	if !d.unknown[name] {
		d.unknown[name] = true
		d.warn(d.place(v), format, name)
	}
}
