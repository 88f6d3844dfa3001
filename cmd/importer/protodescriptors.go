package importer

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// descriptors returns the part of the set that is needed to read the messages of
// the methods: the methods, and the types that their requests reach. It has no
// comments, no responses, only options that affect the encoding, and only the
// first value of each enum.
func (d *description) descriptors(set *descriptorpb.FileDescriptorSet, methods []policy.OwnerMessage) ([]byte, error) {
	if len(methods) == 0 {
		return nil, nil
	}
	k := keeper{methods: map[string]bool{}, types: map[protoreflect.FullName]bool{}, files: map[string]bool{}}
	for _, m := range methods {
		k.methods[m.Method] = true
	}
	d.reach(&k)
	small := new(descriptorpb.FileDescriptorSet)
	for _, file := range set.File {
		if k.files[file.GetName()] {
			small.File = append(small.File, k.file(file))
		}
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(small)
	if err != nil {
		return nil, fmt.Errorf("writing the descriptors: %w", err)
	}
	return wire, nil
}

// keeper holds what is kept of a descriptor set.
type keeper struct {
	methods map[string]bool // as /package.Service/Method
	types   map[protoreflect.FullName]bool
	files   map[string]bool
}

// reach finds the types that the methods' requests reach, and all files with
// something to keep.
func (d *description) reach(k *keeper) {
	extensions := map[protoreflect.FullName][]protoreflect.FieldDescriptor{}
	var next []protoreflect.MessageDescriptor
	d.files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		addExtensions(extensions, file)
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				if k.methods["/"+string(s.FullName())+"/"+string(m.Name())] {
					k.files[file.Path()] = true
					next = append(next, m.Input())
				}
			}
		}
		return true
	})
	for len(next) > 0 {
		m := next[len(next)-1]
		next = next[:len(next)-1]
		if k.types[m.FullName()] || m.IsPlaceholder() {
			continue
		}
		k.types[m.FullName()] = true
		k.files[m.ParentFile().Path()] = true
		fields := extensions[m.FullName()]
		for i := range m.Fields().Len() {
			fields = append(fields, m.Fields().Get(i))
		}
		for _, f := range fields {
			k.files[f.ParentFile().Path()] = true
			if of := f.Message(); of != nil {
				next = append(next, of)
			}
			if e := f.Enum(); e != nil && !e.IsPlaceholder() {
				k.types[e.FullName()] = true
				k.files[e.ParentFile().Path()] = true
			}
		}
	}
}

// addExtensions gathers the extensions that a file or a message declares,
// including those in its messages.
func addExtensions(into map[protoreflect.FullName][]protoreflect.FieldDescriptor, in interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
},
) {
	for i := range in.Extensions().Len() {
		x := in.Extensions().Get(i)
		of := x.ContainingMessage().FullName()
		into[of] = append(into[of], x)
	}
	for i := range in.Messages().Len() {
		addExtensions(into, in.Messages().Get(i))
	}
}

// file returns the kept part of a file.
func (k *keeper) file(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	kept := &descriptorpb.FileDescriptorProto{
		Name: file.Name, Package: file.Package, Syntax: file.Syntax, Edition: file.Edition,
		Extension: k.extensions(file.Extension),
	}
	if features := coreFeatures(file.GetOptions().GetFeatures()); features != nil {
		kept.Options = &descriptorpb.FileOptions{Features: features}
	}
	for i, path := range file.Dependency {
		if !k.files[path] {
			continue
		}
		for _, public := range file.PublicDependency {
			if int(public) == i {
				kept.PublicDependency = append(kept.PublicDependency, int32(len(kept.Dependency))) //nolint:gosec // no more than before
			}
		}
		kept.Dependency = append(kept.Dependency, path)
	}
	prefix := scopeOf(file.GetPackage())
	for _, m := range file.MessageType {
		if message := k.message(prefix, m); message != nil {
			kept.MessageType = append(kept.MessageType, message)
		}
	}
	kept.EnumType = k.enums(prefix, file.EnumType)
	for _, s := range file.Service {
		service := &descriptorpb.ServiceDescriptorProto{Name: s.Name}
		for _, m := range s.Method {
			if k.methods["/"+prefix+s.GetName()+"/"+m.GetName()] {
				service.Method = append(service.Method, &descriptorpb.MethodDescriptorProto{
					Name: m.Name, InputType: m.InputType, OutputType: m.OutputType,
					ClientStreaming: m.ClientStreaming, ServerStreaming: m.ServerStreaming,
				})
			}
		}
		if len(service.Method) > 0 {
			kept.Service = append(kept.Service, service)
		}
	}
	return kept
}

