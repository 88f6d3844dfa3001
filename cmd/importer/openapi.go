package importer

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// OpenAPIOptions configure the import of an OpenAPI document.
type OpenAPIOptions struct {
	Shared
	// Name is the document's name in places and in the table's text, usually the
	// name of its file. Default: openapi.
	Name string
	// ScopesExtension is the field of operations and paths that lists scopes if
	// security can't, because API keys have none before OpenAPI 3.1. These scopes
	// are demanded in addition to security. Default: x-required-scopes.
	ScopesExtension string
}

// document reads an OpenAPI document.
type document struct {
	*builder
	name, extension string
	root            *value
	// swagger is true for version 2.0, roles if keys have roles (from 3.1), and
	// reserved if values in paths may have slashes (from 3.2).
	swagger, roles, reserved bool

	// security and servers are those of the whole document.
	security, servers *value

	schemes  map[string]*scheme
	demands  map[*value]demand   // of security lists
	prefixes map[*value][]string // of servers lists
	unknown  map[string]bool     // schemes and scopes that were warned about
	visited  int
	merged   *value // the first value looked at that has a merge key
}

// visit counts the items of a value before they are visited. If it returns false,
// the import has to fail with the error of stopped.
func (d *document) visit(v *value) bool {
	if v.merge > 0 && d.merged == nil {
		d.merged = v
	}
	d.visited += 1 + len(v.items)
	return d.visited <= MaxNodes && d.merged == nil
}

// stopped returns an error after visit has returned false, and nil before.
func (d *document) stopped() error {
	switch {
	case d.merged != nil:
		return fmt.Errorf("line %d: %w", d.merged.merge, errMerge)
	case d.visited > MaxNodes:
		return tooLarge()
	}
	return nil
}

// OpenAPI imports an OpenAPI 3.1 or 3.0 or a Swagger 2.0 document, in JSON or
// YAML. Each operation becomes a route under each base path of its servers.
func OpenAPI(data []byte, o OpenAPIOptions) (*Result, error) {
	b, err := newBuilder(o.Shared, "", "")
	if err != nil {
		return nil, err
	}
	root, err := parseTree(data)
	if err != nil {
		return nil, err
	}
	d := &document{
		builder: b, root: root,
		name: cmp.Or(o.Name, "openapi"), extension: cmp.Or(o.ScopesExtension, "x-required-scopes"),
		schemes: map[string]*scheme{}, demands: map[*value]demand{}, prefixes: map[*value][]string{}, unknown: map[string]bool{},
	}
	if err := d.version(); err != nil {
		return nil, err
	}
	d.security, d.servers = root.get("security"), root.get("servers")
	if err := d.readSchemes(); err != nil {
		return nil, err
	}
	if err := d.paths("paths"); err != nil {
		return nil, err
	}
	// Azure's paths that differ only in their queries.
	if err := d.paths("x-ms-paths"); err != nil {
		return nil, err
	}
	if err := d.stopped(); err != nil {
		return nil, err
	}
	if b.operations == 0 {
		return nil, errors.New("the document has no operation under paths")
	}
	if err := b.closeLeftOut(); err != nil {
		return nil, err
	}
	return b.result(d.name), nil
}

func (d *document) version() error {
	if d.root.kind != object {
		return errors.New("this is not an OpenAPI document: it must be an object with the field openapi or swagger")
	}
	if !d.visit(d.root) {
		return d.stopped()
	}
	if key := d.root.twice(); key != "" {
		return fmt.Errorf("%q occurs twice in the document: remove one of them", plain(key))
	}
	// YAML takes 2.0 and 3.1 without quotes for numbers.
	var version string
	for _, field := range []string{"openapi", "swagger"} {
		if v := d.root.get(field); v != nil {
			version = field + " " + v.text + "."
		}
	}
	switch {
	case strings.HasPrefix(version, "swagger 2."):
		d.swagger = true
	case strings.HasPrefix(version, "openapi 3.0."):
	case strings.HasPrefix(version, "openapi 3.1."), strings.HasPrefix(version, "openapi 3.2."):
		d.roles, d.reserved = true, strings.HasPrefix(version, "openapi 3.2.")
	default:
		return fmt.Errorf("version %q can't be imported: use openapi 3.1 or 3.0, or swagger 2.0", plain(strings.TrimSuffix(version, ".")))
	}
	return nil
}

// maxHops bounds how many references are followed, one to another.
const maxHops = 16

// lookUp finds the value that a reference within the document names.
func (d *document) lookUp(ref string) (*value, error) {
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("%q is not in this document: bundle it first", plain(ref))
	}
	v := d.root
	unescape := strings.NewReplacer("~1", "/", "~0", "~", "%7B", "{", "%7D", "}", "%7b", "{", "%7d", "}")
	for part := range strings.SplitSeq(pointer, "/") {
		if d.visited++; d.visited > MaxNodes {
			return nil, tooLarge()
		}
		key := unescape.Replace(part)
		if v.merge > 0 && d.merged == nil {
			d.merged = v
		}
		if v = v.get(key); v == nil {
			return nil, fmt.Errorf("%q is not in the document", plain(ref))
		}
	}
	return v, nil
}

func (d *document) place(v *value) string {
	return fmt.Sprintf("%s:%d", plain(d.name), v.line)
}
