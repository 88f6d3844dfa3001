package tenant

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a JSON text.
const maxDepth = 128

// Why a JSON text is refused. Errors of [Body.Read] are one of these, or the
// context's.
var (
	ErrSyntax   = errors.New("it is not complete and valid JSON (RFC 8259)")
	ErrEncoding = errors.New("it is not UTF-8 without a byte order mark")
	ErrDepth    = errors.New("it is nested too deep")
	ErrTwice    = errors.New("an object has a name twice")
	ErrName     = errors.New("a name resembles one that is looked at, and some servers take it for that; write it as documented")
	ErrReserved = errors.New("an object has a member __proto__ or constructor, or one with a NUL in its name")
	ErrShape    = errors.New("an object is expected where another value stands")
)

// Body are the watched fields of JSON bodies.
type Body struct {
	names *Names
	root  member
}

// member is a name on the way to watched fields.
type member struct {
	name, camel string // as declared, and as protobuf's JSON mapping writes it
	at          state  // where names are, once this was read
	fields      []int  // that end here
	members     []*member
}

// NewBody returns the watched fields of JSON bodies.
func NewBody(fields []Field) *Body {
	b := &Body{names: NewNames(fields)}
	for i, f := range fields {
		m := &b.root
		for name := range strings.SplitSeq(f.Path, ".") {
			next := m.find(name)
			if next == nil {
				at, _, _ := b.names.read(m.at, name)
				next = &member{name: name, camel: camelCase(name), at: at}
				m.members = append(m.members, next)
			}
			m = next
		}
		m.fields = append(m.fields, i)
	}
	return b
}

// camelCase returns a name as protobuf's JSON mapping writes it.
func camelCase(name string) string {
	var b strings.Builder
	for i, word := range strings.Split(name, "_") {
		if i > 0 && word != "" && b.Len() > 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}

func (m *member) find(name string) *member {
	for _, inner := range m.members {
		if name == inner.name || name == inner.camel {
			return inner
		}
	}
	return nil
}

// Read reads a JSON text, and calls found once for each object that has watched
// members, with all of them. Lists on the way to a watched field don't count as
// a level: each object in them is looked at. An empty text names nothing.
//
// A text that two parsers could read differently is refused: see the errors.
// The cost is linear in the text, whatever its shape.
func (b *Body) Read(ctx context.Context, text string, found func([]Found)) error {
	r := reader{ctx: ctx, text: text, names: b.names, found: found, due: checkEvery}
	return r.all(&b.root)
}

// reader reads one text.
type reader struct {
	ctx   context.Context
	text  string
	at    int
	due   int // where the context is looked at again
	names *Names
	found func([]Found)

	values  []Found // of the objects that are open
	members members
	read    int // bytes of names that were compared with watched ones
}

func (r *reader) all(root *member) error {
	text := r.text
	if !utf8.ValidString(text) || strings.HasPrefix(text, "\ufeff") {
		return ErrEncoding
	}
	r.space()
	if r.at == len(text) {
		return nil
	}
	if err := r.value(root, 0, 0); err != nil {
		return err
	}
	r.space()
	if r.at < len(text) {
		return ErrSyntax
	}
	return nil
}

// value reads a value at a place: m is the watched name that it belongs to, nil
// for none, and from where names are.
func (r *reader) value(m *member, from state, depth int) error {
	if r.at >= len(r.text) {
		return ErrSyntax
	}
	if m != nil && len(m.fields) > 0 && len(m.members) == 0 {
		return r.watched(m.fields, depth)
	}
	c := r.text[r.at]
	switch {
	case c == '{':
		return r.object(m, from, depth)
	case c == '[':
		return r.list(m, from, depth)
	case m != nil && m.name != "" && c != 'n':
		return ErrShape
	case c == '"':
		_, _, err := r.quoted()
		return err
	}
	return r.scalar()
}

// watched reads the value of watched fields that have the same path. Null names
// nothing, and a value that isn't text names nobody.
func (r *reader) watched(fields []int, depth int) error {
	var v Found
	var err error
	switch r.text[r.at] {
	case '"':
		var escaped bool
		v.Value, escaped, err = r.quoted()
		if escaped && err == nil {
			v.Value = unquote(v.Value)
		}
	case 'n':
		v.Null = true
		err = r.scalar()
	default:
		v.Invalid = true
		err = r.value(nil, dead, depth)
	}
	for _, v.Field = range fields {
		r.values = append(r.values, v)
	}
	return err
}

func (r *reader) list(m *member, from state, depth int) error {
	if depth++; depth > maxDepth {
		return ErrDepth
	}
	r.at++
	if r.space(); r.take(']') {
		return nil
	}
	for {
		if err := r.value(m, from, depth); err != nil {
			return err
		}
		if end, err := r.next(']'); end || err != nil {
			return err
		}
	}
}

func (r *reader) object(m *member, from state, depth int) error {
	if depth++; depth > maxDepth {
		return ErrDepth
	}
	r.at++
	outer := len(r.values)
	o := r.members.open()
	r.space()
	for end := r.take('}'); !end; {
		name, inner, at, err := r.name(m, from)
		if err == nil {
			err = r.members.add(&o, name)
		}
		if err == nil {
			err = r.value(inner, at, depth)
		}
		if err != nil {
			return err
		}
		if end, err = r.next('}'); err != nil {
			return err
		}
	}
	r.members.close(&o)
	if len(r.values) > outer {
		r.found(r.values[outer:])
		r.values = r.values[:outer]
	}
	return nil
}

// name reads a name and the colon behind it. inner is the watched name that it
// is, and at where names are behind it. A name that is not a watched one to the
// letter, and may be to some, is refused.
func (r *reader) name(m *member, from state) (name string, inner *member, at state, err error) {
	if r.at >= len(r.text) || r.text[r.at] != '"' {
		return "", nil, 0, ErrSyntax
	}
	name, escaped, err := r.quoted()
	if err != nil {
		return "", nil, 0, err
	}
	if escaped {
		name = unquote(name)
		if strings.IndexByte(name, 0) >= 0 {
			return "", nil, 0, ErrReserved
		}
	}
	if name == protoName || name == constructorName {
		return "", nil, 0, ErrReserved
	}
	if r.space(); !r.take(':') {
		return "", nil, 0, ErrSyntax
	}
	r.space()
	if m != nil && !escaped {
		if inner = m.find(name); inner != nil {
			return inner.name, inner, inner.at, nil
		}
	}
	r.read += len(name)
	at, hit, _ := r.names.read(from, name)
	if hit || m != nil && m.resembles(at) {
		return "", nil, 0, ErrName
	}
	return name, nil, at, nil
}

// resembles reports that a name with this state has the letters of a watched
// one.
func (m *member) resembles(at state) bool {
	for _, inner := range m.members {
		if at == inner.at {
			return true
		}
	}
	return false
}

// next reads what stands behind an element: a comma, or the end.
func (r *reader) next(closing byte) (end bool, err error) {
	if r.at >= r.due {
		r.due = r.at + checkEvery
		if err := r.ctx.Err(); err != nil {
			return false, err
		}
	}
	r.space()
	if r.take(closing) {
		return true, nil
	}
	if !r.take(',') {
		return false, ErrSyntax
	}
	r.space()
	return false, nil
}

func (r *reader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}
