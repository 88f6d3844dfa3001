package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// bases returns the paths that precede an operation's path: those of the
// innermost servers.
func (d *document) bases(item, op *value) ([]string, error) {
	if d.swagger {
		return d.swaggerBase()
	}
	for _, servers := range []*value{op.get("servers"), item.get("servers"), d.servers} {
		if servers == nil || servers.kind == array && len(servers.items) == 0 {
			continue
		}
		if paths, known := d.prefixes[servers]; known {
			return paths, nil
		}
		paths, err := d.serverPaths(servers)
		if err != nil {
			return nil, err
		}
		d.prefixes[servers] = paths
		return paths, nil
	}
	return []string{""}, nil
}

// swaggerBase returns the basePath of a Swagger 2.0 document, after the path of
// Azure's host template.
func (d *document) swaggerBase() ([]string, error) {
	if paths, known := d.prefixes[nil]; known {
		return paths, nil
	}
	v := d.root.get("basePath")
	if v != nil && v.kind != text {
		return nil, fmt.Errorf("%s: basePath has to be a text", d.place(v))
	}
	base := d.root.str("basePath")
	if template := d.root.get("x-ms-parameterized-host").str("hostTemplate"); template != "" {
		if base != "" {
			base = "/" + base
		}
		base = urlPath("https://"+schemeOfURL.ReplaceAllString(template, "")) + base
	}
	if strings.ContainsAny(base, "{}?#") {
		return nil, fmt.Errorf("the base path %q has a variable, a query or a fragment, which Swagger 2.0 doesn't allow: write the path out", plain(base))
	}
	paths := []string{basePath(base)}
	d.prefixes[nil] = paths
	return paths, nil
}

// maxBases bounds the base paths of one list of servers.
const maxBases = 32

// serverPaths returns the paths of servers' URLs without duplicates.
func (d *document) serverPaths(servers *value) ([]string, error) {
	if !d.visit(servers) {
		return nil, d.stopped()
	}
	if servers.kind != array {
		return nil, fmt.Errorf("%s: servers has to be a list: without it the base path is not known", d.place(servers))
	}
	var paths []string
	for _, server := range servers.items {
		of, err := d.serverPath(server)
		if err != nil {
			return nil, err
		}
		for _, p := range of {
			if p = basePath(p); !slices.Contains(paths, p) {
				paths = append(paths, p)
			}
		}
		if len(paths) > maxBases {
			d.warn(d.place(servers), "the servers have too many base paths: the first %d are taken", maxBases)
			return paths[:maxBases], nil
		}
	}
	return paths, nil
}

// serverPath returns the path of a server's URL, or several if a variable in it
// has several values. It replaces variables before parsing the URL, because a
// variable may hold any part of it.
func (d *document) serverPath(server *value) ([]string, error) {
	if !d.visit(server) {
		return nil, d.stopped()
	}
	raw := server.get("url")
	if raw == nil || raw.kind != text || server.twice() != "" {
		return nil, fmt.Errorf("%s: a server has to be an object with one url: without it the base path is not known", d.place(server))
	}
	urls := []string{raw.text}
	variables := server.get("variables")
	if variables != nil && !d.visit(variables) {
		return nil, d.stopped()
	}
	for piece := range strings.SplitSeq(raw.text, "{") {
		name, _, closed := strings.Cut(piece, "}")
		variable := variables.get(name)
		if !closed || variable == nil || len(raw.text) > MaxPattern {
			continue
		}
		values, err := d.serverValues(name, variable, inURLPath(raw.text, "{"+name+"}"))
		if err != nil {
			return nil, err
		}
		urls = substitute(urls, "{"+name+"}", values)
	}
	var paths []string
	for _, url := range urls {
		p := urlPath(url)
		if strings.ContainsAny(p, "{}") {
			return nil, fmt.Errorf("%s: the path of the server %q has a variable that is not declared: declare it under variables, or write the path out", d.place(server), plain(url))
		}
		if !schemeOfURL.MatchString(url) && !strings.HasPrefix(url, "/") && url != "" {
			d.warn(d.place(server), "the server %q is relative to the document's address, which isn't known: taken as %s", url, basePath(p))
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// serverValues returns the possible values of a server's variable. inPath is true
// if the variable is part of the path.
func (d *document) serverValues(name string, variable *value, inPath bool) ([]string, error) {
	if !d.visit(variable) {
		return nil, d.stopped()
	}
	enum := variable.get("enum")
	if enum != nil && !d.visit(enum) {
		return nil, d.stopped()
	}
	var list []string
	if enum != nil && enum.kind == array {
		for _, item := range enum.items {
			if item.kind != text && item.kind != scalar {
				return nil, fmt.Errorf("%s: the values of the server's variable %s have to be texts", d.place(enum), plain(name))
			}
			list = append(list, item.text)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	value := variable.get("default")
	if value == nil || value.kind != text && value.kind != scalar {
		return nil, fmt.Errorf("%s: the server's variable %s has neither a default nor values: without one the base path is not known", d.place(variable), plain(name))
	}
	if inPath || strings.Contains(value.text, "/") {
		d.warn(d.place(variable), "the server's variable %s may have any value: taken as its default %s", name, value.text)
	}
	return []string{value.text}, nil
}

// substitute replaces a variable by each of the values. It stops after one path
// more than maxBases.
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

var schemeOfURL = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*:)?//`)

// urlPath returns the path of a URL, or of a reference, without query and
// fragment.
func urlPath(url string) string {
	if rest := schemeOfURL.ReplaceAllString(url, ""); rest != url {
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			url = rest[i:]
		} else {
			url = ""
		}
	}
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	return url
}

// inURLPath reports whether a variable is in the path of a URL, or at its
// beginning.
func inURLPath(url, variable string) bool {
	return strings.Contains(urlPath(url), variable)
}

// basePath returns a base path in the form that precedes a path with a leading
// slash.
func basePath(p string) string {
	if p = path.Clean("/" + p); p != "/" {
		return p
	}
	return ""
}
