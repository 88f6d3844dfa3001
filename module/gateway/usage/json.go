// Package usage reads from a response how much a request has used, such as the
// number of tokens: from a header, from JSON, or from server-sent events. The
// response is passed on as it comes.
package usage

import (
	"slices"
	"strconv"
	"strings"
)

// field finds the last number at a path of objects in JSON, as the text comes in.
// It takes the same time for each byte, and memory for the path alone. The text may
// be malformed: then it finds something, or nothing. A number that the text ends with
// may be cut off, and isn't found.
type field struct {
	path []string

	// depth is how many objects and lists are open. on is how many of these,
	// from the outside, are objects on the path.
	depth, on int
	// key is true in front of a name, and matched behind the one that is next on
	// the path.
	key, matched bool
	// quoted and escaped are true inside of a text, and behind a backslash in it.
	// text is what was read of it, or of a number.
	quoted, escaped bool
	text            []byte
	number          bool // one is being read

	found int64
	ok    bool
}

// maxText bounds what is kept of a text: names on the path are shorter.
const maxText = 128

func (f *field) write(b []byte) {
	for _, c := range b {
		f.next(c)
	}
}

// begin begins another text. What was found stays.
func (f *field) begin() {
	*f = field{path: f.path, text: f.text[:0], found: f.found, ok: f.ok}
}

func (f *field) next(c byte) {
	switch {
	case f.quoted:
		f.inText(c)
		return
	case f.number && (c >= '0' && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'):
		f.add(c)
		return
	case f.number:
		f.endNumber()
	}
	switch c {
	case '"':
		f.quoted, f.text = true, f.text[:0]
	case '{':
		f.open(true)
	case '[':
		f.open(false)
	case '}', ']':
		f.close()
	case ',':
		f.key, f.matched = f.on == f.depth, false
	case ':':
		f.key = false
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if f.matched && f.on == len(f.path) {
			f.number, f.text = true, append(f.text[:0], c)
		}
	}
}

func (f *field) inText(c byte) {
	switch {
	case f.escaped:
		f.escaped = false
		f.add(0) // no name on the path has an escape
	case c == '\\':
		f.escaped = true
	case c == '"':
		f.quoted = false
		if f.key && f.on == f.depth && f.on > 0 && f.on <= len(f.path) {
			f.matched = string(f.text) == f.path[f.on-1]
		}
	default:
		f.add(c)
	}
}

func (f *field) add(c byte) {
	if len(f.text) < maxText {
		f.text = append(f.text, c)
	}
}

// open opens an object or a list. The outermost object is on the path, and so is
// one behind a name that is next on it.
func (f *field) open(object bool) {
	if object && f.on == f.depth && (f.depth == 0 || f.matched && f.on < len(f.path)) {
		f.on++
	}
	f.depth++
	f.key, f.matched = f.on == f.depth, false
}

func (f *field) close() {
	if f.depth == 0 {
		return
	}
	if f.on == f.depth {
		f.on--
	}
	f.depth--
	f.key, f.matched = false, false
}

// endNumber takes a number: a whole one that isn't negative. A fraction is rounded
// up.
func (f *field) endNumber() {
	f.number = false
	if n, ok := parse(string(f.text)); ok {
		f.found, f.ok = n, true
	}
}

// parse reads a decimal number that isn't negative, and rounds it up.
func parse(text string) (int64, bool) {
	if strings.Trim(text, "0123456789.eE+-") != "" {
		return 0, false // such as inf
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return min(n, maxUsage), n >= 0
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x < 0 || x != x {
		return 0, false
	}
	if x >= maxUsage {
		return maxUsage, true
	}
	n := int64(x)
	if float64(n) < x {
		n++
	}
	return n, true
}

// maxUsage is the most that one request can use.
const maxUsage = 1 << 40

// events finds the field in the data of server-sent events (WHATWG HTML, section
// 9.2.6). An event of several data lines is one text.
type events struct {
	field
	// line is what was read of the line's name, up to its colon.
	line []byte
	// state is where in a line the reader is.
	state lineState
	// data is true if the event has data already.
	data bool
	cr   bool // the last byte was a carriage return
}

type lineState uint8

const (
	inName lineState = iota
	inValue
	inOther
)

func (e *events) write(b []byte) {
	for _, c := range b {
		if e.cr && c == '\n' {
			e.cr = false
			continue
		}
		e.cr = c == '\r'
		if c == '\n' || c == '\r' {
			e.endLine()
			continue
		}
		switch {
		case e.state == inValue:
			e.next(c)
		case e.state == inOther:
		case c == ':':
			e.state = inOther
			if string(e.line) == "data" {
				e.state = inValue
			}
		case len(e.line) > len("data"):
			e.state = inOther
		default:
			e.line = append(e.line, c)
		}
	}
}

func (e *events) endLine() {
	switch {
	case e.state == inValue:
		e.data = true
		e.next('\n')
	case e.state == inName && len(e.line) == 0 && e.data:
		e.begin()
		e.data = false
	}
	e.state, e.line = inName, e.line[:0]
}

// newField returns a field of a path.
func newField(path []string) field { return field{path: slices.Clone(path)} }
