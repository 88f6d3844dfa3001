package importer

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// ProtoOptions configure the import of a protobuf description.
type ProtoOptions struct {
	Shared
	// Sources are the folders to search for files and their imports, in this
	// order (protoc's --proto_path). The common files of google/protobuf and
	// google/api need no folder.
	Sources []fs.FS
	// Files are the files whose services are imported, by the names that import
	// lines use. With a DescriptorSet, none means all of its files.
	Files []string
	// DescriptorSet replaces Sources with a compiled description: a
	// FileDescriptorSet written by buf build or protoc --descriptor_set_out.
	DescriptorSet []byte

	// ScopesOption is the full name of the option of methods or services that
	// lists the scopes of an operation: an enum or a string, repeated or
	// separated by commas. Default: clarifai.auth.util.cl_depending_scopes and
	// google.api.oauth_scopes.
	ScopesOption string
	// AuthOption is the full name of the option of methods or services that
	// names the kind of credential of an operation. Default:
	// clarifai.auth.util.cl_auth_type.
	AuthOption string
	// Auth maps each value of AuthOption to what a route accepts. Default:
	// [ClarifaiAuth]. Routes with other values accept nobody.
	Auth map[string][]string
	// ScopeNeedsOption is the full name of the option of enum values that lists
	// the scopes that a scope needs. Default:
	// clarifai.auth.scope.clarifai_depending_scopes.
	ScopeNeedsOption string
	// ScopeListedOption is the full name of the bool option of enum values
	// without which a scope is hidden. Default:
	// clarifai.auth.scope.clarfai_exposed (so spelled).
	ScopeListedOption string
	// ScopeSeparator replaces the _ of enum values in the names of scopes.
	// Default: a colon.
	ScopeSeparator string
}

// ClarifaiAuth returns what the values of clarifai.auth.types.AuthType accept.
func ClarifaiAuth() map[string][]string {
	return map[string][]string{
		"KeyAuth":          {"app_key", "pat", "session"},
		"PATAuth":          {"pat", "session"},
		"SessionTokenAuth": {"session"},
		"NoAuth":           {"public"},
	}
}

// Clarifai's fields, which no other API is likely to have.
const (
	clarifaiOwner = "user_app_id.user_id"
	clarifaiApp   = "user_app_id.app_id"
)

// Proto imports a protobuf description. Each method becomes a gRPC route, and a
// route for each of its google.api.http bindings. The table also lists where
// queries, bodies and messages name the owner and the app.
func Proto(ctx context.Context, o ProtoOptions) (*Result, error) {
	b, err := newBuilder(o.Shared, clarifaiOwner, clarifaiApp)
	if err != nil {
		return nil, err
	}
	set, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	d, err := newDescription(o, b, set)
	if err != nil {
		return nil, err
	}
	files, err := d.selected(o.Files)
	if err != nil {
		return nil, err
	}
	if err := d.catalogue(); err != nil {
		return nil, err
	}
	d.owners.learn(d, files)
	var names []string
	for _, file := range files {
		names = append(names, file.Path())
		if err := d.services(file.Services()); err != nil {
			return nil, err
		}
	}
	if b.operations == 0 {
		return nil, fmt.Errorf("no service with a method in %s: name the files that declare the services", plain(strings.Join(names, ", ")))
	}
	if more := len(names) - 3; more > 0 {
		names = append(names[:3], fmt.Sprintf("%d more files", more))
	}
	if err := b.closeLeftOut(); err != nil {
		return nil, err
	}
	res := b.result(strings.Join(names, ", "))
	d.owners.into(res.Table)
	if res.Descriptors, err = d.descriptors(set, res.Table.OwnerMessage); err != nil {
		return nil, err
	}
	return res, nil
}

// defaults fills in missing options.
func (o *ProtoOptions) defaults() (accept map[string]policy.Accept, err error) {
	if o.ScopeSeparator == "" {
		o.ScopeSeparator = ":"
	}
	if policy.CheckScopeName("a"+o.ScopeSeparator+"b") != nil {
		return nil, fmt.Errorf("the separator %q can't stand in the name of a scope: use one of : . - _", o.ScopeSeparator)
	}
	if o.Auth == nil {
		o.Auth = ClarifaiAuth()
	}
	accept = map[string]policy.Accept{}
	for name, words := range o.Auth {
		if accept[name], err = policy.ParseAccept(words); err != nil {
			return nil, fmt.Errorf("what %s accepts: %w", name, err)
		}
	}
	return accept, nil
}
