package importer

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/types/descriptorpb"
)

// scan measures a source before it is parsed: the depth of brackets, because
// parsers recurse into them, and the number of words and signs, because each takes
// parsers many times its own size.
func scan(source []byte) (depth, tokens int) {
	level, inWord := 0, false
	for i := 0; i < len(source); i++ {
		c := source[i]
		if word := c == '_' || c == '.' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'; word {
			if !inWord || c == '.' {
				tokens++
			}
			inWord = true
			continue
		}
		inWord = false
		rest := source[i:]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		case bytes.HasPrefix(rest, []byte("//")):
			i += lengthTo(rest, "\n")
		case bytes.HasPrefix(rest, []byte("/*")):
			i += 2 + lengthTo(rest[2:], "*/") + 1
		case c == '"' || c == '\'':
			tokens++
			i += stringLength(rest) - 1
		default:
			tokens++
			switch c {
			case '{', '[', '(', '<':
				level++
				depth = max(depth, level)
			case '}', ']', ')', '>':
				level--
			}
		}
	}
	return depth, tokens
}

func longestLine(text []byte) (longest int) {
	for line := range bytes.Lines(text) {
		longest = max(longest, len(line))
	}
	return longest
}

func lengthTo(text []byte, end string) int {
	if n := bytes.Index(text, []byte(end)); n >= 0 {
		return n
	}
	return len(text)
}

// stringLength returns the length of the string at the front of text, with its
// quotes. It never goes beyond the end of a line.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case text[0]:
			return i + 1
		case '\n':
			return i
		case '\\':
			i++
		}
	}
	return len(text)
}

// budget counts what a description declares in all of its files. Compilers and
// descriptors keep the full name of each element, so many elements under a long
// name take far more memory than their source.
type budget struct{ elements int }

// file counts what a file declares.
func (b *budget) file(f *descriptorpb.FileDescriptorProto) error {
	pkg := len(f.GetPackage())
	errs := []error{b.fields(pkg, f.Extension), b.enums(pkg, f.EnumType), b.messages(pkg, f.MessageType, 1)}
	for _, s := range f.Service {
		name := pkg + 1 + len(s.GetName())
		errs = append(errs, b.name(name))
		for _, m := range s.Method {
			errs = append(errs, b.name(name+1+len(m.GetName())), b.name(len(m.GetInputType())), b.name(len(m.GetOutputType())))
		}
	}
	if err := firstError(errs); err != nil {
		return fmt.Errorf("%s: %w", plain(f.GetName()), err)
	}
	return nil
}

func (b *budget) messages(prefix int, messages []*descriptorpb.DescriptorProto, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("messages are nested deeper than %d", MaxDepth)
	}
	for _, m := range messages {
		name := prefix + 1 + len(m.GetName())
		errs := []error{
			b.name(name), b.fields(name, m.Field), b.fields(name, m.Extension), b.enums(name, m.EnumType),
			b.messages(name, m.NestedType, depth+1),
		}
		for _, o := range m.OneofDecl {
			errs = append(errs, b.name(name+1+len(o.GetName())))
		}
		if err := firstError(errs); err != nil {
			return err
		}
	}
	return nil
}

func (b *budget) fields(prefix int, fields []*descriptorpb.FieldDescriptorProto) error {
	for _, f := range fields {
		if err := firstError([]error{b.name(prefix + 1 + len(f.GetName())), b.name(len(f.GetTypeName())), b.name(len(f.GetExtendee()))}); err != nil {
			return err
		}
	}
	return nil
}

func (b *budget) enums(prefix int, enums []*descriptorpb.EnumDescriptorProto) error {
	for _, e := range enums {
		name := prefix + 1 + len(e.GetName())
		errs := []error{b.name(name)}
		for _, v := range e.Value {
			errs = append(errs, b.name(name+1+len(v.GetName())))
		}
		if err := firstError(errs); err != nil {
			return err
		}
	}
	return nil
}

func (b *budget) name(length int) error {
	if b.elements++; b.elements > MaxElements {
		return fmt.Errorf("the description declares more than %d elements", MaxElements)
	}
	if length > MaxName {
		return fmt.Errorf("it has a full name of more than %d bytes", MaxName)
	}
	return nil
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
