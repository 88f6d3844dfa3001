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

// splitter cuts a YAML document into the items of the lists that stand under
// its top-level keys, by indentation, so that each is read on its own. The
// lists have to be in block style, as the gateways' own tools write them.
type splitter struct {
	// wanted are the keys whose lists are read.
	wanted []string
	item   func(section string, text []byte, line int) error

	section string
	indent  int // of the section's items; less than 0 before the first
	text    []byte
	start   int // the line that text begins on; 0 where there is none
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
		// Without the hyphen it is a document of its own.
		line = slices.Clone(line)
		line[indent] = ' '
		return s.add(line)
	case wanted && s.indent >= 0 && indent > s.indent:
		return s.add(line)
	case wanted && indent > 0:
		return fmt.Errorf("line %d: here an item of a list has to stand, which begins with a hyphen", n)
	case indent > 0 || isItem:
		return nil // of a section that isn't wanted
	}
	return s.top(content, n)
}

// top reads a line that begins a section.
func (s *splitter) top(line []byte, n int) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.section, s.indent = "", -1
	if line[0] == '%' || bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("...")) {
		return nil
	}
	name, rest, ok := strings.Cut(string(line), ":")
	if !ok {
		return fmt.Errorf("line %d: this is not the YAML that was expected: here a key with a colon has to stand", n)
	}
	rest, _, _ = strings.Cut(rest, " #")
	name, rest = strings.Trim(strings.TrimSpace(name), `"'`), strings.TrimSpace(rest)
	if !slices.Contains(s.wanted, name) || slices.Contains([]string{"[]", "{}", "~", "null"}, rest) {
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

// What can be wrong with an item. What the parser says may repeat what stands
// there.
const (
	badYAML  = "it can't be read as YAML, or a field is there twice or of the wrong type"
	hasAlias = "it has an alias (*), which stands for something elsewhere in the file: write that out"
)

// decode reads an item, without following aliases: a few of them can stand for
// more than any memory holds.
func decode(text []byte, into any) (wrong string) {
	defer func() {
		if recover() != nil { // of the parser
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

func aliased(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, aliased)
}
