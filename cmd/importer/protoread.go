package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// description reads the services of a description.
type description struct {
	*builder
	options
	files  *protoregistry.Files
	order  []string // of files
	owners *owners

	accept    map[string]policy.Accept
	separator string
}

func newDescription(o ProtoOptions, b *builder, set *descriptorpb.FileDescriptorSet) (*description, error) {
	accept, err := o.defaults()
	if err != nil {
		return nil, err
	}
	// Files that the set lacks don't matter unless they declare what an operation
	// needs. Then nobody is accepted.
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("reading the descriptors: %w", err)
	}
	d := &description{builder: b, files: files, owners: newOwners(b), accept: accept, separator: o.ScopeSeparator}
	if d.options, err = findOptions(o, files); err != nil {
		return nil, err
	}
	for _, file := range set.File {
		d.order = append(d.order, file.GetName())
	}
	return d, nil
}

// selected returns the files to import.
func (d *description) selected(paths []string) ([]protoreflect.FileDescriptor, error) {
	all := len(paths) == 0
	if all {
		paths = d.order
	}
	var files []protoreflect.FileDescriptor
	for _, path := range paths {
		file, err := d.files.FindFileByPath(path)
		if err != nil {
			return nil, fmt.Errorf("%s is not in the descriptor set: name files like its imports do", plain(path))
		}
		if !all || file.Services().Len() > 0 {
			files = append(files, file)
		}
	}
	return files, nil
}

