package gateway

import (
	"fmt"
	"os"
	"sync"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// shippedDescriptors are those of the shipped tables that were asked for.
var shippedDescriptors sync.Map // of *protowalk.Descriptors, by table

// ReadDescriptors reads the file of the option descriptors.
func ReadDescriptors(file string) (*protowalk.Descriptors, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("descriptors: %w; write the file with caddy api-keys routes import proto", err)
	}
	d, err := protowalk.Read(text)
	if err != nil {
		return nil, fmt.Errorf("descriptors %s: %w", file, err)
	}
	return d, nil
}

// descriptors returns the site's own descriptors, if any, and then those of the
// tables that it includes. The first that have a method describe it.
func (g *Gate) descriptors() ([]*protowalk.Descriptors, error) {
	var list []*protowalk.Descriptors
	if g.Descriptors != "" {
		d, err := ReadDescriptors(g.Descriptors)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	for _, name := range g.Include {
		if known, ok := shippedDescriptors.Load(name); ok {
			list = append(list, known.(*protowalk.Descriptors))
			continue
		}
		text, err := tables.ShippedDescriptors(name)
		if err != nil {
			return nil, fmt.Errorf("include: %w", err)
		}
		if text == nil {
			continue
		}
		d, err := protowalk.Read(text)
		if err != nil {
			return nil, fmt.Errorf("include %s: %w", name, err)
		}
		first, _ := shippedDescriptors.LoadOrStore(name, d)
		list = append(list, first.(*protowalk.Descriptors))
	}
	return list, nil
}
