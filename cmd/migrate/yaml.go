package migrate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// splitter cuts a YAML document by indentation into the items of the lists under
// its top-level keys, so that each item is read on its own. The lists have to be
// in block style, which the gateways' own tools write.
type splitter struct {
	// wanted are the keys whose lists are read.
	wanted []string
	item   func(section string, text []byte, line int) error
	// other, if set, is called with the items of the other sections, unless they
	// are larger than MaxElement.
	other func(text []byte)

	section string
	indent  int // of the section's items; less than 0 before the first
	text    []byte
	start   int // the line that text begins on; 0 if no text was read
	// skipped is the text of an item of another section so far. list is the
	// indentation of such items, less than 0 before the first.
	skipped []byte
	list    int
}

func (s *splitter) split(source *bufio.Reader) error {
	for n := 1; ; n++ {
		line, err := readLine(source)
		if len(line) > 0 {
			if err := s.line(bytes.TrimRight(line, "\r\n"), n); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			s.passOn()
			return s.flush()
		}
		if err != nil {
			return err
		}
	}
}

func (s *splitter) line(line []byte, n int) error {
	content := bytes.TrimLeft(line, " ")
	indent := len(line) - len(content)
	wanted := slices.Contains(s.wanted, s.section)
	isItem := string(content) == "-" || bytes.HasPrefix(content, []byte("- "))
	switch {
	case len(content) == 0 || content[0] == '#':
		return s.add(line)
	case wanted && isItem && (s.indent < 0 || indent == s.indent):
		if err := s.flush(); err != nil {
			return err
		}
		s.indent, s.start = indent, n
		// Without the hyphen the item is a document of its own.
		line = slices.Clone(line)
		line[indent] = ' '
		return s.add(line)
	case wanted && s.indent >= 0 && indent > s.indent:
		return s.add(line)
	case wanted && indent > 0:
		return fmt.Errorf("line %d: expected an item of a list, which begins with a hyphen", n)
	case indent > 0 || isItem:
		s.skip(line, indent, isItem)
		return nil
	}
	return s.top(content, n)
}

// skip keeps a line of an unwanted section for other.
func (s *splitter) skip(line []byte, indent int, isItem bool) {
	if isItem && (s.list < 0 && len(s.skipped) == 0 || indent == s.list) {
		s.passOn()
		s.list = indent
	}
	if s.other != nil && len(s.skipped)+len(line) <= MaxElement {
		s.skipped = append(append(s.skipped, line...), '\n')
	}
}

// passOn calls other with the skipped text.
func (s *splitter) passOn() {
	if len(s.skipped) > 0 {
		s.other(s.skipped)
	}
	s.skipped = s.skipped[:0]
}

// top reads a line that begins a section.
func (s *splitter) top(line []byte, n int) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.passOn()
	s.section, s.indent, s.list = "", -1, -1
	if line[0] == '%' || bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("...")) {
		return nil
	}
	name, rest, ok := strings.Cut(string(line), ":")
	if !ok {
		return fmt.Errorf("line %d: expected YAML with a key and a colon", n)
	}
	rest, _, _ = strings.Cut(rest, " #")
	name, rest = strings.Trim(strings.TrimSpace(name), `"'`), strings.TrimSpace(rest)
	if !slices.Contains(s.wanted, name) || slices.Contains([]string{"[]", "{}", "~", "null"}, rest) {
		if rest != "" {
			s.skip(line, 0, false)
			s.passOn()
		}
		return nil
	}
	if rest != "" {
		return fmt.Errorf("line %d: the list has to stand below its key, each item on a line that begins with a hyphen; or give the dump in JSON", n)
	}
	s.section = name
	return nil
}

func (s *splitter) add(line []byte) error {
	if s.start == 0 {
		return nil
	}
	if len(s.text)+len(line) > MaxElement {
		return fmt.Errorf("line %d: %w", s.start, errTooLarge)
	}
	s.text = append(append(s.text, line...), '\n')
	return nil
}

func (s *splitter) flush() error {
	text, start := s.text, s.start
	s.text, s.start = s.text[:0], 0
	if start == 0 {
		return nil
	}
	return s.item(s.section, text, start)
}

// Mistakes of an item. They replace the parser's errors, which may repeat a
// credential.
const (
	badYAML  = "it can't be read as YAML, or a field is there twice or of the wrong type"
	hasAlias = "it has an alias (*) for a part elsewhere in the file: write that part out"
)

// decode reads an item without following aliases, because a few of them can
// expand to more than any memory holds.
func decode(text []byte, into any) (wrong string) {
	defer func() {
		if recover() != nil { // the parser panicked
			wrong = badYAML
		}
	}()
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		if strings.Contains(err.Error(), "unknown anchor") {
			return hasAlias
		}
		return badYAML
	}
	if aliased(&doc) {
		return hasAlias
	}
	if doc.Decode(into) != nil {
		return badYAML
	}
	return ""
}

// lookYAML looks for the configuration of an authentication plugin in a part of
// a dump that has no keys.
func (in *reader) lookYAML(text []byte) {
	if !bytes.Contains(text, []byte("key-auth")) && !bytes.Contains(text, []byte("key_")) {
		return
	}
	var doc yaml.Node
	if decode(text, &doc) != "" {
		in.Sources.note("a part of the dump with the plugin key-auth can't be read: look up there where clients send their keys")
		return
	}
	lookYAML(&doc, "", 0, in.config)
}

func aliased(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, aliased)
}
