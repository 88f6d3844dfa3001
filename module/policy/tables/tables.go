// Package tables knows the text form of scopes and routes: the lines that a
// Caddyfile holds, that it imports from .routes files, and that the program
// ships for APIs it knows.
//
//	scope NAME ["description"] [{
//		needs SCOPE…
//		hidden
//	}]
//	route METHOD PATTERN [SCOPE…] [{
//		endpoint NAME…
//		accept WORD…
//		allow colon
//		allow encoded_slash
//		allow near_literal
//	}]
//	owner_query OWNER_FIELD APP_FIELD
//	owner_body FIELD…
//	owner_message METHOD FIELD=NUMBERS…
//	descriptors FILE
//
// The grammar works on tokens, so that Caddy's own lexer and the small one of
// [Read] lead to the same scopes and routes. It checks the form of lines; what
// the words in them mean is checked where a [policy.Table] or a
// [policy.Catalogue] is built, whose errors name the same places.
package tables

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Table is what a text declares, in the order in which it stands there.
type Table struct {
	Scopes []policy.Scope
	Routes []policy.Route
	// OwnerQuery, OwnerBody and OwnerMessage say where requests name owner and
	// app outside the path.
	OwnerQuery   []policy.OwnerFields
	OwnerBody    []string
	OwnerMessage []policy.OwnerMessage
	// Descriptors is the file that describes the methods of OwnerMessage, as
	// it is written; empty if there is none.
	Descriptors string
}

const extension = ".routes"

// words is the extension of a file with descriptions of a shipped table's scopes.
// They stand apart, because an import makes the table.
const words = ".words"

// resources is the extension of a file with descriptions of a shipped table's
// resources.
const resources = ".resources"

//go:embed *.routes *.binpb *.words *.resources
var shipped embed.FS

// read are the shipped tables once they have been asked for, for each of many
// sites may include one.
var read sync.Map // of *Table, by name

// Shipped is a table that the program brings along. All who ask share it: it
// is not to be changed.
func Shipped(name string) (*Table, error) {
	if t, ok := read.Load(name); ok {
		return t.(*Table), nil
	}
	text, err := shipped.ReadFile(name + extension)
	if err != nil {
		return nil, fmt.Errorf("no table %q is shipped: use %s, or import a file of your own",
			name, strings.Join(ShippedNames(), ", "))
	}
	t, err := Read(name+extension, text)
	if err != nil {
		return nil, err
	}
	if err := t.describe(name + words); err != nil {
		return nil, err
	}
	if err := t.describeResources(name + resources); err != nil {
		return nil, err
	}
	first, _ := read.LoadOrStore(name, t)
	return first.(*Table), nil
}

// describe adds the descriptions of a shipped file to the scopes.
func (t *Table) describe(file string) error {
	text, err := shipped.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	described, err := Read(file, text)
	if err != nil {
		return err
	}
	for i := range t.Scopes {
		s := &t.Scopes[i]
		if n := slices.IndexFunc(described.Scopes, func(d policy.Scope) bool { return d.Name == s.Name }); n >= 0 {
			s.Description = described.Scopes[n].Description
		}
	}
	return nil
}

// describeResources adds the descriptions of resources in a shipped file to the
// scopes of the resources.
func (t *Table) describeResources(file string) error {
	described, err := readResources(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for i := range t.Scopes {
		t.Scopes[i].Resource = described[policy.ResourceOf(t.Scopes[i].Name)]
	}
	return err
}

// readResources reads the descriptions of resources from a shipped file.
func readResources(file string) (map[string]string, error) {
	text, err := shipped.ReadFile(file)
	if err != nil {
		return nil, err
	}
	described := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		resource, description, found := strings.Cut(line, ": ")
		if _, twice := described[resource]; !found || twice {
			return nil, fmt.Errorf("%s: %q: write each resource once, with its description after a colon", file, line)
		}
		described[resource] = description
	}
	return described, nil
}

// ShippedDescriptors returns the descriptor set that a shipped table names, or
// nil if it names none.
func ShippedDescriptors(name string) ([]byte, error) {
	t, err := Shipped(name)
	if err != nil || t.Descriptors == "" {
		return nil, err
	}
	return shipped.ReadFile(t.Descriptors)
}

// ShippedNames lists the tables that the program brings along, sorted.
func ShippedNames() []string {
	// The pattern is a constant, and a wrong one is the only error of Glob.
	names, _ := fs.Glob(shipped, "*"+extension)
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, extension)
	}
	slices.Sort(names)
	return names
}
