package importer

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// node is a message that a walk reached by a field of another.
type node struct {
	from  int // among the nodes
	field protoreflect.FieldDescriptor
	of    protoreflect.MessageDescriptor
	depth int
}

// in searches a type of request, the nearest places first.
func (o *owners) in(request protoreflect.MessageDescriptor) found {
	if known, ok := o.found[request.FullName()]; ok {
		return known
	}
	var f found
	o.nodes = append(o.nodes[:0], node{of: request})
	for i := 0; i < len(o.nodes); i++ {
		at := o.nodes[i]
		for j := range o.parts {
			p := &o.parts[j]
			if p.types[at.of.FullName()] || at.depth == 0 && p.own[at.of.FullName()] {
				f.fields = append(f.fields, append(o.path(i), at.of.Fields().ByName(protoreflect.Name(p.name))))
			}
		}
		for _, field := range o.leading(at.of) {
			if at.depth+1+o.far(field) > MaxOwnerDepth || len(o.nodes) == MaxOwnerPaths {
				if f.beyond == "" {
					f.beyond = dotted(append(o.path(i), field))
				}
				break // the next fields are no nearer
			}
			o.nodes = append(o.nodes, node{from: i, field: field, of: field.Message(), depth: at.depth + 1})
		}
	}
	o.found[request.FullName()] = f
	return f
}

// path returns the path of a walk to a node.
func (o *owners) path(i int) []protoreflect.FieldDescriptor {
	path := make([]protoreflect.FieldDescriptor, o.nodes[i].depth, o.nodes[i].depth+1)
	for ; o.nodes[i].depth > 0; i = o.nodes[i].from {
		path[o.nodes[i].depth-1] = o.nodes[i].field
	}
	return path
}

// far returns the distance of a field's message. Sites don't read the wire format
// of groups, so these are too far.
func (o *owners) far(field protoreflect.FieldDescriptor) int {
	if field.Kind() == protoreflect.GroupKind {
		return MaxOwnerDepth
	}
	return o.distance[field.Message().FullName()]
}

// leading returns the fields of a message that lead to owner or app, the nearest
// first.
func (o *owners) leading(m protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	fields, known := o.leads[m.FullName()]
	if known {
		return fields
	}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if field.Message() == nil {
			continue
		}
		if _, leads := o.distance[field.Message().FullName()]; leads {
			fields = append(fields, field)
		}
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int {
		return cmp.Or(cmp.Compare(o.far(a), o.far(b)), cmp.Compare(a.Number(), b.Number()))
	})
	o.leads[m.FullName()] = fields
	return fields
}
