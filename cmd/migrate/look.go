package migrate

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// maxLook limits the depth of the search for configurations.
const maxLook = 64

// look skips the next value, like skip, and calls each with the objects in it and
// their relevant fields.
func (s *stream) look(name string, each func(name string, fields map[string]any)) error {
	l := looker{name: name, each: each}
	for {
		t, err := s.token()
		if err != nil {
			return ended(err)
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			l.begin(t == json.Delim('['))
		case json.Delim('}'), json.Delim(']'):
			l.end()
		default:
			l.scalar(t)
		}
		if len(l.open) == 0 {
			return nil
		}
	}
}

// looker finds the objects of a JSON value from its tokens.
type looker struct {
	name    string // the value's field
	each    func(name string, fields map[string]any)
	open    []object // unfinished objects and lists, the outermost first
	tooDeep int      // how many more are unfinished below maxLook
}

// object is an unfinished object or list.
type object struct {
	name   string // the field that holds it
	isList bool
	field  string // of an object: the last field read
	value  bool   // true if the value of field comes next
	fields map[string]any
	list   []string // texts of a list
}

func (l *looker) begin(isList bool) {
	if len(l.open) == maxLook {
		l.tooDeep++
		return
	}
	o := object{name: l.name, isList: isList, fields: map[string]any{}}
	if n := len(l.open); n > 0 {
		o.name = l.open[n-1].name
		if !l.open[n-1].isList {
			o.name = l.open[n-1].field
		}
	}
	l.open = append(l.open, o)
}

func (l *looker) end() {
	if l.tooDeep > 0 {
		if l.tooDeep--; l.tooDeep == 0 {
			l.take(nil)
		}
		return
	}
	o := l.open[len(l.open)-1]
	l.open = l.open[:len(l.open)-1]
	if o.isList {
		l.take(o.list)
		return
	}
	l.each(o.name, o.fields)
	l.take(o.fields)
}

// scalar takes a text, a number, a boolean or null. In an object it may be the
// name of the next field.
func (l *looker) scalar(t json.Token) {
	if l.tooDeep > 0 {
		return
	}
	if n := len(l.open); n > 0 && !l.open[n-1].isList && !l.open[n-1].value {
		l.open[n-1].field, _ = t.(string)
		l.open[n-1].value = true
		return
	}
	l.take(t)
}

// take puts a finished value into the object or list around it. A nil value
// doesn't matter.
func (l *looker) take(v any) {
	if len(l.open) == 0 {
		return
	}
	in := &l.open[len(l.open)-1]
	if text, ok := v.(string); ok && in.isList && len(in.list) < maxSources {
		in.list = append(in.list, text)
	}
	if !in.isList && configFields[in.field] {
		in.fields[in.field] = v
	}
	in.value = false
}

// lookYAML is look for YAML.
func lookYAML(n *yaml.Node, name string, depth int, each func(name string, fields map[string]any)) any {
	if depth > maxLook {
		return nil
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return lookYAML(n.Content[0], name, depth, each)
	case yaml.ScalarNode:
		return n.Value
	case yaml.SequenceNode:
		var list []string
		for _, c := range n.Content {
			if text, ok := lookYAML(c, name, depth+1, each).(string); ok && len(list) < maxSources {
				list = append(list, text)
			}
		}
		return list
	case yaml.MappingNode:
		fields := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			field := n.Content[i].Value
			v := lookYAML(n.Content[i+1], field, depth+1, each)
			if configFields[field] {
				fields[field] = v
			}
		}
		each(name, fields)
		return fields
	default: // an alias may stand for far more than the file holds
		return nil
	}
}