// scopeOf returns the prefix of the names that a package declares.
func scopeOf(name string) string {
	if name == "" {
		return ""
	}
	return name + "."
}

// message returns the kept part of a message, or nil. A message that is kept only
// for the messages in it has no fields.
func (k *keeper) message(prefix string, m *descriptorpb.DescriptorProto) *descriptorpb.DescriptorProto {
	name := prefix + m.GetName()
	kept := &descriptorpb.DescriptorProto{Name: m.Name, Extension: k.extensions(m.Extension)}
	for _, inner := range m.NestedType {
		if message := k.message(name+".", inner); message != nil {
			kept.NestedType = append(kept.NestedType, message)
		}
	}
	kept.EnumType = k.enums(name+".", m.EnumType)
	if !k.types[protoreflect.FullName(name)] {
		if len(kept.NestedType)+len(kept.EnumType)+len(kept.Extension) == 0 {
			return nil
		}
		return kept
	}
	for _, f := range m.Field {
		kept.Field = append(kept.Field, keptField(f))
	}
	for _, o := range m.OneofDecl {
		kept.OneofDecl = append(kept.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: o.Name})
	}
	kept.ExtensionRange = keptRanges(m.ExtensionRange)
	o := m.GetOptions()
	features := coreFeatures(o.GetFeatures())
	if o.GetMapEntry() || o.GetMessageSetWireFormat() || features != nil {
		kept.Options = &descriptorpb.MessageOptions{Features: features, MapEntry: o.MapEntry, MessageSetWireFormat: o.MessageSetWireFormat}
	}
	return kept
}

func keptRanges(ranges []*descriptorpb.DescriptorProto_ExtensionRange) (kept []*descriptorpb.DescriptorProto_ExtensionRange) {
	for _, r := range ranges {
		kept = append(kept, &descriptorpb.DescriptorProto_ExtensionRange{Start: r.Start, End: r.End})
	}
	return kept
}

func (k *keeper) enums(prefix string, enums []*descriptorpb.EnumDescriptorProto) (kept []*descriptorpb.EnumDescriptorProto) {
	for _, e := range enums {
		if k.types[protoreflect.FullName(prefix+e.GetName())] && len(e.Value) > 0 {
			first := &descriptorpb.EnumValueDescriptorProto{Name: e.Value[0].Name, Number: e.Value[0].Number}
			enum := &descriptorpb.EnumDescriptorProto{Name: e.Name, Value: []*descriptorpb.EnumValueDescriptorProto{first}}
			if features := coreFeatures(e.GetOptions().GetFeatures()); features != nil {
				enum.Options = &descriptorpb.EnumOptions{Features: features}
			}
			kept = append(kept, enum)
		}
	}
	return kept
}

func (k *keeper) extensions(fields []*descriptorpb.FieldDescriptorProto) (kept []*descriptorpb.FieldDescriptorProto) {
	for _, f := range fields {
		if k.types[protoreflect.FullName(strings.TrimPrefix(f.GetExtendee(), "."))] {
			kept = append(kept, keptField(f))
		}
	}
	return kept
}

func keptField(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	kept := &descriptorpb.FieldDescriptorProto{
		Name: f.Name, Extendee: f.Extendee, Number: f.Number, Label: f.Label, Type: f.Type, TypeName: f.TypeName,
		OneofIndex: f.OneofIndex, Proto3Optional: f.Proto3Optional,
	}
	features := coreFeatures(f.GetOptions().GetFeatures())
	if o := f.GetOptions(); o != nil && (o.Packed != nil || features != nil) {
		kept.Options = &descriptorpb.FieldOptions{Packed: o.Packed, Features: features}
	}
	return kept
}

// coreFeatures returns an edition's features without those of single languages.
func coreFeatures(f *descriptorpb.FeatureSet) *descriptorpb.FeatureSet {
	if f == nil {
		return nil
	}
	return &descriptorpb.FeatureSet{
		FieldPresence: f.FieldPresence, EnumType: f.EnumType, RepeatedFieldEncoding: f.RepeatedFieldEncoding,
		Utf8Validation: f.Utf8Validation, MessageEncoding: f.MessageEncoding, JsonFormat: f.JsonFormat,
	}
}
