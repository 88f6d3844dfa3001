// Package usage reads from a response how much the request used, such as the number
// of tokens. It reads a header, JSON, or server-sent events. The response is passed on
// as it arrives.
package usage

import (
	"slices"
	"strconv"
	"strings"
)

// field finds the last number at a path of objects in JSON, as the text arrives. It
// takes constant time for each byte, and memory only for the path. In a malformed
// text, it may find a number or nothing. It ignores a number at the very end of a
// text, because the number may be cut off.
type field struct {
	path []string

	// depth is how many objects and lists are open. on is how many of these,
	// from the outside, are objects on the path.
	depth, on int
	// key is true before a name. matched is true after the name that is next on the
	// path.
	key, matched bool
	// quoted is true inside a string, and escaped after a backslash in one. text is
	// what was read of the string, or of a number.
	quoted, escaped bool
	text            []byte
	number          bool // true while a number is read

	found int64
	ok    bool
}

// maxText is the most that is kept of a string. Names on the path are shorter.
const maxText = 128

func (f *field) write(b []byte) {
	for _, c := range b {
		f.next(c)
	}
}

// begin begins another text. A number that was found stays.
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

// open opens an object or a list. The outermost object is on the path, and so is an
// object after the name that is next on the path.
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

// endNumber ends a number. It takes a number that isn't negative, and rounds a
// fraction up.
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
// 9.2.6). The data lines of one event are one text.
type events struct {
	field
	// line is what was read of the line's field name, up to the colon.
	line []byte
	// state is the reader's position in a line.
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

// newField returns a field for a path.
func newField(path []string) field { return field{path: slices.Clone(path)} }
