package importer

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// OpenAPIOptions say how to import an OpenAPI document.
type OpenAPIOptions struct {
	Shared
	// Name is what the document is called in places and in the table's text;
	// usually the name of its file. Default: openapi.
	Name string
	// ScopesExtension is the field of operations and paths that lists scopes
	// where security can't: API keys have none before OpenAPI 3.1. What it
	// lists is demanded beside what security says. Default:
	// x-required-scopes.
	ScopesExtension string
}

// document reads an OpenAPI document.
type document struct {
	*builder
	name, extension string
	root            *value
	// swagger says that this is version 2.0, roles that keys have roles (from
	// 3.1).
	swagger, roles bool

	// security and servers are those of the whole document.
	security, servers *value

	schemes  map[string]*scheme
	demands  map[*value]demand   // of security lists
	prefixes map[*value][]string // of servers lists
	unknown  map[string]bool     // schemes and scopes that were warned about
	visited  int
}

// visit counts the items of a value before they are gone through. False says
// that it was too many, and that the import is about to fail.
func (d *document) visit(v *value) bool {
	d.visited += 1 + len(v.items)
	return d.visited <= MaxNodes
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
	if err := d.paths(); err != nil {
		return nil, err
	}
	if d.visited > MaxNodes {
		return nil, tooLarge()
	}
	if b.operations == 0 {
		return nil, errors.New("the document has no operation under paths")
	}
	return b.result(d.name), nil
}

func (d *document) version() error {
	if d.root.kind != object {
		return errors.New("this is no OpenAPI document: it has to be an object with the field openapi, or swagger")
	}
	if key := d.root.twice(); key != "" {
		return fmt.Errorf("%q stands twice in the document: take one of them away", plain(key))
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
		d.roles = true
	default:
		return fmt.Errorf("%q is no version that can be imported: use openapi 3.1 or 3.0, or swagger 2.0", plain(strings.TrimSuffix(version, ".")))
	}
	return nil
}

// notOperations are the fields of a path that are no operation.
var notOperations = []string{"$ref", "summary", "description", "servers", "parameters"}

// paths adds the routes of all operations.
func (d *document) paths() error {
	paths := d.root.get("paths")
	if paths == nil {
		return nil // 3.1 allows it: a document of webhooks only
	}
	if paths.kind != object {
		return fmt.Errorf("%s: paths has to be an object", d.place(paths))
	}
	if key := paths.twice(); key != "" {
		return fmt.Errorf("%s: the path %q stands twice: join the two", d.place(paths), plain(key))
	}
	for i, template := range paths.keys {
		if strings.HasPrefix(template, "x-") {
			continue
		}
		if err := d.pathItem(template, paths.items[i], nil); err != nil {
			return err
		}
	}
	return nil
}

// pathItem adds the operations of one path. A $ref brings those of another
// place along, beside which its own stand; from are the places it was referred
// to from.
func (d *document) pathItem(template string, item *value, from []*value) error {
	if item.kind != object {
		d.warn(d.place(item), "%s is no object: left out", template)
		return nil
	}
	if !d.visit(item) {
		return tooLarge()
	}
	if key := item.twice(); key != "" {
		return fmt.Errorf("%s: %s has %q twice: take one of them away", d.place(item), plain(template), plain(key))
	}
	for i, key := range item.keys {
		if slices.Contains(notOperations, key) || strings.HasPrefix(key, "x-") {
			continue
		}
		if err := d.pathOperation(template, key, item, item.items[i]); err != nil {
			return err
		}
	}
	ref := item.get("$ref")
	if ref == nil {
		return nil
	}
	target, err := d.lookUp(ref.text)
	if from = append(from, item); err == nil && (slices.Contains(from, target) || len(from) > maxHops) {
		err = errors.New("it refers to itself, or over too many places")
	}
	if err != nil {
		d.warn(d.place(ref), "%s is left out where it refers to something else: %v", template, err)
		return nil
	}
	return d.pathItem(template, target, from)
}

