package importer

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// oauthScopes is Google's option of services. Any one of its scopes is enough for
// some of the methods.
const oauthScopes = "google.api.oauth_scopes"

// options are the extensions that describe what an operation needs. Those that
// the description lacks are nil.
type options struct {
	scopesIn          []protoreflect.ExtensionType
	authIn            protoreflect.ExtensionType
	needsIn, listedIn protoreflect.ExtensionType
}

// The messages that may carry the options.
var (
	ofOperations = []protoreflect.FullName{"google.protobuf.MethodOptions", "google.protobuf.ServiceOptions"}
	ofScopes     = []protoreflect.FullName{"google.protobuf.EnumValueOptions"}
)

// findOptions looks up the options by the names in o, or else by the default
// names.
func findOptions(o ProtoOptions, files *protoregistry.Files) (opts options, err error) {
	find := func(asked string, of []protoreflect.FullName, kinds []protoreflect.Kind, known ...string) (found []protoreflect.ExtensionType) {
		if asked != "" {
			known = []string{asked}
		}
		for _, name := range known {
			xt, problem := dynamicpb.NewTypes(files).FindExtensionByName(protoreflect.FullName(name))
			switch {
			case problem != nil && asked == "":
				continue
			case problem != nil:
				problem = fmt.Errorf("it is not declared in the description: give its full name, for example package.option")
			case !slices.Contains(of, xt.TypeDescriptor().ContainingMessage().FullName()):
				problem = fmt.Errorf("it is an option of %s: name an option of %s", xt.TypeDescriptor().ContainingMessage().FullName(), of)
			case !slices.Contains(kinds, xt.TypeDescriptor().Kind()):
				problem = fmt.Errorf("it holds a %s: name an option of the kind %s", xt.TypeDescriptor().Kind(), kinds)
			}
			if problem != nil && err == nil {
				err = fmt.Errorf("the option %q: %w", plain(name), problem)
			}
			found = append(found, xt)
		}
		return found
	}
	one := func(found []protoreflect.ExtensionType) protoreflect.ExtensionType {
		if len(found) == 0 {
			return nil
		}
		return found[0]
	}
	names := []protoreflect.Kind{protoreflect.EnumKind, protoreflect.StringKind}
	flag := []protoreflect.Kind{protoreflect.BoolKind}
	opts.scopesIn = find(o.ScopesOption, ofOperations, names, "clarifai.auth.util.cl_depending_scopes", oauthScopes)
	opts.authIn = one(find(o.AuthOption, ofOperations, append(names, flag...), "clarifai.auth.util.cl_auth_type"))
	opts.needsIn = one(find(o.ScopeNeedsOption, ofScopes, names, "clarifai.auth.scope.clarifai_depending_scopes"))
	opts.listedIn = one(find(o.ScopeListedOption, ofScopes, flag, "clarifai.auth.scope.clarfai_exposed"))
	return opts, err
}

// FindExtensionByNumber resolves only the options in o, so that no other extension
// of a description is ever built.
func (o *options) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	for _, xt := range append(slices.Clone(o.scopesIn), o.authIn, o.needsIn, o.listedIn) {
		if xt == nil {
			continue
		}
		if d := xt.TypeDescriptor(); d.Number() == number && d.ContainingMessage().FullName() == message {
			return xt, nil
		}
	}
	return nil, protoregistry.NotFound
}

// FindExtensionByName implements the resolver's interface. The wire format has
// only numbers.
func (o *options) FindExtensionByName(protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}

// parsed are the options of one element.
type parsed struct {
	protoreflect.Message
	// broken is true if the options can't be read.
	broken bool
}

// carries reports whether xt is set. It is false for a message that xt doesn't
// extend.
func (p parsed) carries(xt protoreflect.ExtensionType) bool {
	field := xt.TypeDescriptor()
	return field.ContainingMessage().FullName() == p.Descriptor().FullName() && p.Has(field)
}

// parse reads options again, now that their extensions are known.
func (o *options) parse(m protoreflect.ProtoMessage) parsed {
	again := m.ProtoReflect().New()
	wire, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
	if err == nil {
		err = proto.UnmarshalOptions{AllowPartial: true, Resolver: o, RecursionLimit: MaxDepth}.Unmarshal(wire, again.Interface())
	}
	return parsed{again, err != nil}
}
