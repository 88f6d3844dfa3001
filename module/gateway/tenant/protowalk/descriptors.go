package protowalk

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Descriptors are the schemas of a descriptor set. They are safe for concurrent
// use, and share what they compile.
type Descriptors struct {
	files *protoregistry.Files
	// extensions are the set's extension fields, by the message they extend.
	extensions map[protoreflect.FullName][]protoreflect.FieldDescriptor

	mu       sync.Mutex
	types    map[protoreflect.FullName]*message // without watched fields
	compiled map[string]*Schema                 // by method and watched fields
}

// Read reads a FileDescriptorSet, as "caddy api-keys routes import proto", buf
// build and protoc --descriptor_set_out write it. A file may stand in it twice,
// as in sets that were joined.
func Read(wire []byte) (*Descriptors, error) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(wire, set); err != nil {
		// protobuf varies the text of its errors on purpose, so it isn't repeated.
		return nil, errors.New("not a protobuf descriptor set; write it with caddy api-keys routes import proto")
	}
	if len(set.File) == 0 {
		return nil, fmt.Errorf("the descriptor set is empty")
	}
	once := new(descriptorpb.FileDescriptorSet)
	byName := map[string]*descriptorpb.FileDescriptorProto{}
	for _, file := range set.File {
		// Comments are not needed, and may differ.
		file.SourceCodeInfo = nil
		switch before := byName[file.GetName()]; {
		case before == nil:
			byName[file.GetName()] = file
			once.File = append(once.File, file)
		case !proto.Equal(before, file):
			return nil, fmt.Errorf("%s stands in the descriptor set twice, with different contents; import both packages at once", file.GetName())
		}
	}
	// A set may lack files that no request needs. Compiling a request that does
	// need one fails.
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(once)
	if err != nil {
		return nil, fmt.Errorf("reading the descriptor set: %w", err)
	}
	d := &Descriptors{
		files: files, extensions: map[protoreflect.FullName][]protoreflect.FieldDescriptor{},
		types: map[protoreflect.FullName]*message{}, compiled: map[string]*Schema{},
	}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		d.addExtensions(file.Extensions())
		d.addNested(file.Messages())
		return true
	})
	return d, nil
}

func (d *Descriptors) addExtensions(list protoreflect.ExtensionDescriptors) {
	for i := range list.Len() {
		x := list.Get(i)
		of := x.ContainingMessage().FullName()
		d.extensions[of] = append(d.extensions[of], x)
	}
}

// addNested adds the extensions that are declared within messages.
func (d *Descriptors) addNested(messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		d.addExtensions(messages.Get(i).Extensions())
		d.addNested(messages.Get(i).Messages())
	}
}

// Has reports whether the descriptors have a method, given as
// /package.Service/Method.
func (d *Descriptors) Has(method string) bool { return d.method(method) != nil }

func (d *Descriptors) method(name string) protoreflect.MethodDescriptor {
	service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	found, err := d.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	s, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil
	}
	return s.Methods().ByName(protoreflect.Name(method))
}

// fieldsOf lists a message's fields, extensions included.
func (d *Descriptors) fieldsOf(m protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	var list []protoreflect.FieldDescriptor
	for i := range m.Fields().Len() {
		list = append(list, m.Fields().Get(i))
	}
	return append(list, d.extensions[m.FullName()]...)
}
