package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/protoutil"
	"github.com/bufbuild/protocompile/reporter"
	"github.com/dustin/go-humanize"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// load reads a description as descriptors in the wire format. It compiles sources
// to that format and parses them again, because proto.GetExtension can't read the
// options in the compiler's own descriptors.
func load(ctx context.Context, o ProtoOptions) (*descriptorpb.FileDescriptorSet, error) {
	wire := o.DescriptorSet
	switch {
	case wire == nil && len(o.Files) == 0:
		return nil, errors.New("nothing to import: name files, or give a descriptor set")
	case wire == nil:
		compiled, err := compile(ctx, o.Sources, o.Files)
		if err != nil {
			return nil, err
		}
		if wire, err = proto.Marshal(compiled); err != nil {
			return nil, fmt.Errorf("writing the compiled description: %w", err)
		}
	case len(wire) > MaxSource:
		return nil, fmt.Errorf("the descriptor set is larger than %s", humanize.IBytes(MaxSource))
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := (proto.UnmarshalOptions{RecursionLimit: MaxDepth}).Unmarshal(wire, set); err != nil {
		return nil, fmt.Errorf("this is not a descriptor set, or nested deeper than %d: %w", MaxDepth, err)
	}
	if len(set.File) > MaxFiles {
		return nil, fmt.Errorf("the description has more than %d files", MaxFiles)
	}
	var declared budget
	for _, file := range set.File {
		if err := declared.file(file); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// compile reads sources with all their imports.
func compile(ctx context.Context, folders []fs.FS, files []string) (*descriptorpb.FileDescriptorSet, error) {
	src := &sources{folders: folders}
	compiler := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			protocompile.WithStandardImports(protocompile.ResolverFunc(src.find)),
			protocompile.ResolverFunc(linkedIn),
		},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(ctx, files...)
	if err != nil {
		if src.limit != nil {
			err = src.limit
		} else if errors.Is(err, fs.ErrNotExist) || errors.Is(err, protoregistry.NotFound) {
			err = fmt.Errorf("%w: add its folder as an import path", err)
		}
		return nil, fmt.Errorf("reading the sources: %w", err)
	}
	return flatten(compiled), nil
}

// flatten lists files after the files that they import.
func flatten(files linker.Files) *descriptorpb.FileDescriptorSet {
	set := new(descriptorpb.FileDescriptorSet)
	seen := map[string]bool{}
	var visit func(protoreflect.FileDescriptor)
	visit = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			visit(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protoutil.ProtoFromFileDescriptor(file))
	}
	for _, file := range files {
		visit(file)
	}
	return set
}

// linkedIn finds the files of google/api that are linked into the program.
func linkedIn(path string) (protocompile.SearchResult, error) {
	if !strings.HasPrefix(path, "google/api/") {
		return protocompile.SearchResult{}, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	return protocompile.SearchResult{Desc: file}, err
}

// sources reads files within the limits. The compiler requests several at once.
type sources struct {
	folders []fs.FS

	mu            sync.Mutex
	files, tokens int
	size          int64
	budget        budget
	limit         error // the first limit that was hit
}

func (s *sources) find(path string) (protocompile.SearchResult, error) {
	for _, folder := range s.folders {
		file, err := folder.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return protocompile.SearchResult{}, err
		}
		tree, err := s.read(path, file)
		return protocompile.SearchResult{AST: tree}, errors.Join(err, file.Close())
	}
	return protocompile.SearchResult{}, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

func (s *sources) read(path string, file io.Reader) (*ast.FileNode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files++; s.files > MaxFiles {
		s.limit = fmt.Errorf("the description has more than %d files", MaxFiles)
		return nil, s.limit
	}
	source, err := io.ReadAll(io.LimitReader(file, MaxSource-s.size+1))
	if err != nil {
		return nil, err
	}
	s.size += int64(len(source))
	depth, tokens := scan(source)
	s.tokens += tokens
	switch {
	case s.size > MaxSource:
		s.limit = fmt.Errorf("the sources together are larger than %s", humanize.IBytes(MaxSource))
	case s.tokens > MaxTokens:
		s.limit = fmt.Errorf("the sources together have more than %d words and signs", MaxTokens)
	case longestLine(source) > MaxLineLength:
		s.limit = fmt.Errorf("%s has a line of more than %d bytes: break it", path, MaxLineLength)
	case depth > MaxDepth:
		s.limit = fmt.Errorf("%s is nested deeper than %d", path, MaxDepth)
	}
	if s.limit != nil {
		return nil, s.limit
	}
	return s.parse(path, source)
}

// parse reads a source far enough to measure its names. The parser panics on some
// texts, such as one that begins in the middle of a string.
func (s *sources) parse(path string, source []byte) (tree *ast.FileNode, err error) {
	defer func() {
		if p := recover(); p != nil {
			tree, err = nil, fmt.Errorf("%s is not a protobuf source: the parser fails on it: %v", path, p)
		}
	}()
	handler := reporter.NewHandler(nil)
	tree, err = parser.Parse(path, bytes.NewReader(source), handler)
	if err != nil {
		return nil, err
	}
	// The compiler reports other mistakes.
	names, err := parser.ResultFromAST(tree, false, handler)
	if err != nil {
		return nil, err
	}
	if err := s.budget.file(names.FileDescriptorProto()); err != nil {
		s.limit = err
		return nil, err
	}
	return tree, nil
}