func (d *document) pathOperation(template, key string, item, op *value) error {
	if !d.visit(item) || !d.visit(op) {
		return tooLarge()
	}
	bind := binding{
		method:    strings.ToUpper(key),
		operation: plain(cmp.Or(op.str("operationId"), strings.ToUpper(key)+" "+template)),
		place:     d.place(op),
	}
	if key != strings.ToLower(key) || op.kind != object || op.get("$ref") != nil {
		d.warn(bind.place, "%s: %q is no operation of OpenAPI: left out", template, key)
		return nil
	}
	if err := d.operation(); err != nil {
		return err
	}
	if twice := op.twice(); twice != "" {
		return fmt.Errorf("%s: %s has %q twice: take one of them away", bind.place, bind.operation, plain(twice))
	}
	dem := d.demand(bind, item, op)
	tail, closed, widened, err := openapiPath(&d.naming, template)
	if err != nil {
		d.leftOut(bind, err)
		return nil
	}
	if widened != "" {
		d.warn(bind.place, "%s has the segment %q in its path: the route takes any text there", bind.operation, widened)
	}
	bind.closed = closed
	for _, prefix := range d.bases(item, op) {
		bind.pattern = prefix + tail
		if err := d.add(bind, dem); err != nil {
			return err
		}
	}
	return nil
}

// maxHops bounds how many references are followed, one to another.
const maxHops = 16

// lookUp finds what a reference within the document means.
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
		if v = v.get(unescape.Replace(part)); v == nil {
			return nil, fmt.Errorf("%q is not in the document", plain(ref))
		}
	}
	return v, nil
}

func (d *document) place(v *value) string {
	return fmt.Sprintf("%s:%d", plain(d.name), v.line)
}

// bases are the paths in front of an operation's: those of the innermost
// servers.
func (d *document) bases(item, op *value) []string {
	if d.swagger {
		return []string{basePath(d.root.str("basePath"))}
	}
	for _, servers := range []*value{op.get("servers"), item.get("servers"), d.servers} {
		if servers == nil || len(servers.items) == 0 {
			continue
		}
		if _, known := d.prefixes[servers]; !known {
			d.prefixes[servers] = d.serverPaths(servers)
		}
		return d.prefixes[servers]
	}
	return []string{""}
}

// maxBases bounds the base paths of one list of servers.
const maxBases = 32

// serverPaths are the paths of servers' URLs, each once.
func (d *document) serverPaths(servers *value) []string {
	var paths []string
	d.visit(servers)
	for _, server := range servers.items {
		for _, p := range d.serverPath(server) {
			if p = basePath(p); !slices.Contains(paths, p) {
				paths = append(paths, p)
			}
		}
		if len(paths) > maxBases {
			d.warn(d.place(servers), "the servers have too many base paths: the first %d are taken", maxBases)
			return paths[:maxBases]
		}
	}
	return paths
}

// serverPath is the path of a server's URL, or several where a variable in it
// has several values.
func (d *document) serverPath(server *value) []string {
	url := server.str("url")
	if _, rest, absolute := strings.Cut(url, "//"); absolute {
		_, rest, _ = strings.Cut(rest, "/")
		url = "/" + rest
	} else if url != "" && !strings.HasPrefix(url, "/") && !strings.HasPrefix(url, "{") {
		d.warn(d.place(server), "the server %q is relative to where the document stands, which isn't known: taken as /%s", url, url)
	}
	variables := server.get("variables")
	if variables == nil || !d.visit(variables) || len(url) > MaxPattern {
		return []string{url}
	}
	paths := []string{url}
	for piece := range strings.SplitSeq(url, "{") {
		name, _, closed := strings.Cut(piece, "}")
		if variable := variables.get(name); closed && variable != nil && d.visit(variables) {
			paths = substitute(paths, "{"+name+"}", d.serverValues(name, variable))
		}
	}
	return paths
}

// serverValues are the values that a server's variable may have.
func (d *document) serverValues(name string, variable *value) []string {
	if enum := variable.get("enum"); enum != nil && d.visit(enum) {
		if list, ok := enum.strings(); ok && len(list) > 0 {
			return list
		}
	}
	value := variable.str("default")
	d.warn(d.place(variable), "the server's variable %s may have any value: taken as its default %s", name, value)
	return []string{value}
}

// substitute puts each of the values in place of a variable, one more than can
// be taken at most.
func substitute(paths []string, name string, values []string) []string {
	var all []string
	for _, p := range paths {
		for _, v := range values {
			if len(all) <= maxBases && len(p)+strings.Count(p, name)*len(v) <= MaxPattern {
				all = append(all, strings.ReplaceAll(p, name, v))
			}
		}
	}
	return all
}

// basePath is a base path as it stands in front of a path that begins with a
// slash.
func basePath(p string) string {
	if p = path.Clean("/" + p); p != "/" {
		return p
	}
	return ""
}
