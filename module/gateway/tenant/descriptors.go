package tenant

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

// Descriptors returns those of a file, unless its name is empty, and then those
// of shipped tables. The first that have a method describe it.
func Descriptors(file string, include []string) ([]*protowalk.Descriptors, error) {
	var list []*protowalk.Descriptors
	if file != "" {
		d, err := ReadDescriptors(file)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	for _, name := range include {
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
