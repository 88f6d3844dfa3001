package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"
)

// value is a value of an OpenAPI document. Unlike a Go map it keeps the document's
// order, duplicate keys, and lines.
//
// kin-openapi decodes into Go structs, which can't tell these documents from
// harmless ones: security twice in an operation (the last one counts), Security
// for security (the same field), security: null (the document's security
// counts), a merge key (applied), a second YAML document (ignored). Each of them
// can make an operation public. kin-openapi also refuses a whole document for one
// reference to another file, and needs more than a minute for some documents.
type value struct {
	kind valueKind
	text string   // of a scalar
	keys []string // of an object, one for each item
	// items are the items of an array or an object. A YAML alias is the same item
	// again, not a copy.
	items []*value
	index map[string]int // of keys, if they are many
	line  int
	// merge is the line of a YAML merge key in an object. Its meaning depends on
	// the version of YAML.
	merge int
}

type valueKind uint8

const (
	null valueKind = iota
	text
	scalar // a number or a boolean
	array
	object
)

// errMerge refuses a merge key in the relevant parts of a document. It is not part
// of YAML 1.2, so readers differ about its meaning.
var errMerge = errors.New("the merge key << is not part of YAML 1.2, which OpenAPI uses: write its content out")

// parseTree reads a document in JSON or YAML.
func parseTree(data []byte) (*value, error) {
	if len(data) > MaxSource {
		return nil, fmt.Errorf("the document is larger than %s", humanize.IBytes(MaxSource))
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		// YAML's parsers read most JSON, but not its surrogate pairs.
		if json.Valid(data) {
			return parseJSON(data)
		}
	}
	return parseYAML(data)
}

func parseJSON(data []byte) (*value, error) {
	r := jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	return r.value(0)
}

type jsonReader struct {
	data        []byte
	dec         *json.Decoder
	line, nodes int
	seen        int64 // bytes whose line ends are counted
}

// value reads the next value, or returns nil at the end of an array or object.
func (r *jsonReader) value(depth int) (*value, error) {
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	at := r.dec.InputOffset()
	r.line += bytes.Count(r.data[r.seen:at], []byte("\n"))
	r.seen = at
	v := &value{line: r.line}
	if r.nodes++; r.nodes > MaxNodes || depth > MaxDepth {
		return nil, tooLarge()
	}
	switch t := token.(type) {
	case nil:
	case string:
		v.kind, v.text = text, t
	case json.Delim:
		if t == '}' || t == ']' {
			return nil, nil
		}
		v.kind = array
		if t == '{' {
			v.kind = object
		}
		return v, r.items(v, depth+1)
	default:
		v.kind, v.text = scalar, fmt.Sprint(t)
	}
	return v, nil
}

func (r *jsonReader) items(v *value, depth int) error {
	for {
		item, err := r.value(depth)
		if err != nil || item == nil {
			return err
		}
		if v.kind == object {
			v.keys = append(v.keys, item.text)
			if item, err = r.value(depth); err != nil {
				return err
			}
		}
		v.items = append(v.items, item)
	}
}

func tooLarge() error {
	return fmt.Errorf("the document has more than %d values, or is nested deeper than %d", MaxNodes, MaxDepth)
}

func parseYAML(data []byte) (*value, error) {
	// Every value has at least one of these characters before it, so a document
	// that is too large is recognized before it is read.
	indicators := 0
	for _, c := range data {
		if strings.IndexByte(",[{:-?\n", c) >= 0 {
			indicators++
		}
	}
	if indicators > MaxNodes {
		return nil, tooLarge()
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("this is neither JSON nor YAML: %w", err)
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has several YAML documents, or text after the first: leave one")
	}
	r := yamlReader{seen: map[*yaml.Node]*value{}}
	return r.value(&doc, 0)
}

type yamlReader struct {
	seen map[*yaml.Node]*value
}

// value converts a node. An alias gives the same value again, which may even
// contain itself, so no code may walk a whole document.
func (r *yamlReader) value(n *yaml.Node, depth int) (*value, error) {
	if depth > MaxDepth {
		return nil, tooLarge()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	if v := r.seen[n]; v != nil {
		return v, nil
	}
	v := &value{line: n.Line, text: n.Value}
	r.seen[n] = v
	switch n.Kind {
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!null":
			v.kind = null
		case "!!str":
			v.kind = text
		default:
			v.kind = scalar
		}
		return v, nil
	case yaml.SequenceNode:
		v.kind = array
	case yaml.MappingNode:
		v.kind = object
	default: // documents and aliases were followed above
	}
	for i, c := range n.Content {
		if v.kind == object && i%2 == 0 {
			if c.Kind == yaml.AliasNode {
				c = c.Alias
			}
			if c.ShortTag() == "!!merge" {
				v.merge = c.Line
			}
			v.keys = append(v.keys, c.Value)
			continue
		}
		item, err := r.value(c, depth+1)
		if err != nil {
			return nil, err
		}
		v.items = append(v.items, item)
	}
	return v, nil
}

// get returns the value of a key of an object, nil if the key is missing.
func (v *value) get(key string) *value {
	if v == nil || v.kind != object {
		return nil
	}
	i := slices.Index(v.keys[:min(len(v.keys), maxLinear)], key)
	if i < 0 && len(v.keys) > maxLinear {
		i = v.indexed(key)
	}
	if i < 0 {
		return nil
	}
	return v.items[i]
}

// maxLinear is how many keys are searched before an index is made.
const maxLinear = 32

func (v *value) indexed(key string) int {
	if v.index == nil {
		v.index = make(map[string]int, len(v.keys))
		for i, key := range v.keys {
			v.index[key] = i
		}
	}
	if i, ok := v.index[key]; ok {
		return i
	}
	return -1
}

// str returns the text under a key, or an empty string.
func (v *value) str(key string) string {
	if item := v.get(key); item != nil && item.kind == text {
		return item.text
	}
	return ""
}

// is reports whether the item under a key is true.
func (v *value) is(key string) bool {
	item := v.get(key)
	return item != nil && item.kind == scalar && item.text == "true"
}

// twice returns a key that an object has twice, because readers differ about which
// of the two counts.
func (v *value) twice() string {
	seen := make(map[string]bool, len(v.keys))
	for _, key := range v.keys {
		if seen[key] {
			return key
		}
		seen[key] = true
	}
	return ""
}

// strings returns the texts of an array, or false for something else.
func (v *value) strings() ([]string, bool) {
	if v.kind != array {
		return nil, false
	}
	var list []string
	for _, item := range v.items {
		if item.kind != text {
			return nil, false
		}
		list = append(list, item.text)
	}
	return list, true
}