// catalogue declares the scopes that are values of an enum, except the one that
// means none.
func (d *description) catalogue() error {
	for _, xt := range d.scopesIn {
		enum := xt.TypeDescriptor().Enum()
		if enum == nil {
			continue
		}
		for i := range enum.Values().Len() {
			v := enum.Values().Get(i)
			if v.Number() == 0 || v != enum.Values().ByNumber(v.Number()) {
				continue
			}
			s := d.scope(d.scopeName(v), v.ParentFile().SourceLocations().ByDescriptor(v).LeadingComments)
			opts := d.parse(v.Options())
			if d.listedIn != nil {
				s.Hidden = !opts.Get(d.listedIn.TypeDescriptor()).Bool()
			}
			if d.needsIn != nil {
				needs, unnamed := d.names(opts, d.needsIn)
				if unnamed != "" {
					d.warn(d.place(v), "%s needs %s, which is not a scope: ignored", s.Name, unnamed)
				}
				s.Needs = sortedSet(needs)
			}
			if s.Name == policy.ScopeAll && len(s.Needs) > 0 {
				d.warn(d.place(v), "%s grants every scope, and so needs none: its needs are ignored", s.Name)
				s.Needs = nil
			}
			size := len(s.Name) + len(s.Description)
			for _, need := range s.Needs {
				size += len(need)
				d.scope(need, "")
			}
			if err := d.spend(size); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *description) services(services protoreflect.ServiceDescriptors) error {
	for i := range services.Len() {
		service := services.Get(i)
		ofService := d.stated(service)
		for j := range service.Methods().Len() {
			if err := d.method(ofService, service.Methods().Get(j)); err != nil {
				return err
			}
		}
	}
	return nil
}

// method adds the routes of a method. service has the demands of its service.
func (d *description) method(service stated, m protoreflect.MethodDescriptor) error {
	if err := d.operation(); err != nil {
		return err
	}
	bind := binding{
		endpoint:  "/" + string(m.Parent().FullName()) + "/" + string(m.Name()),
		operation: plain(string(m.Name())),
		place:     d.place(m),
	}
	dem := d.demand(d.stated(m).or(service), bind)
	grpc := bind
	grpc.method, grpc.pattern, grpc.endpoint = policy.MethodGRPC, bind.endpoint, ""
	if err := d.add(grpc, dem); err != nil {
		return err
	}
	if err := d.owners.method(bind, m); err != nil {
		return err
	}
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	for _, r := range append([]*annotations.HttpRule{rule}, rule.AdditionalBindings...) {
		if err := d.http(bind, m, r, dem, nil); err != nil {
			return err
		}
		if r == rule {
			continue
		}
		for _, nested := range r.AdditionalBindings {
			if err := d.nested(bind, m, nested, dem); err != nil {
				return err
			}
		}
	}
	return nil
}

// nested leaves out bindings inside additional bindings.
func (d *description) nested(bind binding, m protoreflect.MethodDescriptor, rule *annotations.HttpRule, dem demand) error {
	err := d.http(bind, m, rule, dem, errors.New("it has additional_bindings inside of others, which google.api.http doesn't allow"))
	for _, r := range rule.AdditionalBindings {
		if err == nil {
			err = d.nested(bind, m, r, dem)
		}
	}
	return err
}

// http adds the route of one HTTP binding. It leaves the binding out if why is not
// nil.
func (d *description) http(bind binding, m protoreflect.MethodDescriptor, rule *annotations.HttpRule, dem demand, why error) error {
	var template string
	switch p := rule.Pattern.(type) {
	case *annotations.HttpRule_Get:
		bind.method, template = "GET", p.Get
	case *annotations.HttpRule_Put:
		bind.method, template = "PUT", p.Put
	case *annotations.HttpRule_Post:
		bind.method, template = "POST", p.Post
	case *annotations.HttpRule_Delete:
		bind.method, template = "DELETE", p.Delete
	case *annotations.HttpRule_Patch:
		bind.method, template = "PATCH", p.Patch
	case *annotations.HttpRule_Custom:
		bind.method, template = strings.ToUpper(p.Custom.GetKind()), p.Custom.GetPath()
	default:
		d.warn(bind.place, "%s has a binding without a path: left out", bind.operation)
		return nil
	}
	bind.template, bind.star = template, "*"
	if err := d.owners.binding(bind, m, template, rule.GetBody()); err != nil {
		return err
	}
	var err error
	if bind.pattern, bind.closed, err = httpTemplate(&d.naming, template); err == nil {
		bind.exact, err = true, why
	}
	if err != nil {
		return d.leave(bind, dem, err)
	}
	return d.add(bind, dem)
}

// demand returns what a method requires by its own options, or else by those of
// its service.
func (d *description) demand(s stated, bind binding) demand {
	if !s.byScopes && !s.byAuth {
		return d.undemanded(bind.operation, bind.place)
	}
	dem := demand{scopes: sortedSet(slices.Clone(s.scopes)), accept: policy.AcceptAny}
	if s.byAuth {
		accept, known := d.accept[s.auth]
		if !known {
			d.warn(bind.place, "%s asks for %s, which no --auth explains: accept none", bind.operation, s.auth)
			return demand{scopes: dem.scopes, note: bind.operation + " asks for " + s.auth + "."}
		}
		dem.accept = accept
	}
	switch {
	case s.unnamed != "":
		d.warn(bind.place, "%s demands a scope without a name (%s): accept none", bind.operation, s.unnamed)
		return demand{scopes: dem.scopes, note: bind.operation + " demands a scope without a name (" + s.unnamed + ")."}
	case dem.accept.Public() && len(dem.scopes) > 0:
		d.warn(bind.place, "%s is public by %s, but demands scopes: the scopes are demanded", bind.operation, s.auth)
		dem.accept = policy.AcceptAny
	}
	return dem
}

// stated are the demands in the options of one method or service.
type stated struct {
	scopes []string
	// unnamed is a scope without a name, or empty.
	unnamed          string
	auth             string
	byScopes, byAuth bool
}

func (d *description) stated(of protoreflect.Descriptor) stated {
	var s stated
	opts := d.parse(of.Options())
	if opts.broken {
		return stated{byScopes: true, unnamed: "in an option that can't be read"}
	}
	for _, xt := range d.scopesIn {
		if !opts.carries(xt) {
			continue
		}
		s.byScopes = true
		names, unnamed := d.names(opts, xt)
		s.scopes = append(s.scopes, names...)
		s.unnamed = max(s.unnamed, unnamed)
		if xt.TypeDescriptor().FullName() == oauthScopes && len(names) > 1 {
			d.warn(d.place(of), "%s lists %d scopes, any of which may be enough for some of its methods: each method demands all of them",
				string(of.Name()), len(names))
		}
	}
	if d.authIn != nil && opts.carries(d.authIn) {
		s.byAuth = true
		s.auth = d.text(d.authIn, opts.Get(d.authIn.TypeDescriptor()))
	}
	return s
}

// or fills in the demands of the service if the method states none.
func (s stated) or(service stated) stated {
	if !s.byScopes {
		s.scopes, s.unnamed, s.byScopes = service.scopes, service.unnamed, service.byScopes
	}
	if !s.byAuth {
		s.auth, s.byAuth = service.auth, service.byAuth
	}
	return s
}

// names reads the names of scopes in an option. unnamed is a value without a name:
// the value 0 of an enum, or one that the description doesn't name.
func (d *description) names(opts parsed, xt protoreflect.ExtensionType) (names []string, unnamed string) {
	field := xt.TypeDescriptor()
	var values []protoreflect.Value
	if v := opts.Get(field); field.IsList() {
		for i := range v.List().Len() {
			values = append(values, v.List().Get(i))
		}
	} else if opts.Has(field) {
		values = append(values, v)
	}
	for _, v := range values {
		if field.Enum() == nil {
			names = append(names, strings.FieldsFunc(v.String(), func(r rune) bool { return r == ',' || r == ' ' })...)
			continue
		}
		value := field.Enum().Values().ByNumber(v.Enum())
		if v.Enum() == 0 || value == nil {
			unnamed = d.text(xt, v)
			continue
		}
		names = append(names, d.scopeName(value))
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" }), unnamed
}

func (d *description) scopeName(v protoreflect.EnumValueDescriptor) string {
	return strings.ReplaceAll(string(v.Name()), "_", d.separator)
}

// text returns the value of an option by its name in messages and in the map of
// kinds.
func (d *description) text(xt protoreflect.ExtensionType, v protoreflect.Value) string {
	if enum := xt.TypeDescriptor().Enum(); enum != nil {
		if value := enum.Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name())
		}
		return fmt.Sprintf("%d (of %s)", v.Enum(), enum.FullName())
	}
	return v.String()
}

// place returns file and line, or the full name if the description has no lines.
func (d *description) place(of protoreflect.Descriptor) string {
	file := of.ParentFile()
	loc := file.SourceLocations().ByDescriptor(of)
	if loc.Path == nil {
		return plain(string(of.FullName()))
	}
	return fmt.Sprintf("%s:%d", plain(file.Path()), loc.StartLine+1)
}
