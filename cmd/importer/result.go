package importer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// Shared are the options of every import.
type Shared struct {
	// Unstated is what a route accepts if its operation states no demand: none
	// (the default), or kinds of credential. It can't be public.
	Unstated []string
	// NoDescriptions leaves out the descriptions of scopes.
	NoDescriptions bool
	// OwnerField and AppField are the variables in paths that name the owner and
	// the app. They become {user_id} and {app_id}, and any other variable of such
	// a name gets another name.
	OwnerField, AppField string
}

// Result is what was imported.
type Result struct {
	// Table is sorted: scopes by name, routes by pattern and method.
	Table *tables.Table
	// Warnings list what a table can't express, in the order of the description.
	Warnings []Warning
	// LeftOut are the operations that no route expresses. Routes that their
	// requests could reach also demand what they do, or are closed.
	LeftOut []policy.LeftOut
	// Descriptors is a FileDescriptorSet of the methods in Table.OwnerMessage
	// and what their requests reach; nil if there are none.
	Descriptors []byte
	// Operations counts the operations read, and Bindings the methods and paths by
	// which HTTP can call them.
	Operations, Bindings int

	source string
	notes  map[string][]string // by route
	// remarks are comments that belong to no route.
	remarks []string
}

// Warning is something to review before the table is used.
type Warning struct {
	// Place is a place in the description: file and line, or a full name.
	Place string
	// Text describes the finding, and what the table does about it.
	Text string
}

// String returns the place and the text.
func (w Warning) String() string {
	if w.Place == "" {
		return w.Text
	}
	return w.Place + ": " + w.Text
}

// Text returns the table as the text of a .routes file, for a Caddyfile to
// import. Routes that differ from their operation, or whose operation demands
// nothing, have a comment.
func (r *Result) Text() ([]byte, error) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Imported from %s: %s, %s, %s.\n",
		r.source, counted(r.Operations, "operation"), counted(r.Bindings, "binding"), counted(len(r.Table.Scopes), "scope"))
	text.WriteString("# Made to be reviewed and edited; importing again with --out --force replaces it, edits and all.\n")
	if len(r.Table.Scopes) > 0 {
		text.WriteByte('\n')
	}
	scopes, err := (&tables.Table{Scopes: r.Table.Scopes}).Format()
	if err != nil {
		return nil, err
	}
	text.Write(scopes)
	owners, err := (&tables.Table{OwnerQuery: r.Table.OwnerQuery, OwnerBody: r.Table.OwnerBody, OwnerMessage: r.Table.OwnerMessage, Descriptors: r.Table.Descriptors}).Format()
	if err != nil {
		return nil, err
	}
	if len(owners) > 0 {
		text.WriteByte('\n')
		text.Write(owners)
	}
	if len(r.Table.Routes) > 0 {
		text.WriteByte('\n')
	}
	for _, route := range r.Table.Routes {
		for _, note := range r.notes[route.String()] {
			fmt.Fprintf(&text, "# %s\n", note)
		}
		line, err := (&tables.Table{Routes: []policy.Route{route}}).Format()
		if err != nil {
			return nil, err
		}
		text.Write(line)
	}
	for _, remark := range r.remarks {
		fmt.Fprintf(&text, "# %s\n", remark)
	}
	return text.Bytes(), nil
}

// counted returns a number with a noun; one is its singular.
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// result makes a table from the gathered scopes and routes.
func (b *builder) result(source string) *Result {
	names := tableNames(b.scopes)
	rename := func(list []string) []string {
		var renamed []string
		for _, name := range list {
			renamed = append(renamed, names[name])
		}
		slices.Sort(renamed)
		return renamed
	}
	res := &Result{
		Table:      new(tables.Table),
		Warnings:   b.warnings,
		Operations: b.operations,
		Bindings:   b.bindings,
		source:     clean(source),
		notes:      map[string][]string{},
		remarks:    sortedSet(b.remarks),
	}
	for name, s := range b.scopes {
		scope := policy.Scope{Name: names[name], Description: s.Description, Needs: rename(s.Needs), Hidden: s.Hidden}
		if scope.Description == "" && scope.Name != name && !b.NoDescriptions {
			scope.Description = clean(name)
		}
		res.Table.Scopes = append(res.Table.Scopes, scope)
	}
	slices.SortFunc(res.Table.Scopes, func(a, b policy.Scope) int { return strings.Compare(a.Name, b.Name) })
	for _, rt := range b.routes {
		route := policy.Route{
			Method: rt.method, Pattern: rt.pattern, Scopes: rename(rt.scopes), Endpoint: rt.endpoints, Place: rt.place,
		}
		if rt.accept != policy.AcceptAny {
			route.Accept = rt.accept.Words()
		}
		if rt.colon {
			route.Allow = []string{"colon"}
		}
		res.Table.Routes = append(res.Table.Routes, route)
		res.notes[route.String()] = rt.notes
	}
	for _, l := range b.left {
		res.LeftOut = append(res.LeftOut, l.LeftOut)
	}
	slices.SortFunc(res.Table.Routes, func(a, b policy.Route) int {
		return cmp.Or(strings.Compare(a.Pattern, b.Pattern), strings.Compare(a.Method, b.Method))
	})
	return res
}
